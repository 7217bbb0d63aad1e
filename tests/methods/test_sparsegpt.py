"""SparseGPT against column-by-column surgery with explicit inverses, and its exact counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kencore.errors import FactorizationError, NonFiniteWeightError, ShapeError, SpecError
from kencore.methods.sparsegpt import inverse_factor, sparsegpt, sparsegpt_published
from kencore.methods.statistics import RunningInputs

Floats = NDArray[np.float64]


def layer(rows: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn((rows, columns), generator=generator)
    statistics = RunningInputs(columns, frozenset({"hessian"}))
    mix = torch.randn((columns, columns), generator=generator)  # correlated inputs
    statistics.add(torch.randn((4, 40, columns), generator=generator) @ mix)
    return weight, statistics.hessian()


def surgery(
    weight: torch.Tensor, hessian: torch.Tensor, block_size: int, quota: list[int] | float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Optimal brain surgeon, one column at a time, float64.

    Column j pruned: its error over [H_j^-1]_00 times the first row of H_j^-1 is taken from the
    columns after it, H_j being the damped Hessian of columns j and later.
    """
    w, h = weight.double().numpy().copy(), hessian.double().numpy().copy()
    columns = w.shape[1]
    h[np.diag_indices(columns)] += 0.01 * h.diagonal().mean()
    inverses = [np.linalg.inv(h[j:, j:]) for j in range(columns)]
    pruned = np.zeros(w.shape, dtype=bool)
    for index, first in enumerate(range(0, columns, block_size)):
        last = min(first + block_size, columns)
        pivots = np.array([inverses[j][0, 0] for j in range(first, last)])
        score = w[:, first:last] ** 2 / pivots
        if isinstance(quota, float):
            place = int(score.size * quota)
            pruned[:, first:last] = score <= np.sort(score, axis=None)[place]
        else:
            lowest = np.argsort(score, axis=None, kind="stable")[: quota[index]]
            own = np.zeros(score.size, dtype=bool)
            own[lowest] = True
            pruned[:, first:last] = own.reshape(score.shape)
        for j in range(first, last):
            error = np.where(pruned[:, j], w[:, j], 0.0) / inverses[j][0, 0]
            w[:, j + 1 :] -= error[:, None] * inverses[j][0, 1:]
            w[pruned[:, j], j] = 0.0
    return w, ~pruned


