"""NeuroAL's formulas beyond the recorded searches: ranges, degenerate metrics, readers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.allocate.neuroal import (
    BLOCK_LAMBDAS,
    ROW_LAMBDAS,
    Consumer,
    consumer,
    cost,
    published_clip,
    published_rows,
    ramp,
    row_sparsity,
)

quick = settings(max_examples=100, deadline=None)
LAMBDA = st.sampled_from(ROW_LAMBDAS)
SPARSITY = st.sampled_from([0.5, 0.6, 0.7, 0.8])


@quick
@given(st.integers(1, 40), SPARSITY, LAMBDA)
def test_the_ramp_rises_evenly_around_the_target(blocks: int, sparsity: float, lam: float) -> None:
    shares = ramp(blocks, sparsity, lam)
    assert shares.shape == (blocks,)
    assert shares.mean() == pytest.approx(sparsity, abs=1e-12)
    if blocks > 1:
        assert shares[0] == pytest.approx(sparsity - lam, abs=1e-12)
        assert shares[-1] == pytest.approx(sparsity + lam, abs=1e-12)
        assert np.allclose(np.diff(shares), 2 * lam / (blocks - 1), rtol=0, atol=1e-12)


def test_quarter_is_left_out_from_80_per_cent() -> None:
    assert BLOCK_LAMBDAS(0.79)[-1] == 0.25
    assert BLOCK_LAMBDAS(0.8)[-1] == 0.2
    assert 0.0 not in BLOCK_LAMBDAS(0.5)
    assert (0.0, *BLOCK_LAMBDAS(0.5)) == ROW_LAMBDAS


def test_the_clip_of_blocks() -> None:
    given_shares = np.array([-0.05, 0.0, 0.005, 0.5, 0.999, 1.0, 1.05])
    shares, clipped = published_clip(given_shares)
    assert list(shares) == [0.01, 0.01, 0.005, 0.5, 0.999, 0.99, 0.99]
    assert list(clipped) == [True, True, False, False, False, True, True]
    assert given_shares[0] == -0.05


ALIGNMENTS = st.lists(st.integers(-50, 50).map(lambda i: i / 8), min_size=1, max_size=30)


@quick
@given(ALIGNMENTS, SPARSITY, LAMBDA)
def test_rows_that_lost_more_are_kept_denser(alignment: list[float], sparsity: float, lam: float) -> None:
    moved = torch.tensor(alignment)
    shares = row_sparsity(moved, sparsity, lam)
    assert shares.shape == (len(alignment),)
    assert shares.mean() == pytest.approx(sparsity, abs=1e-12)
    if len(set(alignment)) > 1:
        assert shares.max() - shares.min() == pytest.approx(2 * lam, abs=1e-12)
        assert (np.diff(shares[np.argsort(alignment, kind="stable")]) <= 1e-12).all()
    if len(set(alignment)) > 1 and sum(alignment) != 0:
        assert np.array_equal(published_rows(moved, sparsity, lam), np.clip(shares, 0.01, 0.99))
    assert moved.tolist() == alignment


@pytest.mark.parametrize("value", [0.0, -2.5, float("nan")])
def test_a_constant_alignment_leaves_rows_alike(value: float) -> None:
    assert np.array_equal(row_sparsity(np.full(4, value), 0.7, 0.25), np.full(4, 0.7))
    if not np.isnan(value):
        assert published_rows(torch.full((4,), value), 0.7, 0.25) == 0.7


def test_an_alignment_that_adds_up_to_nothing() -> None:
    """Published code takes a sum of 0 for a layer that did not move."""
    assert published_rows(torch.tensor([1.0, -1.0, 0.0]), 0.7, 0.25) == 0.7
    assert row_sparsity(np.array([1.0, -1.0, 0.0]), 0.7, 0.25) == pytest.approx([0.45, 0.95, 0.7])


def test_cost_is_the_distance_of_two_shapes() -> None:
    dense, sparse = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0])
    assert cost(dense, sparse) == pytest.approx(np.hypot(0.25, 0.25) / 2)
    assert cost(dense, dense * 8) == 0.0  # scale does not count
    assert np.isnan(cost(dense, torch.zeros(2)))


LLAMA = {"q", "k", "v", "o", "gate", "up", "down"}
OPT = {"q", "k", "v", "o", "up", "down"}
FUSED = {"qkv", "o", "gate_up", "down"}


@pytest.mark.parametrize(
    ("role", "roles", "parallel", "expected"),
    [
        ("q", LLAMA, False, ("o", 0)),
        ("k", LLAMA, False, ("o", 0)),
        ("v", LLAMA, False, ("o", 0)),
        ("o", LLAMA, False, ("gate", 0)),
        ("gate", LLAMA, False, ("down", 0)),
        ("up", LLAMA, False, ("down", 0)),
        ("down", LLAMA, False, ("q", 1)),
        ("o", OPT, False, ("up", 0)),
        ("o", OPT, True, ("q", 1)),
        ("qkv", FUSED, False, ("o", 0)),
        ("o", FUSED, False, ("gate_up", 0)),
        ("gate_up", FUSED, False, ("down", 0)),
        ("down", FUSED, False, ("qkv", 1)),
        ("o", {"q", "k", "v", "o"}, False, ("q", 1)),
        ("v", {"v"}, False, None),
        ("down", {"up", "down"}, False, None),
        ("other", LLAMA, False, None),
    ],
)
def test_who_reads_the_rows(role: str, roles: set[str], parallel: bool, expected: tuple[str, int] | None) -> None:
    found = consumer(role, roles, parallel)
    assert found == (None if expected is None else Consumer(*expected))
