"""Sections of the compare page: shares, blocks and roles, several runs, quality, settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from app.charts import compare as charts
from app.charts.base import lines
from app.frame import choosing, links, state, verdict
from app.frame.draw import csv_button, draw
from kencore.views.compare import masks as compare
from kencore.views.compare import quality as compare_quality
from kencore.words import compare as compare_words
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.compare.masks import Comparison
    from kencore.words.palette import Palette

VIEWS: Final = {"role": "Roles", "block": "Blocks"}


def compared(runs: list[Run]) -> Comparison:
    """The comparison of these runs, counted once.

    Raises:
        IncomparableRunsError: they have nothing in common.
    """
    return _compared(tuple((run.id, state.stamp(run.path)) for run in runs), _runs=runs)


@st.cache_resource(max_entries=8, show_spinner="Counting what each run keeps")
def _compared(key: tuple[tuple[str, str], ...], *, _runs: list[Run]) -> Comparison:
    return compare.compare(_runs)


def notes(found: Comparison) -> None:
    """What a reader has to know before any number: other models, matrices left out."""
    for note in found.notes:
        st.warning(state.plain(note), icon=":material/warning:")
    if found.left_out.empty:
        return
    count = wording.plural(len(found.left_out), "matrix", "matrices")
    with st.expander(f"{count} left out: not pruned by all of these runs, or different in shape"):
        st.dataframe(
            found.left_out.rename(columns={"name": "Matrix", "why": "Why"}),
            hide_index=True,
            placeholder="–",
            alt="Matrices left out, and why",
        )


def who_keeps_what(found: Comparison, names: list[str], verb: compare_words.Verb, palette: Palette) -> None:
    """Four shares by role or by block."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.header(f"Who {verb[1]} what")
        with state.messages():
            by = choosing.view("by", VIEWS, "role", label="Bars")
    st.caption(state.plain(f"{compare_words.kept_text(found.overall(), names, verb)} {compare_words.explained(verb)}"))
    keys = ["role"] if by == "role" else ["stack", "block"]
    table = compare.grouped(found.pair(), keys)
    draw(charts.share_bars(table, _names(table, by), by, palette, verb), key="compare-shares")


def _names(table: pd.DataFrame, by: str) -> list[str]:
    if by == "role":
        return [wording.ROLES_EXPLAINED.get(role, role) for role in table["role"]]
    several = len(set(table.loc[table["block"].notna(), "stack"])) > 1
    return [charts.place(line.block, line.stack, several) for line in lines(table)]


def where_they_agree(found: Comparison, palette: Palette, open_matrix: Callable[[str], None]) -> None:
    """Overlap by block and role; a click opens the matrix below."""
    st.header("Where they agree")
    cells = compare.grouped(found.pair(), ["stack", "block", "role"])
    draw(
        charts.jaccard_map(cells, palette), key="compare-map", point=lambda at: open_matrix(str(cells["name"].iloc[at]))
    )


def several(found: Comparison, runs: list[Run], palette: Palette) -> None:
    """More than two runs: what all of them keep, and how alike each two are."""
    st.header("All of these runs")
    table = found.matrices
    everything, by_all = int(table["params"].sum()), int(table["kept_by_all"].sum())
    none = int(table["kept_by_none"].sum())
    keep, keeps, _ = compare_words.verb(runs)
    st.markdown(
        f"All {len(runs)} {keep} **{wording.percent(by_all / everything)}** of the weights ({wording.exact(by_all)} "
        f"of {wording.exact(everything)}); none {keeps} **{wording.percent(none / everything)}**."
    )
    draw(charts.agreement(found.jaccard_matrix(), compare_words.labels(runs), palette), key="compare-runs")


def verdicts(runs: list[Run]) -> None:
    """Whether each run is safe, and whether one is better than the other."""
    names = compare_words.labels(runs)
    if said := compare_words.best(runs):
        st.markdown(f"**{state.plain(said)}**")
    for letter, name, run in zip(compare_words.LETTERS, names, runs, strict=False):
        verdict.show(run, f"{letter}, {name}")
    for name, run in zip(names[1:], runs[1:], strict=True):
        found = compare_quality.difference(runs[0].metrics, run.metrics)
        st.markdown(state.plain(compare_words.quality(found, (names[0], name))))


def quality(runs: list[Run]) -> None:
    """What each run costs in quality and size."""
    st.header("Quality and size")
    sizes = [compare_quality.sizes(run) for run in runs]
    if said := compare_words.sizes(compare_words.labels(runs), sizes):
        st.markdown(state.plain(said))
    st.table(compare_words.sides(runs, sizes).map(state.plain), border="horizontal", alt="Quality and size of each run")


def settings(runs: list[Run]) -> None:
    """Settings that differ, and only those."""
    st.header("Settings that differ")
    found = compare_quality.settings(runs)
    if not found:
        st.caption("None: all of these runs have the same settings.")
        return
    st.table(
        compare_words.settings(found, runs).map(state.plain),
        border="horizontal",
        alt="Settings that differ between the runs",
    )


def matrices(found: Comparison, runs: list[Run]) -> None:
    """One line per matrix, each with a link to its picture, and all of it as CSV."""
    st.header("Every matrix")
    table = found.pair()
    ids = [run.id for run in runs]
    shared = {"run": ids[0], "other": ids[1], "with": links.value("with")}
    shown = pd.DataFrame(
        {
            "Matrix": table["name"],
            "What it is": [wording.ROLES_EXPLAINED.get(role, role) for role in table["role"]],
            "Block": table["block"].astype("Int64"),
            "Weights": table["params"],
            **{
                label: table[who] / table["params"]
                for who, label in (("both", "Both"), ("only_a", "Only A"), ("only_b", "Only B"), ("neither", "Neither"))
            },
            "Overlap": table["jaccard"],
            "By chance": table["chance"],
            "Open": [links.link("compare", **shared, matrix=name) for name in table["name"]],
        }
    )
    percent = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        height=300,
        alt="Overlap of the two runs in every matrix",
        column_config={
            "Matrix": st.column_config.TextColumn(width="medium"),
            "Weights": st.column_config.NumberColumn(format="localized"),
            **dict.fromkeys(("Both", "Only A", "Only B", "Neither", "By chance"), percent),
            "Overlap": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            "Open": st.column_config.LinkColumn(display_text="picture", width="small"),
        },
    )
    csv_button(
        lambda: table.to_csv(index=False).encode(),
        f"{ids[0]}-{ids[1]}-overlap",
        key="compare-csv",
        label="Every matrix as CSV",
    )
