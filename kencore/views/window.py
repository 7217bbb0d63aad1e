"""What a picture of one matrix shows: any window of it, in cells of any size, in five layers, and a sixth of a run
that codes differences: the level of each.

A cell holds h x w weights, both powers of two; at 1 x 1 every number is exact. Windows start on
a multiple of the cell. No torch: the web process draws with this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kencore.errors import MatrixNotFoundError, SpecError
from kencore.runs import bits
from kencore.runs.run import Run
from kencore.runs.weights import Which
from kencore.views.tiles import kept_counts

Layer = Literal["kept", "tuned", "base", "difference", "neighbours"]
LAYERS: tuple[str, ...] = get_args(Layer)
CODED: Final = "levels"
RESET = 255  # in the neighbours layer: an entry that was not kept
DIRECT = 1 << 22  # weights: larger windows come from a cached picture of the whole matrix
ROWS_AT_ONCE = 1 << 22  # weights reduced at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window of one layer.

    Attributes:
        rows, cols: first and one past the last row (column) shown, in weights.
        cell: (h, w) weights per cell.
        data: one value per cell. kept: uint8 0/1 (1 x 1) or float32 share; tuned, base and
            difference: float32, the signed value of largest magnitude in the cell; neighbours:
            uint8 0..4 with 255 = reset (1 x 1), or the float32 mean over kept entries, NaN = none;
            levels: float32, the level (1 x 1), or the mean size of the levels of all entries.
        count: kept weights per cell, whole numbers.
    """

    layer: str
    rows: tuple[int, int]
    cols: tuple[int, int]
    cell: tuple[int, int]
    data: NDArray[Any]
    count: NDArray[Any]

    @property
    def kept(self) -> NDArray[np.float32]:
        """Share kept per cell."""
        (r0, r1), (c0, c1) = self.rows, self.cols
        sizes = bits.cell_sizes(r1 - r0, c1 - c0, self.cell)
        return (self.count / sizes).astype(np.float32)


def window(
    run: Run,
    name: str,
    layer: str,
    r0: int = 0,
    r1: int | None = None,
    c0: int = 0,
    c1: int | None = None,
    *,
    cell: tuple[int, int] = (1, 1),
) -> Window:
    """Rows ``r0:r1`` and columns ``c0:c1`` of a layer in cells of ``cell`` = (h, w) weights, both powers of
    two; to the end of the matrix where ``r1`` or ``c1`` is ``None``.

    Raises:
        SpecError: an unknown layer, or a cell of another size.
        MatrixNotFoundError: no such matrix, or a window outside of it.
    """
    known = (*LAYERS, CODED) if run.spec.coded else LAYERS
    if layer not in known:
        raise SpecError("layer", got=repr(layer), wanted=f"one of {', '.join(known)}", remedy="Choose one of these.")
    rows, cols = edges(run, name, (r0, r1), (c0, c1), cell)
    count = kept_counts(run, name, cell, rows, cols)
    spans = {"rows": (rows.start, rows.stop), "cols": (cols.start, cols.stop)}
    found = Window(layer=layer, cell=cell, data=count, count=count, **spans)
    if layer == "kept":
        data: NDArray[Any] = found.kept if cell != (1, 1) else count.astype(np.uint8)
    elif layer == CODED and cell != (1, 1):
        data = _mean_levels(run, name, rows, cols, cell)
    elif layer == "neighbours":
        data = _neighbours(run, name, rows, cols, cell)
    else:
        data = _extremes(run, name, layer, rows, cols, cell)
    return replace(found, data=data)


