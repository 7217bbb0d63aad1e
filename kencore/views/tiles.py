"""Kept weights per cell of any window, and every matrix of a model in a few cells.

A cell is h x w weights, both powers of two. Counts are exact at every level: they come from the
overview of the whole matrix, which is kept in memory, where its cells are fine enough, and else from the window's
packed bits. No torch.

Shapes: R rows (outputs), C columns (inputs), h x w weights per cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kencore.runs import bits
from kencore.runs.cells import cell_of, thin_error
from kencore.runs.run import Run

ATLAS_SIDES = (32, 16, 8, 4, 2, 1)
ATLAS_CELLS = 1 << 19  # in all matrices together


class Masked(Protocol):
    """What has keep masks: a `Run`, or two of them taken together."""

    def shape(self, name: str) -> tuple[int, int]:
        """(R, C) of a matrix."""

    def mask_bits(self, name: str, rows: slice = ...) -> bits.Bits:
        """Packed keep mask of some rows."""

    def keep(self, name: str, rows: slice = ..., columns: slice = ...) -> NDArray[np.bool_]:
        """Keep mask of a window, True = kept."""


def kept_counts(run: Run, name: str, cell: tuple[int, int], rows: slice, cols: slice) -> NDArray[np.int64]:
    """Kept weights in each h x w cell of a window that starts on a cell, (ceil(r / h), ceil(c / w)).

    Raises:
        ThinRunError: a run without masks, and cells finer than those that it keeps.

    Cells at its right and lower end count what lies inside of the window.
    """
    shape = run.shape(name)
    fine = run.overview_cell(name)
    sides = list(zip((rows, cols), shape, cell, fine, strict=True))
    whole = all(side.stop == length or side.stop % step == 0 for side, length, step, _ in sides)
    split = any(step % least for _, _, step, least in sides)
    if run.thin and (split or not whole):
        raise thin_error(run, f"Single weights of {name}")
    if split or not whole or run.stored is not run:
        return count_bits(run, name, cell, rows, cols)
    stored = overview_counts(_Key(run, name), fine)
    part = stored[rows.start // fine[0] : -(-rows.stop // fine[0]), cols.start // fine[1] : -(-cols.stop // fine[1])]
    return _sum_blocks(part, (cell[0] // fine[0], cell[1] // fine[1]))


def _sum_blocks(counts: NDArray[np.int32], step: tuple[int, int]) -> NDArray[np.int64]:
    """Sum of each block of ``step`` cells; what lies beyond the edge counts nothing."""
    spare = [(0, -length % side) for length, side in zip(counts.shape, step, strict=True)]
    full = np.pad(counts, spare) if any(last for _, last in spare) else counts
    split = full.reshape(full.shape[0] // step[0], step[0], full.shape[1] // step[1], step[1])
    return np.asarray(split.sum(axis=(1, 3), dtype=np.int64))


def count_bits(run: Masked, name: str, cell: tuple[int, int], rows: slice, cols: slice) -> NDArray[np.int64]:
    """The same from the packed mask alone."""
    if cols.start % 8:
        packed = bits.pack(run.keep(name, rows, cols))
    else:
        packed = run.mask_bits(name, rows)[:, cols.start // 8 : -(-cols.stop // 8)]
        if cols.stop % 8 and cols.stop != run.shape(name)[1]:  # cut what lies right of the window
            packed = packed.copy()
            packed[:, -1] &= (1 << cols.stop % 8) - 1
    return bits.kept_per_cell(packed, cols.stop - cols.start, cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A whole matrix in a few cells: ``share`` kept per cell as uint8, 255 = all of them."""

    name: str
    cell: tuple[int, int]
    share: NDArray[np.uint8]


def atlas(run: Run) -> list[Picture]:
    """Every pruned matrix in at most 32 x 32 cells; in fewer where there are very many."""
    shapes = {name: run.shape(name) for name in run.pruned}
    for most in ATLAS_SIDES:
        cells = {name: cell_of(shape, most) for name, shape in shapes.items()}
        total = sum(-(-shape[0] // cells[name][0]) * -(-shape[1] // cells[name][1]) for name, shape in shapes.items())
        if total <= ATLAS_CELLS:
            break
    return [_picture(run, name, cell, shapes[name]) for name, cell in cells.items()]


def _picture(run: Run, name: str, cell: tuple[int, int], shape: tuple[int, int]) -> Picture:
    whole = slice(0, shape[0]), slice(0, shape[1])
    # from the packed bits: few cells are counted at once, where the overview would be counted first and held
    count = (kept_counts if run.thin else count_bits)(run, name, cell, *whole)
    share = np.rint(255 * count / bits.cell_sizes(*shape, cell)).astype(np.uint8)
    return Picture(name=name, cell=cell, share=share)


class _Key:
    """A matrix of a run as a cache key: the folder, when its masks were written, the name."""

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name = run, name
        self.key = (str(run.path), run.written, name)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.key == other.key


@lru_cache(maxsize=64)
def overview_counts(key: _Key, fine: tuple[int, int]) -> NDArray[np.int32]:
    """Kept weights per cell of a whole matrix."""
    if key.run.thin:
        return key.run.stored_cells.counts(key.name, key.run.shape(key.name))[1]
    counts = bits.kept_per_cell(key.run.mask_bits(key.name), key.run.shape(key.name)[1], fine)
    return counts.astype(np.int32)
