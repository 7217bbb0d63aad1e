"""Keep masks as bits: pack, cut windows out, count kept entries and kept neighbours per cell.

Shapes: R rows (outputs), C columns (inputs), B = ceil(C / 8) bytes per row, h x w weights per
cell. A mask is packed row by row, each row padded to whole bytes with zeros, lowest bit first
(``numpy.packbits(..., axis=1, bitorder="little")``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Mask = NDArray[np.bool_]
OVERVIEW_CELLS = 512  # at most so many cells down and across


def pack(keep: Mask) -> Bits:
    """Pack a keep mask (R, C) into bytes (R, B)."""
    return np.packbits(keep, axis=1, bitorder="little")


def unpack(bits: Bits, first: int, last: int) -> Mask:
    """Columns ``first:last`` of packed rows (R, B) as a mask (R, last - first)."""
    byte, shift = divmod(first, 8)
    window = bits[:, byte : (last + 7) // 8]  # R, bytes that hold the window
    flat = np.unpackbits(window, axis=1, count=shift + last - first, bitorder="little")
    return flat[:, shift:].view(np.bool_)  # R, last - first


def kept_per_row(bits: Bits) -> NDArray[np.int64]:
    """Kept entries of each packed row, (R,)."""
    return np.asarray(np.bitwise_count(bits).sum(axis=1, dtype=np.int64))


def kept_per_cell(bits: Bits, columns: int, cell: tuple[int, int]) -> NDArray[np.int64]:
    """Kept entries in each h x w cell of packed rows (R, B); the last cells may be cut short.

    Args:
        bits: packed rows; the first column of the mask starts the first cell.
        columns: C, the columns the rows hold.
        cell: (h, w), w a power of two.
    """
    height, width = cell
    if width % 8 == 0:
        words = _words(bits, width)
        counts = _add_groups(np.bitwise_count(words), width // (8 * words.itemsize))
    elif width in (2, 4):  # groups lie within bytes: count there
        parts = [np.bitwise_count(bits >> at & (1 << width) - 1) for at in range(0, 8, width)]
        counts = np.stack(parts, axis=2).reshape(len(bits), -1)[:, : -(-columns // width)]
    else:
        counts = _add_groups(unpack(bits, 0, columns).view(np.uint8), width)
    return sum_rows(counts, height)  # ceil(R / h), ceil(C / w)


def overview_cell(rows: int, columns: int) -> tuple[int, int]:
    """The smallest powers of two (h, w) with at most 512 x 512 cells of h x w weights."""
    height = width = 1
    while -(-rows // height) > OVERVIEW_CELLS:
        height *= 2
    while -(-columns // width) > OVERVIEW_CELLS:
        width *= 2
    return height, width


def overview(bits: Bits, columns: int) -> NDArray[np.float16]:
    """Share kept in each cell of a whole matrix, from its packed rows (R, B); cells as `overview_cell` says."""
    cell = overview_cell(len(bits), columns)
    counts = kept_per_cell(bits, columns, cell)
    return (counts / cell_sizes(len(bits), columns, cell)).astype(np.float16)


def neighbours_per_cell(bits: Bits, columns: int, cell: tuple[int, int]) -> NDArray[np.int64]:
    """Kept neighbours (up, down, left, right) of kept entries, summed over each h x w cell.

    The count is taken inside the given rows and columns: an entry on their edge has fewer
    neighbours. Pass the whole matrix, or rows that include its true edge.
    """
    height, width = cell
    if width % 8 == 0:
        total = np.zeros(bits.shape, np.uint8)  # R, B
        for shifted in _four_neighbours(bits):
            total += np.bitwise_count(bits & shifted)  # at most 8 each, 32 in all
        return sum_rows(_add_groups(total, width // 8), height)
    keep = unpack(bits, 0, columns)
    counts = np.where(keep, count_neighbours(keep), 0).astype(np.uint8)
    return sum_rows(_add_groups(counts, width), height)


def count_neighbours(keep: Mask) -> NDArray[np.uint8]:
    """For every entry of a mask (R, C) how many of its 4 neighbours are kept, 0 to 4."""
    count = np.zeros(keep.shape, np.uint8)
    count[1:] += keep[:-1]
    count[:-1] += keep[1:]
    count[:, 1:] += keep[:, :-1]
    count[:, :-1] += keep[:, 1:]
    return count


def _words(bits: Bits, width: int) -> NDArray[np.unsignedinteger]:
    """Packed rows (R, B) as (R, n) numbers of as many bytes as go into a cell's width and into a row."""
    size = next(size for size in (8, 4, 2, 1) if width % (8 * size) == 0 and bits.shape[1] % size == 0)
    return np.ascontiguousarray(bits).view(f"u{size}")


def sum_rows(values: NDArray[np.generic], height: int) -> NDArray[np.int64]:
    """Sum groups of ``height`` rows: (R, N) -> (ceil(R / height), N)."""
    starts = np.arange(0, values.shape[0], height)
    return np.add.reduceat(values, starts, axis=0, dtype=np.int64)


def cell_sizes(rows: int, columns: int, cell: tuple[int, int]) -> NDArray[np.int64]:
    """Weights in each h x w cell of an R x C window: the last cells may be cut short."""
    height, width = cell
    tall = np.minimum(height, rows - np.arange(0, rows, height))
    wide = np.minimum(width, columns - np.arange(0, columns, width))
    return tall[:, None] * wide[None, :]


def _four_neighbours(bits: Bits) -> list[Bits]:
    """The packed mask seen from above, below, left and right of every entry."""
    above, below = np.zeros_like(bits), np.zeros_like(bits)
    above[1:], below[:-1] = bits[:-1], bits[1:]
    one = np.uint8(1)
    left, right = bits << one, bits >> one  # bit j takes bit j - 1, and j + 1
    left[:, 1:] |= bits[:, :-1] >> np.uint8(7)
    right[:, :-1] |= bits[:, 1:] << np.uint8(7)
    return [above, below, left, right]


def _add_groups(values: NDArray[np.uint8], group: int) -> NDArray[np.generic]:
    """Sum groups of ``group`` (a power of two) columns by halving: quicker than reduceat."""
    total: NDArray[np.generic] = values
    if group > 1:
        spare = -values.shape[1] % group
        total = np.pad(values, ((0, 0), (0, spare))).astype(np.uint32 if group > 4 else np.uint16)
    while group > 1:
        total = total[:, ::2] + total[:, 1::2]  # type: ignore[operator]
        group //= 2
    return total
