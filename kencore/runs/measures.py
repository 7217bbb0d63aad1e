"""What the tables of a run say about rows and matrices: pure functions of weights and masks.

Shapes: R rows (outputs), C columns (inputs). Sums are taken in float64.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Columns = dict[str, NDArray[np.generic]]


def row_measures(tuned: Floats, base: Floats, keep: NDArray[np.bool_]) -> Columns:
    """One value per row (R,): kept, bandwidth, value range, and the difference tuned - base.

    ``bandwidth`` is the rule of thumb that KEN uses (2402.03142, published code):
    1.06 * population standard deviation * C^(-1/5). ``diff_share_kept`` is the kept share of the
    squared difference, NaN where tuned and base are equal.
    """
    squared = np.square(tuned - base)  # R, C
    total = squared.sum(axis=1, dtype=np.float64)
    kept = _where(keep, squared).sum(axis=1, dtype=np.float64)
    columns = tuned.shape[1]
    with np.errstate(invalid="ignore"):
        share = kept / total
    return {
        "kept": keep.sum(axis=1, dtype=np.int32),
        "bandwidth": (1.06 * tuned.std(axis=1) * columns**-0.2).astype(np.float32),
        "value_min": tuned.min(axis=1),
        "value_max": tuned.max(axis=1),
        "diff_rms": np.sqrt(total / columns).astype(np.float32),
        "diff_share_kept": share.astype(np.float32),
    }


def lost(tuned: Floats, base: Floats, keep: NDArray[np.bool_], kept: Floats | None = None) -> float:
    """What pruning took away of some rows (r, C): the sum of (tuned - pruned)^2.

    Args:
        kept: what the pruned model holds where ``keep`` does, float32 (r, C); the tuned values
            where it is left out.
    """
    squared = _where(~keep, np.square(tuned - base))
    if kept is not None:
        squared += _where(keep, np.square(tuned - kept))
    return float(squared.sum(dtype=np.float64))


def share_lost(pieces: Iterable[tuple[Floats, Floats, NDArray[np.bool_], Floats | None]]) -> float:
    """``diff_lost`` of a matrix from its rows, some at a time: tuned, base, keep and kept as `lost` takes them.

    1 where everything went back to the base (or to zero), and more where kept values were changed
    beyond that; NaN where tuned and base are equal.
    """
    gone = total = 0.0
    for tuned, base, keep, kept in pieces:
        gone += lost(tuned, base, keep, kept)
        total += float(np.square(tuned - base).sum(dtype=np.float64))
    return gone / total if total else float("nan")


def _where(keep: NDArray[np.bool_], values: Floats) -> Floats:
    """``values`` where they are kept, 0 elsewhere: as `numpy.where`, whose branches take ten times as long."""
    found: Floats = (values.view(np.uint32) * keep).view(np.float32)
    return found


class MatrixMeasures:
    """Sums over a matrix that is seen some rows at a time."""

    def __init__(self) -> None:
        self.count = self.kept = 0
        self.sum = self.square = self.diff = self.diff_kept = self.lost = 0.0
        self.low, self.high = np.inf, -np.inf

    def add(self, tuned: Floats, base: Floats, keep: NDArray[np.bool_], kept: Floats | None = None) -> None:
        """Take in some rows (r, C) of tuned and base values and of the keep mask; ``kept`` as in `lost`."""
        squared = np.square(tuned - base)
        self.count += tuned.size
        self.kept += int(keep.sum())
        self.sum += float(tuned.sum(dtype=np.float64))
        self.square += float(np.square(tuned).sum(dtype=np.float64))
        self.diff += float(squared.sum(dtype=np.float64))
        self.diff_kept += float(_where(keep, squared).sum(dtype=np.float64))
        self.lost += lost(tuned, base, keep, kept)
        self.low = min(self.low, float(tuned.min()))
        self.high = max(self.high, float(tuned.max()))

    def columns(self) -> dict[str, float | int]:
        """The line of this matrix in ``matrices.parquet``."""
        mean = self.sum / self.count
        return {
            "kept": self.kept,
            "tuned_mean": mean,
            "tuned_std": float(np.sqrt(max(0.0, self.square / self.count - mean * mean))),
            "tuned_min": self.low,
            "tuned_max": self.high,
            "diff_rms": float(np.sqrt(self.diff / self.count)),
            "diff_share_kept": self.diff_kept / self.diff if self.diff else float("nan"),
            "diff_lost": self.lost / self.diff if self.diff else float("nan"),
        }
