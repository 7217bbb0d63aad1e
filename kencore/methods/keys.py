"""Whole numbers that sort like weights: the upper half ranks the value, the lower the column.

Sorting them is stable, faster than an argsort, and the k smallest of a row are exactly k.

Shapes: R rows, C columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kencore.methods.chunks import Budget, Mask

Float32 = NDArray[np.float32]
Keys = NDArray[np.uint64]
HALF = np.uint64(32)
SIGN = np.uint32(0x80000000)
REST = np.uint32(0x7FFFFFFF)


def with_columns(ranks: NDArray[np.uint32]) -> Keys:
    """uint32 ranks (R, C), lowest first, with the column as the tie-break: uint64 (R, C)."""
    keys = ranks.astype(np.uint64)
    keys <<= HALF
    keys |= np.arange(ranks.shape[1], dtype=np.uint64)
    return keys


def sorted_rows(values: Float32) -> tuple[Float32, NDArray[np.int32]]:
    """Each row sorted, and the column each entry came from, rising among equal values.

    -0.0 and 0.0 are one value (and come out as 0.0); subnormals keep their order.
    """
    bits = (values + np.float32(0.0)).view(np.uint32)  # -0.0 + 0.0 is 0.0
    # a float's bits rise with it after: sign set for positive, all flipped for negative
    bits ^= (bits >> np.uint32(31)) * REST | SIGN
    keys = with_columns(bits)
    keys.sort(axis=1)
    columns = keys.astype(np.uint32).view(np.int32)
    keys >>= HALF
    bits = keys.astype(np.uint32)
    bits ^= (bits >> np.uint32(31) ^ np.uint32(1)) * REST | SIGN
    return bits.view(np.float32), columns


class Ordered:
    """Rows of which a rule keeps the entries of smallest key. 16 bytes per entry."""

    def __init__(self, keys: Keys) -> None:
        """``keys``: uint64 (R, C), no two equal within a row."""
        self._keys = keys
        self._sorted = np.sort(keys, axis=1)

    def keep(self, budget: Budget) -> Mask:
        """The keep mask (R, C), True at the ``budget`` (R,) smallest keys of each row."""
        last = np.take_along_axis(self._sorted, budget[:, None] - 1, axis=1)  # (R, 1)
        return self._keys <= last

    def columns(self) -> NDArray[np.int64]:
        """The columns of each row (R, C) in the order in which they are kept."""
        return np.argsort(self._keys, axis=1)
