"""Parts of the overview page: its numbers, its tables, and how the run was made."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app import facts, jobs_view, links, prune_form, state, wording
from app.charts.base import lines
from kencore.errors import KencoreError
from kencore.store import summaries

if TYPE_CHECKING:
    from kencore.store.run import Run
    from kencore.store.summaries import Totals


def metric_row(total: Totals, found: dict[str, Any]) -> None:
    """Four cards: parameters, size, accuracy, and the best baseline at the same budget."""
    with st.grid(4, min_column_width=200):
        st.metric(
            "Parameters kept", f"{wording.count(total.kept)} of {wording.count(total.params)}",
            f"{wording.percent(total.share_pruned)} of what was pruned",
            help=f"{wording.exact(total.kept)} of {wording.exact(total.params)} parameters hold "
            f"the tuned value. In the {total.matrices_pruned} pruned tensors of {total.matrices}: "
            f"{wording.exact(total.kept_pruned)} of {wording.exact(total.pruned)}. "
            "All others are reset to the base model's value.",
            **_QUIET,
        )  # fmt: skip
        st.metric(
            "Size of the kept part", wording.size(total.bytes_stored),
            f"{wording.percent(total.share_bytes, 0)} of {wording.size(total.bytes_dense)}",
            help="Kept values and one bit per parameter for the mask, against all tuned values. "
            "The base model is needed beside it. Resetting weights alone makes a model neither "
            "smaller nor faster in use.",
            **_QUIET,
        )  # fmt: skip
        _accuracy(found)
        _baseline(found)


_QUIET: Final[dict[str, Any]] = {
    "delta_color": "off",
    "delta_arrow": "off",
    "border": True,
    "height": "stretch",
}


def _accuracy(found: dict[str, Any]) -> None:
    if not found:
        st.metric(
            "Accuracy", "not measured", "measure it below",
            help="Measure it on labelled sentences, under “What it cost”.", **_QUIET,
        )  # fmt: skip
        return
    before, after = found["dense"], found["pruned"]
    st.metric(
        "Accuracy, before → after",
        f"{100 * before['accuracy']:.1f} → {wording.percent(after['accuracy'])}",
        facts.points(after["accuracy"] - before["accuracy"]),
        delta_description=facts.interval(after),
        help=f"On {wording.plural(int(found['examples']), 'labelled sentence')} "
        f"({found['data']}). In gray the 95 % interval of the pruned model (Wilson).",
        **_QUIET,
    )  # fmt: skip


def _baseline(measured: dict[str, Any]) -> None:
    best = facts.best_baseline(measured)
    if best is None:
        st.metric(
            "Baselines", "not measured", "measure them below",
            help="Random, largest magnitude and largest difference at the same budget show whether "
            "the rule earns its keep. Measure them under “What it cost”.",
            **_QUIET,
        )  # fmt: skip
        return
    rule, found = best
    change = found["accuracy"] - measured["pruned"]["accuracy"]
    st.metric(
        "Best baseline", wording.percent(found["accuracy"]),
        facts.points(change),
        delta_description=wording.METHODS.get(rule, rule).lower(),
        help="The best of the other rules that were measured with as many kept parameters per row.",
        **_QUIET,
    )  # fmt: skip


def not_measured(run: Run) -> None:
    """Where the run carries no measurement: measure it now, or from the command line."""
    st.markdown("**Quality was not measured**")
    st.caption(
        "This run says which parameters were kept, not yet what that did to the model. Measure it "
        "on labelled sentences; the baselines are measured at the same budget beside it."
    )
    _measure(run, "demo" if run.spec.model == "demo" else "")


def without_baselines(run: Run) -> None:
    """Where the rule was measured alone: measure it again, with the baselines beside it."""
    st.markdown("**Baselines were not measured**")
    st.caption(
        "Other rules at the same budget show whether this one earns its keep. Measuring now "
        "measures this run again, with the baselines beside it."
    )
    _measure(run, str(run.metrics.get("data") or ""))


def _measure(run: Run, data: str) -> None:
    data = st.text_input(
        "Labelled sentences", data, key="overview_data",
        placeholder="path of a .tsv, .jsonl or .parquet file", persist_state="session",
        help="A file on the machine that runs KEN_viz, with columns sentence and label; demo "
        "stands for the sentences that come with the demo.",
    )  # fmt: skip
    if st.button("Measure now", icon=":material/straighten:", disabled=not data.strip()):
        params = {"model": run.id, "examples": data.strip(), "baselines": True, "save": True}
        try:
            links.write(job=prune_form.submit_once("evaluate", params))
        except KencoreError as error:
            state.show_error(error)
    if (job := links.value("job")) is not None:
        jobs_view.panel(job)
    with st.expander("From the command line", icon=":material/terminal:"):
        named = shlex.quote(data.strip() or "sentences.tsv")
        st.code(
            f"python -m kencore evaluate {shlex.quote(run.id)} --data {named} --baselines --save",
            "bash",
        )


def outside_table(run: Run) -> None:
    """Every parameter outside the blocks, with a link to its matrix."""
    table = summaries.outside_roles(run.matrices)
    if table.empty:
        return
    shown = pd.DataFrame(
        {
            "Parameter": table["name"],
            "What it is": table["role"].map(lambda role: wording.ROLES_EXPLAINED.get(role, role)),
            "Shape": [f"{row.rows:,} × {row.cols:,}" for row in lines(table)],
            "Parameters": table["params"],
            "Kept": table["share"],
            "State": table["status"].map(lambda status: wording.STATUSES.get(status, status)),
            "Open": [links.link("matrix", run=run.id, matrix=name) for name in table["name"]],
        }
    )
    st.dataframe(
        shown, hide_index=True, alt="Parameters outside the blocks and how much of each was kept",
        column_config={
            "Parameters": st.column_config.NumberColumn(format="localized"),
            "Kept": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            "Open": st.column_config.LinkColumn(display_text="matrix", width="small"),
        },
    )  # fmt: skip


def untouched_table(matrices: pd.DataFrame) -> None:
    """What was not pruned, and why."""
    table = summaries.left_alone(matrices)
    if table.empty:
        st.caption("Every parameter was pruned.")
        return
    shown = pd.DataFrame(
        {
            "Why": table["reason"],
            "State": table["status"].map(lambda status: wording.STATUSES.get(status, status)),
            "Tensors": table["matrices"],
            "Parameters": table["params"],
            "Names": [", ".join(names) for names in table["names"]],
        }
    )
    st.dataframe(
        shown, hide_index=True, alt="Parameters that were not pruned, by reason",
        column_config={
            "Why": st.column_config.TextColumn(width="large"),
            "Parameters": st.column_config.NumberColumn(format="localized"),
            "Names": st.column_config.TextColumn(width="large"),
        },
    )  # fmt: skip


def export(run: Run) -> None:
    """The command that writes the pruned model as a folder other programs load."""
    st.caption(
        "The pruned model as a Hugging Face folder, written on the machine that runs the command:"
    )
    name = shlex.quote(run.id)
    st.code(f"python -m kencore export {name} {shlex.quote(f'{run.id}-pruned')}", "bash")


def how_made(run: Run) -> None:
    """The command that makes the run again, and where and when it was made."""
    st.markdown("The same run from the command line:")
    st.code(facts.command(run.spec), "bash")
    record = run.record
    made = {
        ":material/schedule: Made": f"{str(record.get('created', ''))[:19].replace('T', ' ')} UTC",
        ":material/timer: Took": wording.seconds(float(record.get("seconds") or 0)),
        ":material/memory: On": str(record.get("device", "unknown")),
        ":material/filter_alt: Pruned": facts.scope(run.spec),
        ":material/casino: Seed": str(run.spec.seed),
    }
    for side in ("tuned", "base"):
        source = (record.get("sources") or {}).get(side) or {}
        revision = f" at {source['revision']}" if source.get("revision") else ""
        made[f":material/folder: {side.capitalize()} model"] = f"{source.get('text', '')}{revision}"
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    if versions:
        made[":material/inventory_2: Versions"] = versions
    st.table(made, border="horizontal", alt="Where and when the run was made")
    for note in record.get("notes") or ():
        st.caption(f":material/info: {note}")
