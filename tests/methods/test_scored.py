"""Masks from scores against a plain stable sort, over dtypes, ties and counts."""

from __future__ import annotations

from typing import Any, Literal
from unittest import mock

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kencore.errors import NonFiniteWeightError, ShapeError, SpecError
from kencore.methods import scored
from kencore.methods.scored import keep_lowest_pruned

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
quick = settings(max_examples=120, deadline=None)
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
# whole numbers make ties; full floats make signed zeros, subnormals and infinities
SCORES = st.one_of(
    arrays.arrays(np.float32, SHAPES, elements=st.integers(-2, 2).map(float)),
    arrays.arrays(np.float32, SHAPES, elements=st.floats(width=32, allow_nan=False)),
    arrays.arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=16)),
)


def by_sorting(score: torch.Tensor, counts: list[int], ties: str) -> torch.Tensor:
    """One row after the other: sort its columns, the first of that order go."""
    keep = torch.ones(score.shape, dtype=torch.bool)
    for row, count in enumerate(counts):
        values = score[row].tolist()
        order = sorted(range(len(values)), key=lambda column: values[column])
        if ties == "kept":  # a descending stable sort, its last go
            falling = sorted(range(len(values)), key=lambda column: -values[column])
            order = falling[::-1]
        keep[row, order[:count]] = False
    return keep


@pytest.mark.parametrize("ties", ["pruned", "kept"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@quick
@given(scores=SCORES, data=st.data())
def test_as_a_stable_sort_would(
    dtype: torch.dtype, ties: Literal["pruned", "kept"], scores: NDArray[np.float32], data: st.DataObject
) -> None:
    score = torch.from_numpy(scores).to(dtype)
    rows, columns = score.shape
    number = st.integers(0, columns)
    pruned: Any = data.draw(st.one_of(number, st.lists(number, min_size=rows, max_size=rows)))
    counts = [pruned] * rows if isinstance(pruned, int) else pruned
    asked = pruned if isinstance(pruned, int) else np.array(pruned, dtype=np.int64)
    before = score.clone()
    keep = keep_lowest_pruned(score, asked, ties=ties)
    assert keep.dtype == torch.bool
    assert torch.equal(keep, by_sorting(score, counts, ties))
    assert torch.equal(score, before)


@pytest.mark.parametrize("ties", ["pruned", "kept"])
@pytest.mark.parametrize("per_row", [False, True])
def test_many_columns(ties: Literal["pruned", "kept"], per_row: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    score = torch.rand((40, 1100), generator=generator).half().float()  # ties
    pruned = torch.randint(0, 1101, (40,), generator=generator) if per_row else 770
    counts = pruned.tolist() if isinstance(pruned, torch.Tensor) else [pruned] * 40
    keep = keep_lowest_pruned(score, pruned, ties=ties)
    assert torch.equal(keep, by_sorting(score, counts, ties))
    kept = pruned.clone() if isinstance(pruned, torch.Tensor) else pruned
    assert np.array_equal((~keep).sum(1), np.broadcast_to(kept, 40))


@quick
@given(scores=SCORES, data=st.data(), ties=st.sampled_from(["pruned", "kept"]))
def test_devices_agree(scores: NDArray[np.float32], data: st.DataObject, ties: Literal["pruned", "kept"]) -> None:
    """What another device would run, on the CPU."""
    number = st.integers(0, scores.shape[1])
    pruned = np.array(data.draw(st.lists(number, min_size=len(scores), max_size=len(scores))))
    score = torch.from_numpy(scores)
    expected = keep_lowest_pruned(score, pruned, ties=ties)
    with mock.patch.object(scored, "_boundary_on_cpu", scored._boundary_on_device):
        assert torch.equal(keep_lowest_pruned(score, pruned, ties=ties), expected)
        with pytest.raises(NonFiniteWeightError):
            keep_lowest_pruned(torch.full((1, 3), torch.nan), 1)


def test_a_slice_and_a_transpose_are_read_as_they_are() -> None:
    score = torch.arange(24.0).reshape(4, 6)
    assert torch.equal(keep_lowest_pruned(score.t(), 1), keep_lowest_pruned(score.t().contiguous(), 1))
    half = score[:, ::2]
    assert torch.equal(keep_lowest_pruned(half, 2), keep_lowest_pruned(half.clone(), 2))


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_nothing_to_rank(shape: tuple[int, int]) -> None:
    assert keep_lowest_pruned(torch.zeros(shape), 0).shape == shape


@pytest.mark.parametrize("pruned", [0, 2, 4, np.array([0, 4, 0]), np.array([1, 2, 3])], ids=str)
def test_nan_is_refused_by_name_and_row(pruned: Any) -> None:
    score = torch.zeros(3, 4)
    score[2, 1] = torch.nan
    with pytest.raises(NonFiniteWeightError, match=r"^fc1: NaN in row 2, column 1"):
        keep_lowest_pruned(score, pruned, name="fc1")


@pytest.mark.parametrize(
    ("score", "pruned", "options", "error", "message"),
    [
        (torch.zeros(3), 1, {}, ShapeError, "floating matrix"),
        (torch.zeros(2, 2, dtype=torch.int64), 1, {}, ShapeError, "floating matrix"),
        (torch.zeros(2, 3), 4, {}, SpecError, "0 to 3 per row"),
        (torch.zeros(2, 3), -1, {}, SpecError, "0 to 3 per row"),
        (torch.zeros(2, 3), 0.5, {}, SpecError, "whole numbers"),
        (torch.zeros(2, 3), np.array([1, 2, 3]), {}, ShapeError, r"one per row \(2,\)"),
        (torch.zeros(2, 3), 1, {"ties": "last"}, SpecError, "pruned or kept"),
    ],
)
def test_mistakes(score: torch.Tensor, pruned: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        keep_lowest_pruned(score, pruned, **options)
