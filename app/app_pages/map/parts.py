"""Parts of the Map page: the second run, the view that the address asks for, what is known of what is in view."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from app import viewer
from app.frame import links, parts, state
from app.parts import block_drawing
from app.parts import matrix as matrix_parts
from kencore.errors import KencoreError, MatrixNotFoundError
from kencore.views import tables as summaries
from kencore.words import matrices
from kencore.words import numbers as wording

if TYPE_CHECKING:
    import pandas as pd

    from kencore.runs.run import Run

MAP = "model_map"
FLY = "map_fly"  # a part of the drawing was clicked: the map itself has to follow
NONE = ""
_EDGES = ("r0", "r1", "c0", "c1")
_PLAIN = re.compile(r"-?\d{1,9}(\.\d{1,3})?")


def finding(run: Run) -> str:
    """The heading: how much of how many weights was kept."""
    total = summaries.totals(run.matrices)
    share = wording.short_percent(total.share_pruned)
    if run.spec.coded:
        coded = run.matrices.loc[run.matrices["status"] == "pruned", "bytes_stored"].sum()
        bits = f"{8 * float(coded) / max(1, total.pruned):.2g} bits per weight"
        return f"{share} of {wording.count(total.pruned)} weights changed, {bits}, all on one map"
    return f"{share} of {wording.count(total.pruned)} weights kept, all on one map"


def choose_other(run: Run) -> None:
    """The box for the run that is shown beside this one; its choice goes into the address."""
    labels = parts.told_apart({one.id: one.label for one in state.runs() if one.problem is None and one.id != run.id})
    asked = links.value("other")
    options = [NONE, *labels]
    if asked is not None and asked not in labels and asked != run.id:
        options.append(asked)
    st.session_state["map_other"] = asked if asked in options else NONE

    def chosen() -> None:
        links.write(other=st.session_state["map_other"] or None)

    st.selectbox(
        "Compare with",
        options,
        key="map_other",
        on_change=chosen,
        width=320,
        format_func=lambda name: labels.get(name, name) or "No other run",
        help="A second run of the same model, on a linked map.",
    )


def other(run: Run) -> Run | None:
    """The run to show beside this one, ``None`` where the address names none.

    Raises:
        KencoreError: no such run, or one whose matrices are other ones.
    """
    name = links.value("other")
    if name is None:
        return None
    found = state.open_cached(name)
    shapes = {matrix: run.shape(matrix) for matrix in run.matrices["name"]}
    same = [matrix for matrix in found.matrices["name"] if shapes.get(matrix) == found.shape(matrix)]
    different = [
        matrix for matrix in found.matrices["name"] if matrix in shapes and shapes[matrix] != found.shape(matrix)
    ]
    if different or not same:
        raise MatrixNotFoundError(
            f"run {name} beside run {run.id}",
            got=f"{different[0]} of another shape" if different else "no matrix in common",
            wanted="two runs of the same model",
            remedy="Choose another run beside this one.",
        )
    return found


def title_of(run: Run) -> str:
    """A run above its map."""
    share = wording.short_percent(summaries.totals(run.matrices).share_pruned)
    return f"{run.id}: {wording.method(run.spec)}, {share} {wording.terms(run.restore, coded=run.spec.coded).done}"


def view_of(run: Run, usual: str = "kept") -> viewer.View:
    """The view that the address asks for; ``usual``: the layer where it names none.

    Raises:
        MatrixNotFoundError: ``at`` names no matrix of the run.
        LinkError: a number or a layer that there is not.
    """
    looks: dict[str, Any] = {
        "layer": links.choice("layer", ("lost", *wording.layers(run.restore, coded=run.spec.coded)), usual),
        "reset": links.choice("reset", viewer.RESET, "hidden"),
        "range": links.choice("range", viewer.RANGES, "present"),
    }
    at = links.value("at")
    if at is None:
        return viewer.View(**looks)
    rows, cols = run.shape(at)
    window = {name: _edge(name) for name in _EDGES}
    if None in window.values():
        window = dict.fromkeys(_EDGES)
    else:
        _check_order(window)
    row, col = links.number("row", high=rows - 1), links.number("col", high=cols - 1)
    if (row is None) != (col is None):
        row, col = row or 0, col or 0
    r0, r1, c0, c1 = window.values()
    return viewer.View(at=at, r0=r0, r1=r1, c0=c0, c1=c1, row=row, col=col, **looks)


def _edge(name: str) -> float | None:
    """A number that may lie outside of the matrix; a whole one stays whole."""
    text = links.value(name)
    if text is None:
        return None
    if not _PLAIN.fullmatch(text):
        raise links.LinkError(
            f"{name} in the address",
            got=repr(text),
            wanted="a number such as 12 or -3.5",
            remedy="Correct the address, or start from the whole model.",
        )
    number = float(text)
    return int(number) if number.is_integer() else number


def _check_order(window: dict[str, float | None]) -> None:
    for first, last in (("r0", "r1"), ("c0", "c1")):
        low, high = window[first] or 0, window[last] or 0
        if not low < high:
            raise links.LinkError(
                f"{first} and {last} in the address",
                got=f"{low:g} and {high:g}",
                wanted=f"{first} below {last}",
                remedy="Correct the address, or start from the whole model.",
            )


def in_view(view: viewer.View) -> tuple[str | None, tuple[int, int] | None]:
    """The matrix that the map looks at now, and the weight that is outlined on it."""
    kept: Mapping[str, Any] = st.session_state.get(MAP) or {}
    cell = kept.get("cell") or {"matrix": view.at, "row": view.row, "col": view.col}
    if cell.get("matrix") is None:
        return None, None
    at = None if cell.get("row") is None else (int(cell["row"]), int(cell["col"]))
    return str(cell["matrix"]), at


def _block(run: Run, line: pd.Series[Any] | None) -> None:
    """The block of the matrix in view, or the first one; a click on a part flies to it."""

    def go(name: str) -> None:
        links.write(at=name, **dict.fromkeys((*_EDGES, "row", "col")))
        st.session_state[FLY] = True

    block_drawing.draw(run, line, key="map-block", address=block_drawing.link_to("map", "at", run), go=go, wide=False)


def _guided(step: str, **place: object) -> None:
    """The way into the story, at the same place."""
    links.page_link(
        "story",
        "Guided zoom",
        icon=":material/zoom_in_map:",
        step=step,
        help="From here on step by step, with a sentence for each: why it is so",
        **place,
    )


def details(run: Run, name: str | None, at: tuple[int, int] | None) -> None:
    """What is known of the matrix in view and of the selected weight, and where to go on."""
    if name is None:
        st.markdown("**In view**")
        st.caption("Zoom in or click a matrix, or a part of a block, to see its numbers.")
        _guided("model")
        _block(run, None)
        return
    try:
        line = run.matrix(name)
    except KencoreError as error:
        st.caption(state.plain(str(error)))
        return
    st.markdown(f"**{state.plain(matrices.title(line, run.matrices))}**")
    _block(run, line)
    if line["status"] != "pruned":
        st.caption(f"Not pruned: {state.plain(str(line['reason']))}.")
        return
    kept, params = int(line["kept"]), int(line["params"])
    terms = wording.terms(run.restore, coded=run.spec.coded)
    parts.pairs(
        (
            (terms.done.capitalize(), f"{wording.short_percent(kept / params)} of {params:,}"),
            (terms.change_lost.capitalize(), wording.percent(float(line["diff_lost"]))),
            matrix_parts.per_row(line, terms.done),
            ("Shape", f"{int(line['rows']):,} × {int(line['cols']):,}"),
        )
    )
    row, col = at or (None, None)
    if int(line["rows"]) > 1:
        _guided("matrix" if at is None else "weight", at=name, row=row, col=col)
    links.page_link("matrix", "Open the matrix", icon=":material/grid_on:", matrix=name, row=row, col=col)
    links.page_link("layers", "In every block", icon=":material/layers:", matrix=name)
    st.divider()
    matrix_parts.weight(run, name, at)
