"""Parts of the row page: choosing row and k, what the row explains, its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.charts.row_scores import row_scores
from app.frame import links, parts, state
from app.frame.draw import draw
from kencore.methods.ken.explained import RowExplanation, explain_row
from kencore.methods.table import METHODS
from kencore.views import tables as summaries
from kencore.views import walk as walks
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.words.palette import Palette

    Line = pd.Series[Any]


def choose_row(rows: int, row: int) -> None:
    """Row number with steps; a change goes into the address."""
    st.session_state["row_number"] = row

    def open_row() -> None:
        chosen = st.session_state["row_number"]
        links.write(row=min(max(int(chosen or 0), 0), rows - 1))

    st.number_input(
        f"Row, 0 to {rows - 1:,}", 0, rows - 1, key="row_number", on_change=open_row, width=200, disabled=rows == 1
    )


def choose_anew(rows: int) -> None:
    """The way on from an address that names no row: any row, without what else it asked for."""
    st.session_state["row_number"] = None

    def open_row(chosen: int | None = None) -> None:
        row = st.session_state["row_number"] if chosen is None else chosen
        links.write(row=min(max(int(row or 0), 0), rows - 1), k=None, order=None)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            f"Row, 0 to {rows - 1:,}",
            0,
            rows - 1,
            None,
            key="row_number",
            on_change=open_row,
            width=200,
            placeholder="Type a row",
            disabled=rows == 1,
        )
        st.button("Open row 0", icon=":material/show_chart:", on_click=open_row, args=(0,))


def choose_k(cols: int, own: int, asked: int) -> None:
    """Another number of kept entries to try; a change goes into the address."""
    st.session_state["row_k"] = asked

    def try_k() -> None:
        chosen = int(st.session_state["row_k"])
        links.write(k=None if chosen == own else chosen)

    st.slider(
        "Try another number of kept weights",
        1,
        cols,
        key="row_k",
        on_change=try_k,
        width="stretch",
        help=f"The run kept {own:,}. Another k is computed exactly, for this row alone.",
    )


def asked_k(cols: int, own: int) -> int:
    """The k that the address asks for, the run's own where it says nothing.

    Raises:
        LinkError: not a number of entries that this row has.
    """
    return links.number("k", low=1, high=cols) or own


def values(run: Run, name: str, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Tuned and base values of one row, (C,) each."""
    return _values(run.id, state.stamp(run.path), name, row, _run=run)


@st.cache_data(max_entries=64, show_spinner=False)
def _values(
    run_id: str, stamp: str, name: str, row: int, *, _run: Run
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    line = slice(row, row + 1)
    return _run.values(name, "tuned", line)[0], _run.values(name, "base", line)[0]


@st.cache_data(max_entries=64, show_spinner="Computing this row")
def explain(row: NDArray[np.float32], k: int, rule: str) -> RowExplanation:
    """The row under a rule whose density can be drawn."""
    return explain_row(row, k, rule)


def show_scores(
    run: Run,
    name: str,
    tuned: NDArray[np.float32],
    base: NDArray[np.float32],
    keep: NDArray[np.bool_],
    palette: Palette,
) -> None:
    """The row by the scores that decided, or why they cannot be drawn."""
    found = walks.scores(run, name, tuned, base)
    if found is None:
        st.caption(METHODS[run.spec.method].unranked)
        return
    score, what = found
    terms = wording.TERMS[run.restore]
    draw(row_scores(score, keep, what, palette, terms), key="row-scores")
    if run.spec.refine == "dsnot":
        st.caption("DSnoT swapped weights afterwards, so the cut is not sharp.")
    elif METHODS[run.spec.method].activations:
        st.caption(
            "Norms of the finished model. The run ranked before this block was pruned, so the cut may not be sharp."
        )


def numbers(
    tuned: NDArray[np.float32],
    base: NDArray[np.float32],
    keep: NDArray[np.bool_],
    bandwidth: float | None,
    terms: wording.Terms,
) -> None:
    """The row in numbers; ``bandwidth`` is that of KEN's curve, where one was drawn."""
    found = summaries.row_numbers(tuned, base, keep)
    paired, done = terms.dense == "tuned", terms.done.capitalize()
    lines = [
        (done, f"{found.kept:,} of {found.cols:,}"),
        *((("Bandwidth of the curve", f"{bandwidth:.4g}"),) if bandwidth is not None else ()),
        ("Smallest value", f"{found.low:.4g}"),
        ("Median", f"{found.middle:.4g}"),
        ("Largest value", f"{found.high:.4g}"),
        ("Standard deviation", f"{found.spread:.4g}"),
        ("Difference, RMS" if paired else "Weights, RMS", f"{found.diff_rms:.3g}"),
        (_change_of_the_mask(terms), wording.percent(found.diff_share_kept)),
        ("Same for a random choice", wording.percent(found.share)),
        (f"{done} among largest magnitudes", wording.percent(found.overlap_top)),
    ]
    parts.pairs(lines)


def _change_of_the_mask(terms: wording.Terms) -> str:
    """What the share of the squares on entries of the mask is called: not all of it is kept where changes are coded."""
    return "Change on changed weights" if terms is wording.CODED else terms.change_kept.capitalize()
