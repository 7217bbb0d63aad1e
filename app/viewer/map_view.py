"""The map of a whole model as a part of a page, and the view that an address asks of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from app import viewer
from app.frame import links, state
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

EDGES = ("r0", "r1", "c0", "c1")
PLAIN = re.compile(r"-?\d{1,9}(\.\d{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a link shows: ``at`` a matrix (None: the whole model) a window, and a selected weight.

    The window is in rows and columns of the matrix; where more than it is in sight, it goes beyond
    it, below zero too. The fields are in the order in which the script writes them.
    """

    at: str | None = None
    r0: float | None = None
    r1: float | None = None
    c0: float | None = None
    c1: float | None = None
    row: int | None = None
    col: int | None = None
    layer: str = "kept"
    reset: str = "hidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One run of the map, and the identity of its files."""

    run: str
    stamp: str
    title: str
    restore: str


def source(run: Run, title: str) -> Source:
    """What the map needs to know of a run."""
    return Source(run=run.id, stamp=state.stamp(run.path), title=title, restore=run.restore)


def view_of(run: Run) -> View:
    """The view that the address asks for.

    Raises:
        MatrixNotFoundError: ``at`` names no matrix of the run.
        LinkError: a number or a layer that there is not.
    """
    looks: dict[str, Any] = {
        "layer": links.choice("layer", tuple(wording.layers(run.restore)), "kept"),
        "reset": links.choice("reset", viewer.RESET, "hidden"),
    }
    at = links.value("at")
    if at is None:
        return View(**looks)
    rows, cols = run.shape(at)
    window = {name: _edge(name) for name in EDGES}
    if None in window.values():
        window = dict.fromkeys(EDGES)
    else:
        _check_order(window)
    row, col = links.number("row", high=rows - 1), links.number("col", high=cols - 1)
    if (row is None) != (col is None):
        row, col = row or 0, col or 0
    r0, r1, c0, c1 = window.values()
    return View(at=at, r0=r0, r1=r1, c0=c0, c1=c1, row=row, col=col, **looks)


def _edge(name: str) -> float | None:
    """A number that may lie outside of the matrix; a whole one stays whole."""
    text = links.value(name)
    if text is None:
        return None
    if not PLAIN.fullmatch(text):
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


def model_map(sources: Sequence[Source], view: View, *, key: str, on_cell: Callable[[], None]) -> dict[str, Any] | None:
    """Draw the map of one run, or of two side by side that move in step.

    Returns the matrix that is looked at and the selected weight, ``{"matrix", "row", "col"}``, all
    ``None`` while more than one matrix is in view. ``on_cell`` runs before the script does when
    another one is looked at.
    """
    data = viewer.common() | {"sources": [asdict(one) for one in sources], "view": asdict(view)}
    start = {"matrix": view.at, "row": view.row, "col": view.col}
    found = viewer.mount()(key=key, data=data, default={"cell": start}, on_cell_change=on_cell)
    cell: dict[str, Any] | None = found.cell
    return cell
