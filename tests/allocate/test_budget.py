"""Whole numbers per row: exact totals over a grid of shapes, shares and targets."""

from __future__ import annotations

import math
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.allocate import Slot
from kencore.allocate.budget import exact_counts, published_counts, row_budget
from kencore.allocate.uniform import uniform
from kencore.errors import ShapeError, SpecError

quick = settings(max_examples=150, deadline=None)
USUAL = st.sampled_from([0.0, 0.5, 0.6, 0.7, 0.8, 0.95, 1.0])
TARGETS = st.one_of(USUAL, st.integers(0, 1000).map(lambda i: i / 1e3))
SHARE = st.integers(-100, 1300).map(lambda i: i / 1e3)


def slots_of(*shapes: tuple[int, int]) -> list[Slot]:
    return [Slot(name=f"m{i}", block=i, role="q", rows=rows, cols=cols) for i, (rows, cols) in enumerate(shapes)]


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[Slot], dict[str, Any], float]:
    side = st.integers(1, 9)
    slots = slots_of(*draw(st.lists(st.tuples(side, side), min_size=1, max_size=5)))
    shares = {
        slot.name: draw(SHARE)
        if draw(st.booleans())
        else np.array(draw(st.lists(SHARE, min_size=slot.rows, max_size=slot.rows)))
        for slot in slots
    }
    return slots, shares, draw(TARGETS)


def common_shift(slots: list[Slot], shares: dict[str, Any], sparsity: float) -> float:
    """The shift at which clipped shares meet the target, by halving an interval."""
    total = floor(sparsity * sum(s.size for s in slots) + 0.5)
    low, high = -1.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        filled = sum(float(np.sum(np.clip(np.clip(rows_of(shares, s), 0, 1) + middle, 0, 1))) * s.cols for s in slots)
        low, high = (middle, high) if filled < total else (low, middle)
    return low


def rows_of(shares: dict[str, Any], slot: Slot) -> Any:
    return np.broadcast_to(shares[slot.name], (slot.rows,))


@quick
@given(asked())
def test_the_total_is_exact_and_each_row_possible(case: tuple[Any, Any, float]) -> None:
    slots, shares, sparsity = case
    before = {name: np.copy(share) for name, share in shares.items()}
    counts = exact_counts(slots, shares, sparsity)
    size = sum(slot.size for slot in slots)
    assert sum(int(own.sum()) for own in counts.values()) == floor(sparsity * size + 0.5)
    for slot in slots:
        own = counts[slot.name]
        assert own.shape == (slot.rows,)
        assert own.dtype == np.int64
        assert own.min() >= 0
        assert own.max() <= slot.cols
        assert np.array_equal(shares[slot.name], before[slot.name])


@quick
@given(asked())
def test_matrices_get_what_one_shift_gives_them(case: tuple[Any, Any, float]) -> None:
    slots, shares, sparsity = case
    counts = exact_counts(slots, shares, sparsity)
    shift = common_shift(slots, shares, sparsity)
    for slot in slots:
        moved = np.clip(np.clip(rows_of(shares, slot), 0, 1) + shift, 0, 1) * slot.cols
        assert abs(counts[slot.name].sum() - moved.sum()) < 1 + 1e-6
        # a row's own remainder, and that the matrix as a whole was rounded
        assert np.abs(counts[slot.name] - moved).max() < 1 + 1e-6


@quick
@given(asked())
def test_a_larger_share_of_a_matrix_never_prunes_less(case: tuple[Any, Any, float]) -> None:
    slots, shares, sparsity = case
    counts = exact_counts(slots, shares, sparsity)
    for slot in slots:
        order = np.argsort(rows_of(shares, slot), kind="stable")
        rising = counts[slot.name][order]
        same = np.diff(np.clip(rows_of(shares, slot), 0, 1)[order]) == 0
        assert (np.diff(rising)[~same] >= 0).all()


