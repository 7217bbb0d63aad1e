"""What pruning took away, matrix by matrix, and which number of a run tells most: for colours.

Pure functions of a run's table of matrices and of its input norms.

Shapes: R rows (outputs), C columns (inputs), r rows of one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.views import sparsity
from kencore.views import window as views
from kencore.views.window import Window

if TYPE_CHECKING:
    from kencore.runs.run import Run

Floats = NDArray[np.floating[Any]]
VECTORS = ("norm", "bias")
APART: Final = 0.02  # lost shares of parts that are closer to their mean are about the same
Told = Literal["share", "diff_lost", "bits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What pictures of a whole model show where nobody chose.

    Attributes:
        measure: ``share`` (kept share), ``diff_lost`` (share of the squared change that was lost), or ``bits`` (per
            weight, where differences are coded).
        known: whether the run knows what was lost.
    """

    measure: Told
    known: bool


def usual(matrices: pd.DataFrame, *, coded: bool = False) -> Usual:
    """The kept share where it differs between matrices by more than rounding; else what was lost.

    Args:
        matrices: of a run, or the lines of one family.
        coded: the run codes differences: what is kept of a weight is no yes or no.
    """
    known = knows_lost(matrices)
    if coded:
        return Usual(measure="bits", known=known)
    return Usual(measure="share" if not known or not evenly_kept(matrices) else "diff_lost", known=known)


def knows_lost(matrices: pd.DataFrame) -> bool:
    """Whether all pruned matrices whose weights moved at all say what they lost, and there is one."""
    moved = matrices[(matrices["status"] == "pruned") & (matrices["diff_rms"] > 0)]
    return len(moved) > 0 and bool(moved["diff_lost"].notna().all())


def evenly_kept(matrices: pd.DataFrame) -> bool:
    """Whether all pruned matrices keep the same share but for rounding; those of one row count only alone."""
    pruned = matrices[matrices["status"] == "pruned"]
    several = pruned[pruned["rows"] > 1]
    table = pruned if several.empty else several
    return sparsity.alike(table.assign(sparsity=1 - table["kept"] / table["params"]))


def input_error(dense: Floats, pruned: Floats) -> float:
    """How far the norms (C,) of a matrix's inputs moved: ||pruned - dense||_2 / ||dense||_2; NaN for no inputs."""
    before, after = (np.asarray(norms, np.float64) for norms in (dense, pruned))
    whole = float(np.linalg.norm(before))
    return float(np.linalg.norm(after - before)) / whole if whole else float("nan")


def input_errors(run: Run) -> dict[str, float]:
    """`input_error` of every pruned matrix of which the run kept input norms.

    Raises:
        CorruptRunError: the file of norms is there and does not fit.
    """
    found = {}
    for name in run.pruned:
        norms = run.activation_norms(name)
        if norms is None:
            continue
        found[name] = input_error(*norms)
    return found


def with_input_errors(matrices: pd.DataFrame, errors: dict[str, float]) -> pd.DataFrame:
    """The table with a column ``input_error``, NaN where there is none."""
    return matrices.assign(input_error=matrices["name"].map(errors).astype("float64"))


def lost_window(run: Run, name: str, rows: int, cols: int, cell: tuple[int, int]) -> Window:
    """The first ``rows`` x ``cols`` weights of a pruned matrix in cells of ``cell`` weights, powers of two: the lost
    share of each cell's squared change, float32, NaN where nothing changed. Read some rows at a time.

    Raises:
        MatrixNotFoundError: no such matrix, or one that was not pruned.
        SourceNotFoundError, CheckpointChangedError: the weights are not there any more.
    """
    seen = views.window(run, name, "kept", 0, rows, 0, cols, cell=cell)
    step = max(1, views.ROWS_AT_ONCE // cols // cell[0]) * cell[0]
    parts = [
        _lost_cells(run, name, slice(first, min(first + step, rows)), slice(0, cols), cell)
        for first in range(0, rows, step)
    ]
    return replace(seen, layer="lost", data=np.concatenate(parts))


def _lost_cells(run: Run, name: str, rows: slice, cols: slice, cell: tuple[int, int]) -> NDArray[np.float32]:
    tuned = run.values(name, "tuned", rows, cols).astype(np.float64)  # r, C
    gone = np.square(tuned - run.values(name, "pruned", rows, cols))
    whole = np.square(tuned - run.values(name, "base", rows, cols))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_sums(gone, cell) / _sums(whole, cell), np.float32)


def _sums(values: NDArray[np.float64], cell: tuple[int, int]) -> NDArray[np.float64]:
    """The sum of each h x w cell; the last ones may be cut short."""
    down = np.add.reduceat(values, np.arange(0, values.shape[0], cell[0]), axis=0)
    return np.add.reduceat(down, np.arange(0, values.shape[1], cell[1]), axis=1)


def alike(lost: Sequence[float]) -> bool:
    """Whether shares that were lost are about the same: none is `APART` or more from their mean."""
    mean = sum(lost) / len(lost) if lost else 0.0
    return all(abs(share - mean) < APART for share in lost)


def stretched(cells: pd.DataFrame, measure: str) -> pd.Series[float]:
    """The values that colours are stretched over: of pruned matrices; norms and biases count only alone.

    Args:
        cells: `kencore.views.tables.model_cells`.
        measure: one of its columns.
    """
    pruned = cells[cells["pruned"] > 0]
    matrices = pruned[~pruned["role"].isin(VECTORS)]
    return (pruned if matrices.empty else matrices)[measure].dropna().astype(float)


def span(values: Iterable[float], *, full: tuple[float, float] | None = None) -> tuple[float, float]:
    """Ends of a colour scale: the range of the finite values, or ``full``.

    Equal values, and none at all, have no range: they are given the one from 0 to the value, or to 1.
    """
    if full is not None:
        return full
    known = [float(value) for value in values if np.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    return (low, high) if high > low else (min(0.0, low), high if high > 0 else 1.0)
