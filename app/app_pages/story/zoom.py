"""The guided zoom: the map of the model flies from step to step, with what is seen beside and below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from app import viewer
from app.app_pages.story import place
from app.app_pages.story import walk as story_walk
from app.frame import links, parts
from app.parts import block_drawing
from kencore.methods.table import METHODS
from kencore.views import walk as walks
from kencore.words import numbers as wording
from kencore.words.why import told_apart

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.example import Example
    from kencore.views.guide import Guide
    from kencore.words.zoom import Step

MAP: Final = "story_map"
_NEW: Final = dict.fromkeys(("r0", "r1", "c0", "c1"))


def show(run: Run, step: Step, way: Guide, example: Example | None, *, bare: bool) -> None:
    """Draw a step of the zoom.

    Args:
        bare: nothing to save and no way to other pages, as for a presentation.
    """
    with st.grid(4, min_column_width=230, gap="small") as grid:
        with grid.cell(column_span=3):
            _map(run, step, way, bare=bare)
        with grid.cell(), st.container(gap="small", key="story_aside"):
            _aside(run, step, example, bare=bare)
    if example is not None and step.key in ("row", "kept", "gone"):
        _walk(run, step, example)


def _map(run: Run, step: Step, way: Guide, *, bare: bool) -> None:
    usual = "lost" if way.known else "kept"
    layer = usual if step.near in ("model", "block") else "kept"
    weight = step.near == "weight"
    view = viewer.View(
        at=step.matrix if step.near != "model" else None,
        row=step.row if weight else None,
        col=step.col if weight else None,
        layer=layer,
    )
    guided = viewer.Guided(near=str(step.near), matrix=step.matrix, row=step.row, col=step.col, bare=bare)

    def picked() -> None:
        """A click on another weight: the story tells of that one."""
        cell = (st.session_state.get(MAP) or {}).get("cell") or {}
        if cell.get("row") is None or run.matrix(str(cell["matrix"]))["rows"] < 2:
            return
        links.write(at=cell["matrix"], row=int(cell["row"]), col=int(cell["col"]), step=place.WEIGHT)

    source = viewer.source(run, run.id)
    viewer.weight_map([source], view, key=MAP, on_cell=picked, usual=usual, lost=way.known, guided=guided)


def _aside(run: Run, step: Step, example: Example | None, *, bare: bool) -> None:
    line = None if step.matrix is None else run.matrix(step.matrix)
    deep = step.near not in ("model", "block")

    def go(name: str) -> None:
        links.write(at=name, row=None, col=None, step="matrix", **_NEW)

    def address(name: str) -> str:
        return links.link("story", run=run.id, at=name, step="matrix")

    if not (bare and step.near in ("row", "weight")):
        lit = line if deep else None
        block_drawing.draw(run, line, key="story-block", address=address, go=go, wide=False, lit=lit is not None)
    if step.near == "weight" and example is not None and step.col is not None:
        parts.pairs(_values(run, example, step.col))
    if deep and not bare:
        _ways(step)


def _values(run: Run, example: Example, column: int) -> list[tuple[str, str]]:
    """The weight before and after, where it stands."""
    paired, dense = run.restore == "base", wording.TERMS[run.restore].dense
    base, tuned, now = told_apart([float(side[column]) for side in (example.base, example.tuned, example.now)])
    return [
        ("Row, column", f"{example.row:,}, {column:,}"),
        *([("Base model", base)] if paired else []),
        (f"{dense.capitalize()} model", tuned),
        ("Pruned model", now),
    ]


def _ways(step: Step) -> None:
    """The same place on other pages."""
    row, col = (step.row, step.col) if step.near == "weight" else (None, None)
    links.page_link("matrix", "The matrix", icon=":material/grid_on:", matrix=step.matrix, row=row, col=col)
    if step.row is not None:
        links.page_link("row", "The row", icon=":material/show_chart:", matrix=step.matrix, row=step.row)


def _walk(run: Run, step: Step, example: Example) -> None:
    found = walks.scores(run, example.matrix, example.tuned, example.base)
    axis = "how crowded (density)" if len(example.walk.curve_x) else "" if found is None else found[1]
    focus = None if step.near == "row" else step.col
    name = f"{run.id} {example.matrix} {example.row}"
    story_walk.draw_walk(example.walk, name, axis, run.restore, focus=focus)
    if example.walk.kind == "ranked" and METHODS[run.spec.method].activations:
        st.caption(
            "The scores are those of the finished model; the run ranked before this block was pruned, so the cut need "
            "not be sharp."
        )
