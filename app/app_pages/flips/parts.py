"""Parts of the page Flips: counts, the table, and the line that is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app.frame import choosing, links, state
from app.frame.draw import csv_button
from app.parts import flips as flips_parts
from kencore.system import plain
from kencore.views import flips as views
from kencore.words import flips as words
from kencore.words import numbers as wording
from kencore.words import run as facts_words

if TYPE_CHECKING:
    from kencore.runs.flips import Flips
    from kencore.runs.run import Run

MARKS: Final = {True: "✓", False: "✗"}
PERCENT: Final = "%.0f\u00a0%%"
END: Final = 24  # characters before a token that a cell has room for


def counts(facts: dict[str, Any]) -> None:
    """How many went wrong, came right and changed."""
    of = f"of {wording.plural(facts['count'], 'token' if words.is_text(facts) else 'sentence')}"
    quiet: dict[str, Any] = {"border": True, "delta_color": "off", "delta_arrow": "off"}
    with st.grid(4, min_column_width=160):
        st.metric("Right to wrong", f"{facts['right_wrong']:,}", of, **quiet)
        st.metric("Wrong to right", f"{facts['wrong_right']:,}", of, **quiet)
        st.metric("Answer changed", f"{facts['changed']:,}", of, **quiet)
        mean = facts["kl"]
        st.metric("Mean KL", "n/a" if mean is None else f"{mean:.3f}", "nats", **quiet)
    st.caption(f"{state.plain(words.balance(facts))} Measured on {state.plain(facts['data'])}.")


def lines(run: Run, found: Flips) -> None:
    """The table, and the line that was picked in it."""
    facts = found.facts
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with state.messages():
            which = choosing.view("filter", words.LABELS, "changed", label="Which answers")
        table = views.chosen(found.table, which)
        csv_button(lambda: table.to_csv(index=False).encode(), f"{run.id}-flips", key="flips-csv")
    if table.empty:
        st.caption("None.")
        return
    dense = wording.TERMS[run.restore].dense
    said = (
        words.kept(facts, len(found.table)),
        words.EXPLAINED[facts["task"]],
        words.LOSS if words.is_text(facts) else "",
    )
    st.caption(" ".join(part for part in said if part))
    event = st.dataframe(
        _shown(table, facts, run, dense),
        key=f"flips-table-{which}",
        hide_index=True,
        placeholder="–",
        height=420 if len(table) > 10 else "auto",
        alt="Answers of the dense and the pruned model, the most different first",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "KL": st.column_config.NumberColumn(format="%.3f", width="small"),
            "Loss": st.column_config.NumberColumn(format="%+.2f", width="small"),
            f"{dense.capitalize()} p": st.column_config.NumberColumn(format=PERCENT, width="small"),
            "Pruned p": st.column_config.NumberColumn(format=PERCENT, width="small"),
            "Text before": st.column_config.TextColumn(width="medium"),
            "Sentence": st.column_config.TextColumn(width="large"),
        },
    )
    picked = event["selection"]["rows"]
    _line(run, table.iloc[picked[0] if picked else 0], facts, dense, picked=bool(picked))


def _shown(table: pd.DataFrame, facts: dict[str, Any], run: Run, dense: str) -> pd.DataFrame:
    token = words.is_text(facts)

    def say(column: pd.Series[str]) -> pd.Series[str]:
        return column.map(words.shown) if token else column

    def marked(side: str) -> pd.Series[str]:
        return table[f"{side}_right"].map(MARKS) + " " + say(table[side])

    shown = {
        "KL": table["kl"],
        "Text before" if token else "Sentence": [
            flips_parts.text_of(line, token=token, end=END) for _, line in table.iterrows()
        ],
        "Next token" if token else "Label": say(table["truth"]),
        dense.capitalize(): marked("dense"),
        f"{dense.capitalize()} p": 100 * table["dense_p"],
        "Pruned": marked("pruned"),
        "Pruned p": 100 * table["pruned_p"],
    }
    shown |= {"Loss": table["nll_change"]} if token else {}
    names = {name: facts_words.baseline_name(name, run.spec.method) for name in facts["baselines"]}
    return pd.DataFrame(shown | {label: say(table[name]) for name, label in names.items()})


def _line(run: Run, line: pd.Series[Any], facts: dict[str, Any], dense: str, *, picked: bool) -> None:
    """One line in full, with its link to Explain."""
    token = words.is_text(facts)
    with st.container(border=True):
        st.caption("The line that is selected" if picked else "The first line; select another one in the table")
        if token:
            st.code(plain.terminal(line["text"]), None, wrap_lines=True)
        else:
            st.markdown(state.plain(flips_parts.text_of(line, token=False)))
        said = {"Next token" if token else "Label": words.shown(line["truth"]) if token else line["truth"]}
        said |= {
            name: f"{MARKS[bool(line[f'{side}_right'])]} {words.answer(line[side], line[f'{side}_p'], token=token)}"
            for side, name in (("dense", dense.capitalize()), ("pruned", "Pruned"))
        }
        st.markdown(" · ".join(f"{name}: **{state.plain(str(text))}**" for name, text in said.items()))
        asked = flips_parts.asked_text(line, token=token)
        if asked is None:
            st.caption("Explain takes one sentence: a pair cannot be explained yet.")
        elif not run.thin:
            links.page_link("explain", "Explain it", icon=":material/psychology:", text=asked)
