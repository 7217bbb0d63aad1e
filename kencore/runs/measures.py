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
    return MatrixMeasures().add(tuned, base, keep)


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
    """Sums over a matrix that is seen some rows at a time.

    They are taken by row first, so that they are the same to the bit wherever the matrix is cut.
    """

    def __init__(self) -> None:
        self.count = self.kept = 0
        self.low, self.high = np.inf, -np.inf
        self._sums: list[NDArray[np.float64]] = []  # (5, r): values, squares, differences: all, kept, lost

    def add(self, tuned: Floats, base: Floats, keep: NDArray[np.bool_], kept: Floats | None = None) -> Columns:
        """Take in some rows (r, C) of tuned and base values and of the keep mask; ``kept`` as in `lost`.

        Returns:
            What `row_measures` says of these rows.
        """
        squared = np.square(tuned - base)  # r, C
        total, inside = _by_row(squared), _by_row(_where(keep, squared))
        gone = _where(~keep, squared)
        if kept is not None:
            gone += _where(keep, np.square(tuned - kept))
        self._sums.append(np.stack([_by_row(tuned), _by_row(np.square(tuned)), total, inside, _by_row(gone)]))
        counts, low, high = keep.sum(axis=1, dtype=np.int32), tuned.min(axis=1), tuned.max(axis=1)
        self.count += tuned.size
        self.kept += int(counts.sum())
        self.low = min(self.low, float(low.min()))
        self.high = max(self.high, float(high.max()))
        columns = tuned.shape[1]
        with np.errstate(invalid="ignore"):
            share = inside / total
        return {
            "kept": counts,
            "bandwidth": (1.06 * tuned.std(axis=1) * columns**-0.2).astype(np.float32),
            "value_min": low,
            "value_max": high,
            "diff_rms": np.sqrt(total / columns).astype(np.float32),
            "diff_share_kept": share.astype(np.float32),
        }

    def columns(self) -> dict[str, float | int]:
        """The line of this matrix in ``matrices.parquet``."""
        values, squares, diff, kept, gone = np.concatenate(self._sums, axis=1).sum(axis=1).tolist()
        mean = values / self.count
        return {
            "kept": self.kept,
            "tuned_mean": mean,
            "tuned_std": float(np.sqrt(max(0.0, squares / self.count - mean * mean))),
            "tuned_min": self.low,
            "tuned_max": self.high,
            "diff_rms": float(np.sqrt(diff / self.count)),
            "diff_share_kept": kept / diff if diff else float("nan"),
            "diff_lost": gone / diff if diff else float("nan"),
        }


def _by_row(values: Floats) -> NDArray[np.float64]:
    """Sums of rows (r,): of each the same, whatever rows lie beside it."""
    return np.asarray(values.sum(axis=1, dtype=np.float64))
