"""What an inspection found, before anything is loaded."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app.frame import links, parts, state
from app.jobs import panel
from app.jobs import submit as submitting
from kencore import jobs
from kencore.allocate.table import allocation_label
from kencore.errors import KencoreError
from kencore.methods.table import METHODS
from kencore.words import numbers as wording

_LONGER = "Methods and allocations that run the model on text take longer, and prune inside the blocks only."


def findings(job_id: str) -> None:
    """The result of an inspect job, its progress, or why it failed."""
    try:
        job = jobs.status(job_id)
    except KencoreError as error:
        state.show_error(error)
        return
    if job.state != "succeeded":
        panel.show(job_id)
        return
    try:
        found = jobs.answer(job_id)
    except KencoreError as error:
        state.show_error(error)
        return
    _show(found)
    _time(found, job.params)


def _show(found: dict[str, Any]) -> None:
    counts, cost = found["parameters"], found["estimate"]
    st.markdown(
        f"**{state.plain(str(found['architecture']))}** with {wording.plural(found['blocks'], 'block')} and "
        f"{wording.count(counts['total'])} weights"
    )
    with st.grid(2, min_column_width=150):
        _number("Can be pruned", wording.count(counts["prunable"]), f"of {counts['total']:,}")
        _number("On disk", wording.size(found["bytes"]), _dtypes(found))
        language = bool(found.get("streams"))
        _number("Time", _about(cost["seconds"]), "by weights alone" if language else "without measuring quality")
        _number("Memory", f"about {wording.size(cost['memory_bytes'])}", "at the peak")
    parts.notes(found["notes"])
    if data := found.get("data"):
        _data(data)
    st.dataframe(
        _roles(found["roles"]),
        hide_index=True,
        placeholder="–",
        alt="Parameters of the model by role",
        column_config={
            "Weights": st.column_config.NumberColumn(format="localized"),
            "Can be pruned": st.column_config.NumberColumn(format="localized"),
        },
    )
    _exceptions(found)
    with st.expander("Names, for a scope of your own", icon=":material/list:"):
        st.dataframe(
            pd.DataFrame(found["patterns"])[["pattern", "role", "tensors", "parameters"]],
            hide_index=True,
            placeholder="–",
            alt="Name patterns of the model's weights",
        )
    st.caption(state.plain(cost["how"] + (f" {_LONGER}" if language else "")))


def _time(found: dict[str, Any], asked: dict[str, Any]) -> None:
    """How long each method takes, where that was tried; else the button that tries it."""
    told = found.get("time")
    if told is None:
        if st.button(
            "Time every method", icon=":material/timer:", help="Tries a little of each, for about ten seconds"
        ):
            try:
                links.write(inspect=submitting.time_methods(asked))
            except KencoreError as error:
                state.show_error(error)
                return
            st.rerun()
        return
    st.markdown("**How long each method takes here**")
    st.dataframe(
        pd.DataFrame(
            {
                "Method": [METHODS[line["method"]].label for line in told["ranges"]],
                "Allocation": [allocation_label(line["allocation"]) for line in told["ranges"]],
                "Between": [wording.seconds(line["low"]) for line in told["ranges"]],
                "and": [wording.seconds(line["high"]) for line in told["ranges"]],
            }
        ),
        hide_index=True,
        placeholder="–",
        alt="Seconds of a pruning by method and allocation",
    )
    what = "Measuring quality is included." if told["measured"] else "Quality is not measured."
    st.caption(f"From a probe of {wording.seconds(told['probe_seconds'])} on this machine. {what}")


def _data(data: dict[str, Any]) -> None:
    """How the data were read and what their labels mean to the model, or why they cannot be used."""
    if problem := data["problem"]:
        state.show_error(KencoreError(**{name: problem[name] for name in ("subject", "got", "wanted", "remedy")}))
        return
    if data["notes"]:
        st.markdown(f":material/straighten: To be measured on **{state.plain(data['data'])}**")
        parts.notes(data["notes"])


def _number(title: str, value: str, below: str) -> None:
    st.metric(title, state.plain(value), state.plain(below), delta_color="off", delta_arrow="off", border=True)


def _about(seconds: float) -> str:
    return "under a second" if seconds < 1 else f"about {wording.seconds(seconds)}"


def _dtypes(found: dict[str, Any]) -> str:
    return " + ".join(row["name"] for row in found["dtypes"])


def _roles(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Role": [wording.ROLES_EXPLAINED.get(row["name"], row["name"]) for row in rows],
            "Tensors": [row["tensors"] for row in rows],
            "Weights": [row["parameters"] for row in rows],
            "Can be pruned": [row["prunable"] for row in rows],
        }
    )


def _exceptions(found: dict[str, Any]) -> None:
    """What stays as it is, and why."""
    reasons: dict[str, list[str]] = {}
    for row in found["unprunable"]:
        reasons.setdefault(row["reason"], []).append(row["name"])
    for tied in found["tied"]:
        names = [tied["name"], *tied["aliases"]]
        reasons.setdefault("one tensor under several names, pruned once", []).extend(names)
    for reason, names in reasons.items():
        shown = state.plain(", ".join(names[:6]))
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        st.markdown(f":material/block: {state.plain(reason[:1].upper() + reason[1:])}: {shown}{more}")
    if not reasons and not found["new_heads"]:
        st.caption("Everything can be pruned.")
