"""How one row was chosen, entry by entry: what an animation of it shows. Numpy alone.

The last frame of a walk is the stored mask, whatever the rule: a rule gives the order alone.

Shapes: C columns (entries of the row), K of them kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.errors import ShapeError
from kencore.methods.ken.explained import RowExplanation, explain_row
from kencore.methods.table import METHODS

if TYPE_CHECKING:
    from kencore.runs.run import Run

KINDS: Final = ("grid", "density", "ranked", "listed")


def _none() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """One row's choice as a sequence of visits, each of which takes one entry.

    Attributes:
        kind: ``grid``: points of an even grid, by falling density, each take the nearest free
            value; ``density``: entries by falling density; ``ranked``: entries by falling score;
            ``listed``: the kept entries by column, since nothing that orders them is known.
        values: float32 (C,).
        keep: bool (C,), the stored mask.
        order: int64 (K,), the entries in the order in which they are taken.
        grid, grid_density: float64 (K,), the point of each visit and its density; only of a grid.
        height: float64 (C,), what entries are ranked by: density or score; else empty.
        curve_x, curve_y: float64 (P,), the row's density; only where the rule uses it.
    """

    kind: str
    values: NDArray[np.float32]
    keep: NDArray[np.bool_]
    order: NDArray[np.int64]
    grid: NDArray[np.float64] = field(default_factory=_none)
    grid_density: NDArray[np.float64] = field(default_factory=_none)
    height: NDArray[np.float64] = field(default_factory=_none)
    curve_x: NDArray[np.float64] = field(default_factory=_none)
    curve_y: NDArray[np.float64] = field(default_factory=_none)

    def taken(self, visits: int) -> NDArray[np.bool_]:
        """The mask (C,) after so many visits; after all of them it is ``keep``."""
        mask = np.zeros(len(self.values), np.bool_)
        mask[self.order[:visits]] = True
        return mask


def scores(
    run: Run, name: str, tuned: NDArray[np.float32], base: NDArray[np.float32]
) -> tuple[NDArray[np.float32], str] | None:
    """What a run's rule ranked the entries of a row by, (C,), with its name; ``None`` where the run does not hold all
    that goes into it.

    Args:
        tuned, base: float32 (C,) of the row.
    """
    row = METHODS[run.spec.method]
    norms = run.activation_norms(name) if row.activations else None
    if row.row_score is None or (row.activations and norms is None):
        return None
    seen = None if norms is None else norms[0] if run.spec.propagate == "dense" else norms[1]
    return row.row_score(tuned, base, seen), row.row_score_label


def run_walk(
    run: Run, name: str, tuned: NDArray[np.float32], base: NDArray[np.float32], keep: NDArray[np.bool_]
) -> Walk:
    """The walk of a row of a run: its values and mask, each (C,). Raises as `walk_row`."""
    found = scores(run, name, tuned, base)
    return walk_row(tuned, keep, run.spec.method, score=None if found is None else found[0])


def walk_row(values: NDArray[Any], keep: NDArray[np.bool_], rule: str, *, score: NDArray[Any] | None = None) -> Walk:
    """The walk that leads to a row's stored mask.

    Args:
        values: (C,) weights that the rule looked at.
        keep: (C,) the stored mask.
        rule: of the run. Where following it does not give the stored mask (entries were swapped
            afterwards, the weights were others), the walk is ``listed``.
        score: (C,) what a ranking rule ranked by, if it is known.

    Raises:
        ShapeError: not vectors of one length.
    """
    sizes = {values.shape, keep.shape, values.shape if score is None else score.shape}
    if values.ndim != 1 or len(sizes) > 1:
        raise ShapeError(
            "A row and its mask",
            got=f"shapes {values.shape} and {keep.shape}",
            wanted="vectors of one length",
            remedy="Pass one row.",
        )
    row = values.astype(np.float32)
    kept = np.flatnonzero(keep).astype(np.int64)  # K
    if METHODS[rule].density and len(kept):
        found = explain_row(row, len(kept), rule)
        if bool((found.keep == keep).all()):
            return _by_density(row, keep, found)
    if score is not None:
        order = kept[np.argsort(-score[kept].astype(np.float64), kind="stable")]
        return Walk(kind="ranked", values=row, keep=keep, order=order, height=score.astype(np.float64))
    return Walk(kind="listed", values=row, keep=keep, order=kept)


def _by_density(row: NDArray[np.float32], keep: NDArray[np.bool_], found: RowExplanation) -> Walk:
    curve = {"curve_x": found.curve_x, "curve_y": found.curve_y}
    if len(found.order):
        return Walk(
            kind="grid",
            values=row,
            keep=keep,
            order=found.taken[found.order],
            grid=found.grid[found.order].astype(np.float64),
            grid_density=found.grid_density[found.order],
            **curve,
        )
    kept = np.flatnonzero(keep).astype(np.int64)
    order = kept[np.argsort(-found.entry_density[kept], kind="stable")]
    return Walk(kind="density", values=row, keep=keep, order=order, height=found.entry_density, **curve)
