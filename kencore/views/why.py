"""Why one weight of a row was kept, or passed over for which other: numbers, to be said in words.

Shapes: C columns (entries of the row), K of them kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kencore.errors import ShapeError
from kencore.views.walk import Walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What decided about one weight.

    Attributes:
        kind: of the `Walk`: ``grid``, ``density``, ``ranked`` or ``listed``.
        column, value, kept: the weight.
        cols, kept_in_row: C and K.
        visit: of a grid, from 0: the visit whose point took the weight, or of a weight that was passed over that of
            the point nearest to it.
        point: of a grid, where that point stands.
        took: of a grid and a weight that was passed over: the value that the point took instead.
        crowd: of a grid: values that are nearer to this point than to any other, the weight included.
        height: its score or density; only where the rule ranks.
        threshold: the K-th highest score or density of the row.
        rank: place of the weight by falling height, from 1.
        sharp: whether all that is kept ranks above all that is not.
    """

    kind: str
    column: int
    value: float
    kept: bool
    cols: int
    kept_in_row: int
    visit: int | None = None
    point: float | None = None
    took: float | None = None
    crowd: int | None = None
    height: float | None = None
    threshold: float | None = None
    rank: int | None = None
    sharp: bool = True

    @property
    def agrees(self) -> bool:
        """Whether its rank alone tells what became of it."""
        return self.sharp or ((self.rank or 0) <= self.kept_in_row) == self.kept


def why(walk: Walk, column: int) -> Why:
    """What decided about a column of a row.

    Raises:
        ShapeError: the row has no such column.
    """
    cols = len(walk.values)
    if not 0 <= column < cols:
        raise ShapeError(
            f"column {column} of a row", got=f"{cols} columns", wanted=f"0 to {cols - 1}", remedy="Choose another one."
        )
    kept, value = bool(walk.keep[column]), float(walk.values[column])
    told = Why(kind=walk.kind, column=column, value=value, kept=kept, cols=cols, kept_in_row=len(walk.order))
    if walk.kind == "grid":
        return _by_grid(walk, told)
    if walk.kind in ("density", "ranked") and len(walk.order):
        return _by_rank(walk, told)
    return replace(told, kind="listed")


def _by_grid(walk: Walk, told: Why) -> Why:
    if told.kept:
        visit = int(np.flatnonzero(walk.order == told.column)[0])
    else:
        visit = int(np.abs(walk.grid - told.value).argmin())  # among points that stand alike the first visited
    took = None if told.kept else float(walk.values[walk.order[visit]])
    return replace(told, visit=visit, point=float(walk.grid[visit]), took=took, crowd=_crowd(walk, visit))


def _crowd(walk: Walk, visit: int) -> int:
    """Values between the middles of the ways to the points on both sides."""
    places = np.unique(walk.grid)
    at = int(np.searchsorted(places, walk.grid[visit]))
    low = -np.inf if at == 0 else (places[at - 1] + places[at]) / 2
    high = np.inf if at + 1 == len(places) else (places[at] + places[at + 1]) / 2
    return int(((walk.values >= low) & (walk.values < high)).sum())


def _by_rank(walk: Walk, told: Why) -> Why:
    height = walk.height
    gone = height[~walk.keep]
    return replace(
        told,
        height=float(height[told.column]),
        threshold=float(np.sort(height)[-len(walk.order)]),
        rank=int((height > height[told.column]).sum()) + 1,
        sharp=not len(gone) or bool(gone.max() <= height[walk.order].min()),
    )