def edges(
    run: Run, name: str, rows: tuple[int, int | None], cols: tuple[int, int | None], cell: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of a window, moved back to start on a whole cell. Raises as `window`."""
    if any(side < 1 or side & (side - 1) for side in cell):
        raise SpecError(
            "cell",
            got=f"{cell[0]} x {cell[1]} weights",
            wanted="two powers of two",
            remedy="Ask for a cell of 1, 2, 4, 8, ... rows and columns.",
        )
    shape = run.shape(name)
    (r0, r1), (c0, c1) = rows, cols
    r1, c1 = shape[0] if r1 is None else r1, shape[1] if c1 is None else c1
    _check_window(name, (r0, r1, shape[0]), (c0, c1, shape[1]))
    return slice(r0 - r0 % cell[0], r1), slice(c0 - c0 % cell[1], c1)


def cell_side(span: int, most: int) -> int:
    """The smallest power of two that fits ``span`` weights, wherever they start, into ``most`` cells."""
    side = 1
    while -(-span // side) + (side > 1) > most:
        side *= 2
    return side


def cell(run: Run, name: str, row: int, col: int) -> dict[str, Any]:
    """All that is known of one weight; ranks count from 1 at the largest magnitude of its row.

    Raises:
        MatrixNotFoundError: no such matrix, row or column.
    """
    rows, cols = run.shape(name)
    _check_window(name, (row, row + 1, rows), (col, col + 1, cols))
    line = slice(row, row + 1)
    tuned = run.values(name, "tuned", line)[0]
    base = run.values(name, "base", line)[0]
    keep = run.keep(name, line)[0]
    change = tuned - base
    return {
        "row": row,
        "col": col,
        "tuned": float(tuned[col]),
        "base": float(base[col]),
        "difference": float(change[col]),
        "kept": bool(keep[col]),
        "pruned": float(run.values(name, "pruned", line)[0, col]),
        "neighbours": _neighbours_of(run, name, row, col),
        "rank_value": _rank(np.abs(tuned), col),
        "rank_difference": _rank(np.abs(change), col),
        "row_kept": int(keep.sum()),
        "cols": cols,
        "rows": rows,
    }


def _neighbours_of(run: Run, name: str, row: int, col: int) -> int:
    top, left = max(0, row - 1), max(0, col - 1)
    patch = run.keep(name, slice(top, row + 2), slice(left, col + 2))
    return int(bits.count_neighbours(patch)[row - top, col - left])


def _rank(size: NDArray[np.float32], col: int) -> int:
    """Place of one entry by falling size; of equal ones the lower index comes first."""
    return int((size > size[col]).sum() + (size[:col] == size[col]).sum()) + 1


def _check_window(name: str, *spans: tuple[int, int, int]) -> None:
    for (first, last, total), what in zip(spans, ("rows", "columns"), strict=True):
        if not 0 <= first < last <= total:
            raise MatrixNotFoundError(
                name,
                got=f"{what} {first} to {last - 1}",
                wanted=f"{what} within 0 to {total - 1}",
                remedy="Open the whole matrix and zoom from there.",
            )


def _neighbours(run: Run, name: str, rows: slice, cols: slice, cell: tuple[int, int]) -> NDArray[Any]:
    """Cells at the right and lower edge of the window show the whole cell of the matrix."""
    if cell == (1, 1):
        keep, counts = _keep_and_counts(run, name, rows, cols)
        return np.where(keep, counts, np.uint8(RESET))
    total_rows, total_cols = run.shape(name)
    rows = slice(rows.start, min(total_rows, -(-rows.stop // cell[0]) * cell[0]))
    cols = slice(cols.start, min(total_cols, -(-cols.stop // cell[1]) * cell[1]))
    if (rows.stop - rows.start) * (cols.stop - cols.start) <= DIRECT:
        keep, counts = _keep_and_counts(run, name, rows, cols)
        kept = sum_cells(keep.view(np.uint8), cell)
        total = sum_cells(np.where(keep, counts, np.uint8(0)), cell)
    else:
        total, kept = (
            _part(sum_cells(sums, step), rows, cols, cell) for sums, step in _neighbour_sums(_Key(run), name, cell)
        )
    with np.errstate(invalid="ignore"):
        return (total / kept).astype(np.float32)  # 0 / 0: nothing kept, NaN


def _keep_and_counts(run: Run, name: str, rows: slice, cols: slice) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """The mask of a window and the kept neighbours of each of its entries."""
    top, left = max(0, rows.start - 1), max(0, cols.start - 1)  # one more row and column around
    around = run.keep(name, slice(top, rows.stop + 1), slice(left, cols.stop + 1))
    inside = (slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left))
    return around[inside], bits.count_neighbours(around)[inside]


def sum_cells(values: NDArray[Any], cell: tuple[int, int]) -> NDArray[np.int64]:
    """Sum of each h x w cell, (R, C) -> cells; the last ones may be cut short."""
    down = bits.sum_rows(values, cell[0])
    return np.add.reduceat(down, np.arange(0, values.shape[1], cell[1]), axis=1)


def _extremes(run: Run, name: str, layer: str, rows: slice, cols: slice, cell: tuple[int, int]) -> NDArray[np.float32]:
    if (rows.stop - rows.start) * (cols.stop - cols.start) <= DIRECT:
        return _read_extremes(run, name, layer, rows, cols, cell)
    fine, step = _fine(cell, 4, run.shape(name))
    return _part(extreme(_picture(_Key(run.stored), name, layer, fine), step), rows, cols, cell)


def _read_extremes(
    run: Run, name: str, layer: str, rows: slice, cols: slice, cell: tuple[int, int]
) -> NDArray[np.float32]:
    """Reduce value windows chunk by chunk: memory stays at a few MB."""
    which: Which = layer  # type: ignore[assignment]
    height = cell[0]
    step = max(1, ROWS_AT_ONCE // (cols.stop - cols.start) // height) * height
    parts = [
        extreme(run.values(name, which, slice(r, min(r + step, rows.stop)), cols), cell)
        for r in range(rows.start, rows.stop, step)
    ]
    return np.concatenate(parts)


def _mean_levels(run: Run, name: str, rows: slice, cols: slice, cell: tuple[int, int]) -> NDArray[np.float32]:
    """Mean size of the levels in each cell; those at the window's edge show the whole cell of the matrix."""
    total_rows, total_cols = run.shape(name)
    rows = slice(rows.start, min(total_rows, -(-rows.stop // cell[0]) * cell[0]))
    cols = slice(cols.start, min(total_cols, -(-cols.stop // cell[1]) * cell[1]))
    if (rows.stop - rows.start) * (cols.stop - cols.start) > DIRECT:
        fine, step = _fine(cell, 4, run.shape(name))
        total = _part(sum_cells(_level_picture(_Key(run.stored), name, fine), step), rows, cols, cell)
    else:
        total = _level_sums(run, name, rows, cols, cell)
    sizes = bits.cell_sizes(rows.stop - rows.start, cols.stop - cols.start, cell)
    return (total / sizes).astype(np.float32)


def _level_sums(run: Run, name: str, rows: slice, cols: slice, cell: tuple[int, int]) -> NDArray[np.int64]:
    step = max(1, ROWS_AT_ONCE // (cols.stop - cols.start) // cell[0]) * cell[0]
    parts = [
        sum_cells(np.abs(run.values(name, CODED, slice(r, min(r + step, rows.stop)), cols)).astype(np.int64), cell)
        for r in range(rows.start, rows.stop, step)
    ]
    return np.concatenate(parts)


def extreme(values: NDArray[np.float32], cell: tuple[int, int]) -> NDArray[np.float32]:
    """The signed value of largest magnitude in each h x w cell (powers of two), (R, C) -> cells.

    Of +x and -x, equally large, +x is shown.
    """
    for axis, side in enumerate(cell):
        while side > 1:
            values = _larger_of_pairs(values, axis)
            side //= 2
    return np.ascontiguousarray(values)


def _larger_of_pairs(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    if values.shape[axis] % 2:
        spare = [(0, 0), (0, 0)]
        spare[axis] = (0, 1)
        values = np.pad(values, spare)
    first, second = (values[::2], values[1::2]) if axis == 0 else (values[:, ::2], values[:, 1::2])
    high, low = np.maximum(first, second), np.minimum(first, second)
    return np.where(high >= -low, high, low)


def _part(whole: NDArray[Any], rows: slice, cols: slice, cell: tuple[int, int]) -> NDArray[Any]:
    """Cells of a window out of the cells of the whole matrix."""
    r0, c0 = rows.start // cell[0], cols.start // cell[1]
    return whole[r0 : -(-rows.stop // cell[0]), c0 : -(-cols.stop // cell[1])]


class _Key:
    """A run as a cache key: the folder, when its masks were written, and which mask it has."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.key = (str(run.path), run.written, run.mask_id)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.key == other.key


def _fine(cell: tuple[int, int], most: int, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """A finer cell whose picture of the whole matrix is kept, and the step from it to ``cell``."""
    height, width = min(cell[0], most), min(cell[1], most)
    while shape[0] // height * (shape[1] // width) > DIRECT and (height, width) != cell:
        if height < cell[0]:
            height *= 2
        else:
            width *= 2
    return (height, width), (cell[0] // height, cell[1] // width)


@lru_cache(maxsize=12)
def _picture(key: _Key, name: str, layer: str, fine: tuple[int, int]) -> NDArray[np.float32]:
    """Extremes of the whole matrix in small cells: read once for every zoom level."""
    rows, cols = key.run.shape(name)
    return _read_extremes(key.run, name, layer, slice(0, rows), slice(0, cols), fine)


@lru_cache(maxsize=12)
def _level_picture(key: _Key, name: str, fine: tuple[int, int]) -> NDArray[np.int64]:
    """Sums of the sizes of levels of the whole matrix in small cells."""
    rows, cols = key.run.shape(name)
    return _level_sums(key.run, name, slice(0, rows), slice(0, cols), fine)


def _neighbour_sums(key: _Key, name: str, cell: tuple[int, int]) -> list[tuple[NDArray[np.int32], tuple[int, int]]]:
    """(sums, step to ``cell``) of kept neighbours and of kept entries."""
    fine, step = _fine(cell, 8, key.run.shape(name))
    return [(sums, step) for sums in _fine_sums(key, name, fine)]


@lru_cache(maxsize=12)
def _fine_sums(key: _Key, name: str, fine: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    columns = key.run.shape(name)[1]
    packed = key.run.mask_bits(name)
    total = bits.neighbours_per_cell(packed, columns, fine)
    return total.astype(np.int32), bits.kept_per_cell(packed, columns, fine).astype(np.int32)