@pytest.mark.parametrize("sparsity", [0.5, 0.6, 0.7, 0.8])
@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (13, 7), (256, 688), (3, 129)])
def test_uniform_rows_differ_by_one_at_most(sparsity: float, shape: tuple[int, int]) -> None:
    slots = slots_of(shape, (5, 11), shape)
    counts = exact_counts(slots, uniform(slots, sparsity), sparsity)
    for slot in slots:
        own = counts[slot.name]
        assert own.max() - own.min() <= 1
        assert np.all(np.diff(own) <= 0)  # the first rows take what is left over
        assert abs(own.sum() - sparsity * slot.size) < 1


def test_what_clipping_takes_is_shared_out() -> None:
    slots = slots_of((10, 100), (10, 100), (10, 100))
    counts = exact_counts(slots, {"m0": 1.22, "m1": 0.8, "m2": 0.38}, 0.8)
    assert {name: int(own.sum()) for name, own in counts.items()} == {"m0": 1000, "m1": 910, "m2": 490}


def test_the_bounds_of_a_row() -> None:
    slots = slots_of((10, 100), (10, 100))
    counts = exact_counts(slots, {"m0": 0.2, "m1": 1.0}, 0.6, lowest=0.01, highest=0.99)
    assert {int(n) for n in counts["m1"]} == {99}
    assert {int(n) for n in counts["m0"]} == {21}
    beyond = exact_counts(slots, {"m0": 1.0, "m1": 1.0}, 1.0, lowest=0.01, highest=0.99)
    assert beyond["m0"].sum() + beyond["m1"].sum() == 2000


def test_the_lowest_index_first_among_equals() -> None:
    slots = slots_of((1, 3), (1, 3), (1, 3))
    counts = exact_counts(slots, uniform(slots, 0.5), 0.5)  # 4.5 of 9, up: 5
    assert [int(counts[slot.name][0]) for slot in slots] == [2, 2, 1]


@pytest.mark.parametrize("columns", [7, 100, 688, 2560])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.8, 0.99, 1.2])
def test_rounding_as_published(columns: int, share: float) -> None:
    slots = slots_of((3, columns), (3, columns))
    shares = {"m0": share, "m1": np.full(3, share)}
    down = published_counts(slots, shares, row_adaptive=False)
    assert {int(n) for own in down.values() for n in own} == {min(columns, int(columns * share))}
    if share > 1:
        return
    up = published_counts(slots, shares, row_adaptive=True, clipped=["m0", "m1"])
    single = torch.tensor([1 - share]) * columns  # Python floats: float32
    double = torch.tensor([1 - np.float64(share)]) * columns
    assert set(up["m0"]) == {columns - int(single)}
    assert set(up["m1"]) == {columns - int(double)}


def test_float32_levels_make_a_difference() -> None:
    slots = slots_of((1, 2560))
    assert published_counts(slots, {"m0": 0.8}, row_adaptive=True)["m0"] == 2049
    assert published_counts(slots, {"m0": 0.8}, row_adaptive=True, clipped={"m0"})["m0"] == 2048


@pytest.mark.parametrize(
    ("shares", "sparsity", "error", "message"),
    [
        ({"m0": 0.5}, 1.5, SpecError, "a share between 0 and 1"),
        ({"m0": 0.5}, float("nan"), SpecError, "a share between 0 and 1"),
        ({}, 0.5, SpecError, "sparsity of m0: none"),
        ({"m0": float("nan")}, 0.5, SpecError, "NaN"),
        ({"m0": np.zeros(3)}, 0.5, ShapeError, r"one per row \(2,\)"),
    ],
)
def test_mistakes(shares: Any, sparsity: float, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        exact_counts(slots_of((2, 4)), shares, sparsity)


def test_nothing_to_prune() -> None:
    assert exact_counts([], {}, 0.5) == {}


@given(st.floats(0, 1, exclude_min=True), st.integers(1, 20_000))
def test_a_share_of_a_row_rounds_half_up_and_keeps_at_least_one(keep: float, columns: int) -> None:
    k = row_budget(columns, keep=keep)
    exact = math.floor(Fraction(keep * columns) + Fraction(1, 2))
    assert k == min(columns, max(1, exact))


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_k_keeps_short_rows_whole(k: int, columns: int) -> None:
    assert row_budget(columns, k=k) == min(k, columns)
