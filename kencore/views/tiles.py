"""What the map of a whole model shows: every matrix in a few cells, and tiles of any of them.

A tile is `SIDE` x `SIDE` cells of h x w weights, both powers of two; tile (i, j) starts at row
i * `SIDE` * h and column j * `SIDE` * w, so that the same tiles serve every view of a zoom level.
Counts are exact at every level: they come from the stored overview where its cells are fine enough,
and from the packed bits where they are not. No torch.

Shapes: R rows (outputs), C columns (inputs), h x w weights per cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import MatrixNotFoundError, SpecError
from kencore.runs import bits
from kencore.runs.run import Run
from kencore.runs.writer import overview_cell
from kencore.views import window as views
from kencore.views.window import LAYERS

SIDE = 64
MOST_TILES = 400  # in one answer
ATLAS_SIDES = (32, 16, 8, 4, 2, 1)
ATLAS_CELLS = 1 << 19  # in all matrices together
EXACT_SHARES = 2048  # weights per cell up to which a float16 share gives its count back


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """A rectangle of tiles of one layer.

    Attributes:
        rows, cols: first and one past the last row (column), in weights.
        cell: (h, w) weights per cell.
        count: kept weights per cell, the smallest unsigned integer type that holds h * w.
        data: float32 per cell: the signed value of largest magnitude, or the mean number of kept
            neighbours (NaN where nothing is kept); ``None`` for the layer ``kept``.
    """

    layer: str
    rows: tuple[int, int]
    cols: tuple[int, int]
    cell: tuple[int, int]
    count: NDArray[np.unsignedinteger[Any]]
    data: NDArray[np.float32] | None


def tiles(run: Run, name: str, layer: str, cell: tuple[int, int], down: slice, right: slice) -> Tiles:
    """Tiles ``down`` (of rows) by ``right`` (of columns) of a pruned matrix.

    Raises:
        SpecError: an unknown layer, a cell that is no power of two, too many tiles.
        MatrixNotFoundError: no such matrix, or tiles outside of it.
    """
    _check(run, name, layer, cell, down, right)
    rows, cols = (
        slice(side.start * SIDE * step, min(side.stop * SIDE * step, length))
        for side, step, length in zip((down, right), cell, run.shape(name), strict=True)
    )
    count = kept_counts(run, name, cell, rows, cols)
    data = None if layer == "kept" else _data(run, name, layer, cell, rows, cols)
    kind = np.min_scalar_type(cell[0] * cell[1])
    return Tiles(
        layer=layer,
        rows=(rows.start, rows.stop),
        cols=(cols.start, cols.stop),
        cell=cell,
        count=count.astype(kind),
        data=data,
    )


def _data(run: Run, name: str, layer: str, cell: tuple[int, int], rows: slice, cols: slice) -> NDArray[np.float32]:
    spans = (rows.start, rows.stop), (cols.start, cols.stop)
    found = views.window_in_cells(run, name, layer, *spans, cell).data
    if found.dtype == np.uint8:  # neighbours of single weights
        found = np.where(found == views.RESET, np.float32(np.nan), found)
    return found.astype(np.float32)


def kept_counts(run: Run, name: str, cell: tuple[int, int], rows: slice, cols: slice) -> NDArray[np.int64]:
    """Kept weights in each h x w cell of a window, (ceil(r / h), ceil(c / w)).

    The window starts on a tile, and ends on one or at the edge of the matrix.
    """
    shape = run.shape(name)
    fine = overview_cell(*shape)
    if cell[0] % fine[0] or cell[1] % fine[1] or fine[0] * fine[1] >= EXACT_SHARES:
        return _count_bits(run, name, cell, rows, cols)
    stored = overview_counts(_Key(run, name), fine)
    part = stored[rows.start // fine[0] : -(-rows.stop // fine[0]), cols.start // fine[1] : -(-cols.stop // fine[1])]
    return _sum_blocks(part, (cell[0] // fine[0], cell[1] // fine[1]))


def _sum_blocks(counts: NDArray[np.int32], step: tuple[int, int]) -> NDArray[np.int64]:
    """Sum of each block of ``step`` cells; what lies beyond the edge counts nothing."""
    spare = [(0, -length % side) for length, side in zip(counts.shape, step, strict=True)]
    full = np.pad(counts, spare) if any(last for _, last in spare) else counts
    split = full.reshape(full.shape[0] // step[0], step[0], full.shape[1] // step[1], step[1])
    return np.asarray(split.sum(axis=(1, 3), dtype=np.int64))


def _count_bits(run: Run, name: str, cell: tuple[int, int], rows: slice, cols: slice) -> NDArray[np.int64]:
    packed = run.mask_bits(name, rows)[:, cols.start // 8 : -(-cols.stop // 8)]  # SIDE: whole bytes
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
        cells = {name: atlas_cell(shape, most) for name, shape in shapes.items()}
        total = sum(-(-shape[0] // cells[name][0]) * -(-shape[1] // cells[name][1]) for name, shape in shapes.items())
        if total <= ATLAS_CELLS:
            break
    return [_picture(run, name, cell, shapes[name]) for name, cell in cells.items()]


def atlas_cell(shape: tuple[int, int], most: int) -> tuple[int, int]:
    """The smallest powers of two (h, w) with at most ``most`` x ``most`` cells."""
    sides = [1, 1]
    for axis, length in enumerate(shape):
        while -(-length // sides[axis]) > most:
            sides[axis] *= 2
    return sides[0], sides[1]


def _picture(run: Run, name: str, cell: tuple[int, int], shape: tuple[int, int]) -> Picture:
    whole = slice(0, shape[0]), slice(0, shape[1])
    count = kept_counts(run, name, cell, *whole)
    share = np.rint(255 * count / bits.cell_sizes(*shape, cell)).astype(np.uint8)
    return Picture(name=name, cell=cell, share=share)


class _Key:
    """A matrix of a run as a cache key: the folder, when its masks were written, the name."""

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name = run, name
        masks = (run.path / "masks.safetensors").stat().st_mtime_ns
        self.key = (str(run.path), masks, name)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.key == other.key


@lru_cache(maxsize=64)
def overview_counts(key: _Key, fine: tuple[int, int]) -> NDArray[np.int32]:
    """Kept weights per cell of the stored overview: float16 shares of few weights are exact."""
    shares = key.run.overview(key.name).astype(np.float32)
    rows, cols = key.run.shape(key.name)
    tall = np.minimum(fine[0], rows - np.arange(0, rows, fine[0])).astype(np.float32)
    wide = np.minimum(fine[1], cols - np.arange(0, cols, fine[1])).astype(np.float32)
    return np.rint(shares * (tall[:, None] * wide)).astype(np.int32)


def _check(run: Run, name: str, layer: str, cell: tuple[int, int], down: slice, right: slice) -> None:
    if layer not in LAYERS:
        raise SpecError("layer", got=repr(layer), wanted=f"one of {', '.join(LAYERS)}", remedy="Choose one of these.")
    if any(side < 1 or side & (side - 1) for side in cell):
        raise SpecError(
            "cell",
            got=f"{cell[0]} x {cell[1]} weights",
            wanted="two powers of two",
            remedy="Ask for a cell of 1, 2, 4, 8, ... rows and columns.",
        )
    many = (down.stop - down.start) * (right.stop - right.start)
    if many > MOST_TILES:
        raise SpecError(
            "tiles",
            got=f"{many} at once",
            wanted=f"at most {MOST_TILES}",
            remedy="Ask for fewer, or for a larger cell.",
        )
    for side, step, length in zip((down, right), cell, run.shape(name), strict=True):
        last = -(-length // (SIDE * step))
        if not 0 <= side.start < side.stop <= last:
            raise MatrixNotFoundError(
                name,
                got=f"tiles {side.start} to {side.stop - 1} at {step} weights per cell",
                wanted=f"tiles within 0 to {last - 1}",
                remedy="Open the whole matrix instead.",
            )
