"""Packed masks against plain numpy on the unpacked mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kencore.runs import bits

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=70))
sides = st.sampled_from([1, 2, 4, 8, 16, 32])


def by_cell(values: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """Sum over cells by looking at each of them."""
    height, width = cell
    rows, columns = values.shape
    return np.array(
        [
            [values[r : r + height, c : c + width].sum() for c in range(0, columns, width)]
            for r in range(0, rows, height)
        ]
    )


def neighbours(keep: np.ndarray) -> np.ndarray:
    padded = np.pad(keep, 1).astype(int)
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]


@given(masks, st.data())
def test_a_window_of_the_bits_is_that_window_of_the_mask(keep: np.ndarray, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, keep.shape[1]))
    last = data.draw(st.integers(first, keep.shape[1]))
    packed = bits.pack(keep)
    assert packed.shape == (keep.shape[0], -(-keep.shape[1] // 8))
    np.testing.assert_array_equal(bits.unpack(packed, first, last), keep[:, first:last])


@given(masks)
def test_kept_per_row(keep: np.ndarray) -> None:
    np.testing.assert_array_equal(bits.kept_per_row(bits.pack(keep)), keep.sum(axis=1))


@given(masks, sides, sides)
def test_kept_and_sizes_per_cell(keep: np.ndarray, height: int, width: int) -> None:
    cell = (height, width)
    counts = bits.kept_per_cell(bits.pack(keep), keep.shape[1], cell)
    np.testing.assert_array_equal(counts, by_cell(keep, cell))
    np.testing.assert_array_equal(bits.cell_sizes(*keep.shape, cell), by_cell(np.ones(keep.shape, int), cell))


@given(masks)
def test_neighbours_of_every_entry(keep: np.ndarray) -> None:
    np.testing.assert_array_equal(bits.count_neighbours(keep), neighbours(keep))


@given(masks, sides, sides)
def test_neighbours_of_kept_entries_per_cell(keep: np.ndarray, height: int, width: int) -> None:
    wanted = by_cell(np.where(keep, neighbours(keep), 0), (height, width))
    found = bits.neighbours_per_cell(bits.pack(keep), keep.shape[1], (height, width))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 768, 11008])
def test_full_and_empty_masks_do_not_overflow(columns: int) -> None:
    for value in (False, True):
        keep = np.full((64, columns), value)
        counts = bits.kept_per_cell(bits.pack(keep), columns, (64, 512))
        assert counts.sum() == keep.sum()
        around = bits.neighbours_per_cell(bits.pack(keep), columns, (64, 512))
        assert around.sum() == np.where(keep, neighbours(keep), 0).sum()