@pytest.mark.parametrize("block_size", [4, 7, 128])
@pytest.mark.parametrize("shape", [(6, 12), (9, 20), (1, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_against_dense_surgery(shape: tuple[int, int], block_size: int, seed: int) -> None:
    weight, hessian = layer(*shape, seed)
    before, kept = weight.clone(), hessian.clone()
    sizes = [shape[0] * min(block_size, shape[1] - i) for i in range(0, shape[1], block_size)]
    total = sum(size // 2 for size in sizes)
    new, keep = sparsegpt(weight, hessian, total, block_size=block_size)
    quota = [int((~keep[:, i : i + block_size]).sum()) for i in range(0, shape[1], block_size)]
    expected, mask = surgery(weight, hessian, block_size, quota)
    assert np.array_equal(keep, mask)
    assert np.allclose(new, expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(weight, before)
    assert torch.equal(hessian, kept)


@pytest.mark.parametrize("block_size", [4, 7, 128])
@pytest.mark.parametrize("sparsity", [0.3, 0.7, 0.99])
def test_published_thresholds_against_dense_surgery(block_size: int, sparsity: float) -> None:
    weight, hessian = layer(9, 20)
    new, keep = sparsegpt_published(weight, hessian, sparsity, block_size=block_size)
    expected, mask = surgery(weight, hessian, block_size, sparsity)
    assert np.array_equal(keep, mask)
    assert np.allclose(new, expected, rtol=1e-3, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 7),
    columns=st.integers(1, 19),
    block_size=st.integers(1, 8),
    share=st.floats(0, 1),
    whole=st.booleans(),
)
def test_exactly_so_many(rows: int, columns: int, block_size: int, share: float, whole: bool) -> None:
    weight, hessian = layer(rows, columns)
    if whole:
        weight = weight.round()  # ties, and entries that are 0 already
    pruned = round(share * rows * columns)
    new, keep = sparsegpt(weight, hessian, pruned, block_size=block_size)
    assert int((~keep).sum()) == pruned
    assert (new[~keep] == 0).all()
    for first in range(0, columns, block_size):
        own = keep[:, first : first + block_size]
        assert abs(int((~own).sum()) - pruned * own.numel() / (rows * columns)) < 1


def test_nothing_pruned_changes_nothing() -> None:
    weight, hessian = layer(5, 16)
    new, keep = sparsegpt(weight, hessian, 0)
    assert torch.equal(new, weight)
    assert keep.all()


def test_the_rest_makes_up_for_what_is_pruned() -> None:
    """The output on the calibration inputs moves less than if entries were only set to 0."""
    weight, hessian = layer(30, 64)
    new, keep = sparsegpt(weight, hessian, 30 * 32)

    def moved(other: torch.Tensor) -> float:
        d = (other - weight).double()
        return float((d @ hessian.double() * d).sum())

    assert moved(new) < moved(torch.where(keep, weight, 0.0))


def test_a_factor_can_be_shared() -> None:
    weight, hessian = layer(6, 24)
    factor = inverse_factor(hessian)
    kept = factor.clone()
    for alone, given_factor in (
        (sparsegpt(weight, hessian, 70), sparsegpt(weight, hessian, 70, factor=factor)),
        (sparsegpt_published(weight, hessian, 0.5), sparsegpt_published(weight, hessian, 0.5, factor=factor)),
    ):
        assert torch.equal(alone[0], given_factor[0])
        assert torch.equal(alone[1], given_factor[1])
    assert torch.equal(factor, kept)
    damped = hessian.double() + 0.01 * hessian.double().diagonal().mean() * torch.eye(24)
    inverse = factor.double().t() @ factor.double()
    assert torch.allclose(inverse @ damped, torch.eye(24).double(), atol=1e-3)


def test_dead_columns_go_first_and_carry_nothing() -> None:
    weight, _ = layer(4, 10)
    statistics = RunningInputs(10, frozenset({"hessian"}))
    x = torch.randn((2, 30, 10), generator=torch.Generator().manual_seed(0))
    x[:, :, 3] = 0
    x[:, :, 7] = 0
    statistics.add(x)
    new, keep = sparsegpt(weight, statistics.hessian(), 8)
    assert not keep[:, [3, 7]].any()
    assert torch.equal(new[keep], weight[keep])
    few, few_kept = sparsegpt(weight, statistics.hessian(), 3)
    assert torch.equal(few[few_kept], weight[few_kept])  # a kept entry keeps its value
    published, _ = sparsegpt_published(weight, statistics.hessian(), 0.1)
    assert (published[:, [3, 7]] == 0).all()


def test_damping_grows_until_the_hessian_can_be_factored() -> None:
    indefinite = torch.eye(6)
    indefinite[0, 1] = indefinite[1, 0] = 1.05
    factor = inverse_factor(indefinite)
    damped = indefinite + 0.1 * torch.eye(6)  # 0.01 does not do
    assert torch.allclose(factor.t() @ factor @ damped, torch.eye(6), atol=1e-4)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -1e9])
def test_a_hessian_that_cannot_be_factored(value: float) -> None:
    hessian = torch.eye(5)
    hessian[2, 3] = hessian[3, 2] = value
    with pytest.raises(FactorizationError, match=r"^mlp\.down_proj: .* damping up to 10"):
        inverse_factor(hessian, name="mlp.down_proj")


def test_mistakes() -> None:
    weight, hessian = layer(3, 8)
    with pytest.raises(SpecError, match="0 to 24"):
        sparsegpt(weight, hessian, 25)
    with pytest.raises(ShapeError, match=r"\(8, 8\)"):
        sparsegpt(weight, hessian[:7, :7], 4)
    weight[1, 6] = torch.nan
    with pytest.raises(NonFiniteWeightError, match=r"^fc1: nan in row 1, column 6"):
        sparsegpt(weight, hessian, 4, name="fc1")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 7), (64, 128), (9000, 128)])
def test_both_ways_to_prune_columns_give_the_same_bits(rows: int, columns: int, threads: int) -> None:
    from kencore.methods.sparsegpt import _by_columns
    from kencore.methods.sparsegpt_kernels import prune_rows

    chance = torch.Generator().manual_seed(rows + columns)
    block = torch.randn(rows, columns, generator=chance)
    inputs = torch.randn(3 * columns, columns, generator=chance)
    factor = torch.linalg.cholesky(inputs.T @ inputs / columns + torch.eye(columns), upper=True)
    gone = torch.rand(rows, columns, generator=chance) < 0.6
    before = block.clone()
    values, errors = prune_rows(block.numpy(), gone.numpy(), factor.numpy(), threads=threads)
    wanted_values, wanted_errors = _by_columns(block, gone, factor)
    assert torch.equal(torch.from_numpy(values), wanted_values)
    assert torch.equal(torch.from_numpy(errors), wanted_errors)
    assert torch.equal(block, before)
