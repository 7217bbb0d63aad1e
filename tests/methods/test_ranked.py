"""`delta` and `magnitude` against a stable sort of Python's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kencore.methods.select import select, select_rows
from kencore.methods.table import METHODS, Method
from tests.methods.rows_of import KINDS, rows_of


def largest(sizes: np.ndarray, k: int) -> np.ndarray:
    keep = np.zeros(sizes.shape, bool)
    for row, mask in zip(sizes.tolist(), keep, strict=True):
        first = sorted(range(len(row)), key=lambda column: (-row[column], column))[:k]
        mask[first] = True
    return keep


@pytest.mark.parametrize("kind", KINDS)
def test_float32(kind: str) -> None:
    tuned, base = rows_of(kind, 5, 6, 150), rows_of("normal", 6, 6, 150)
    np.testing.assert_array_equal(select_rows(tuned, None, 40, "magnitude"), largest(np.abs(tuned), 40))
    np.testing.assert_array_equal(select_rows(tuned, base, 40, "delta"), largest(np.abs(tuned - base), 40))


@pytest.mark.parametrize(
    "method", [row for row in METHODS.values() if row.rule and row.row_score], ids=lambda row: row.name
)
def test_what_a_row_is_shown_to_be_ranked_by_is_highest_where_it_was_kept(method: Method) -> None:
    tuned, base = rows_of("normal", 5, 4, 60), rows_of("normal", 6, 4, 60)
    kept = select_rows(tuned, base, 20, method.name)
    for row, other, mask in zip(tuned, base, kept, strict=True):
        assert method.row_score is not None
        np.testing.assert_array_equal(mask, largest(method.row_score(row, other, None)[None], 20)[0])


def test_float64_is_not_rounded() -> None:
    row = 1.0 + np.array([[3.0, 1.0, 4.0, 2.0, 5.0]]) * 2.0**-50  # one float32 value
    for weight in (row, -row):
        assert select(torch.from_numpy(weight), 2, "magnitude").tolist() == [[False, False, True, False, True]]
        moved = select(torch.from_numpy(weight), 2, "delta", base=torch.from_numpy(weight / 2))
        assert moved.tolist() == [[False, False, True, False, True]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_compared_in_float32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(8, 200, generator=generator).to(dtype)
    tuned = (base.float() + 0.01 * torch.randn(8, 200, generator=generator)).to(dtype)
    difference = (tuned.float() - base.float()).abs().numpy()
    keep = select(tuned, 60, "delta", base=base)
    np.testing.assert_array_equal(keep.numpy(), largest(difference, 60))


def test_ties_take_the_lowest_columns() -> None:
    weight = torch.tensor([[0.0, -2.0, 2.0, -0.0, 2.0, -2.0]])
    assert select(weight, 3, "magnitude").nonzero()[:, 1].tolist() == [1, 2, 4]
    assert select(weight, 5, "magnitude").nonzero()[:, 1].tolist() == [0, 1, 2, 4, 5]


def test_differences_beyond_float32_count_as_the_largest() -> None:
    tuned, base = torch.tensor([1.0, 3e38, 2.0]), torch.tensor([0.0, -3e38, 0.0])
    assert select(tuned, 1, "delta", base=base).tolist() == [False, True, False]
