"""The masks of a run in few bytes, for a page that holds them itself.

Shapes: R rows (outputs), C columns (inputs), S x S weights per cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kencore.runs.run import Run
from kencore.views.tiles import kept_counts

SIDES: Final = (1, 8, 16, 32, 64, 128)
"""S that can be held; the largest has 16,384 weights in a cell, which 16 bits count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One mask.

    Attributes:
        rows, cols: R and C.
        cell: S; 1 says every weight.
        width: bytes of one count, 1 or 2; 0: a bit per weight, the lowest first, rows padded to bytes.
        data: counts of kept weights (ceil(R / S), ceil(C / S)) row by row, little-endian; or the bits.
    """

    rows: int
    cols: int
    cell: int
    width: int
    data: bytes


def finest(run: Run, most: int) -> int:
    """The smallest cells S in which the masks of a run take at most ``most`` bytes, or the largest there are."""
    shapes = [run.shape(name) for name in run.pruned]
    return next((side for side in SIDES if sum(_size(shape, side) for shape in shapes) <= most), SIDES[-1])


def held(run: Run, name: str, side: int) -> Held:
    """The mask of one matrix in cells of ``side`` x ``side`` weights, one of `SIDES`."""
    rows, cols = run.shape(name)
    if side == 1:
        return Held(rows=rows, cols=cols, cell=1, width=0, data=np.ascontiguousarray(run.mask_bits(name)).tobytes())
    counts = kept_counts(run, name, (side, side), slice(0, rows), slice(0, cols))
    width = _bytes(side)
    return Held(rows=rows, cols=cols, cell=side, width=width, data=counts.astype(f"<u{width}").tobytes())


def _bytes(side: int) -> int:
    """Of a count of up to S x S weights."""
    return 1 if side * side < 1 << 8 else 2


def _size(shape: tuple[int, int], side: int) -> int:
    rows, cols = shape
    if side == 1:
        return rows * -(-cols // 8)
    return -(-rows // side) * -(-cols // side) * _bytes(side)
