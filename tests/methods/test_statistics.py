"""Statistics of a layer's inputs: order of sums, numpy over all tokens, no influence of batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.errors import ShapeError, SpecError
from kencore.methods.statistics import RunningInputs

ALL = frozenset({"norm", "moments", "hessian"})


def inputs(sequences: int, tokens: int, columns: int, seed: int = 0, offset: float = 3.0) -> torch.Tensor:
    """Columns with means far from 0 that drift from sequence to sequence."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((sequences, tokens, columns), generator=generator)
    x += offset * torch.randn((1, 1, columns), generator=generator)
    return x + torch.randn((sequences, 1, columns), generator=generator)


def everything(statistics: RunningInputs) -> list[torch.Tensor]:
    return [
        statistics.norm(),
        statistics.sparsegpt_norm(),
        statistics.total(),
        statistics.variance(),
        statistics.variance(published=True),
        statistics.hessian().clone(),
    ]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    tokens=st.integers(1, 70),
    columns=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_batches_give_the_same_bits(sizes: list[int], tokens: int, columns: int, seed: int) -> None:
    x = inputs(sum(sizes), tokens, columns, seed)
    before = x.clone()
    one_by_one, batched = RunningInputs(columns, ALL), RunningInputs(columns, ALL)
    for sequence in x:
        one_by_one.add(sequence)
    for part in x.split(sizes):
        batched.add(part)
    for a, b in zip(everything(one_by_one), everything(batched), strict=True):
        assert torch.equal(a, b)
    assert batched.sequences == len(x)
    assert batched.tokens == len(x) * tokens
    assert torch.equal(x, before)


def test_sums_in_the_published_order() -> None:
    """The two wrappers of the published code, written out: the same bits."""
    x = inputs(6, 57, 40)
    statistics = RunningInputs(40, ALL)
    statistics.add(x)
    squares, total, hessian, quirk = (torch.zeros(n) for n in (40, 40, (40, 40), 40))
    for n, sequence in enumerate(x):
        columns = sequence.t()  # (C, T)
        squares *= n / (n + 1)
        squares += torch.norm(columns, p=2, dim=1) ** 2 / (n + 1)
        total *= n / (n + 1)
        total += torch.sum(columns, dim=1) / (n + 1)
        hessian *= n / (n + 1)
        quirk *= n / (n + 1)
        columns = math.sqrt(2 / (n + 1)) * columns
        hessian += columns.matmul(columns.t())
        quirk += torch.norm(columns, p=2, dim=1) ** 2 / (n + 1)
    assert torch.equal(statistics.norm(), squares.sqrt())
    assert torch.equal(statistics.total(), total)
    assert torch.equal(statistics.hessian(), hessian)
    assert torch.allclose(statistics.sparsegpt_norm(), quirk.sqrt(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("lengths", [[31], [8, 8, 8], [5, 90, 1, 17]])
def test_against_numpy_over_all_tokens(lengths: list[int]) -> None:
    """Sequences of unequal length: tokens weigh alike in the moments."""
    parts = [inputs(1, n, 12, seed=i, offset=20.0)[0] for i, n in enumerate(lengths)]
    statistics = RunningInputs(12, ALL)
    for part in parts:
        statistics.add(part)
    tokens = torch.cat(parts).double().numpy()  # (T, C)
    n = len(parts)
    assert np.allclose(statistics.variance(), tokens.var(axis=0), rtol=1e-5)
    assert np.allclose(statistics.total(), tokens.sum(axis=0) / n, rtol=1e-5, atol=1e-4)
    assert np.allclose(statistics.norm(), np.sqrt((tokens**2).sum(axis=0) / n), rtol=1e-5)
    assert np.allclose(statistics.hessian(), 2 / n * tokens.T @ tokens, rtol=1e-4, atol=1e-2)
    within = sum(p.double().numpy().var(axis=0) * len(p) for p in parts) / len(tokens)
    assert np.allclose(statistics.variance(published=True), within, rtol=1e-5)
    if n > 1:
        assert (statistics.variance() > statistics.variance(published=True)).all()


def test_variance_between_batches_counts() -> None:
    """Two constant sequences: all variance is between them."""
    statistics = RunningInputs(1, frozenset({"moments"}))
    statistics.add(torch.tensor([[[1.0], [1.0]], [[11.0], [11.0]]]))
    assert statistics.variance().item() == 25.0
    assert statistics.variance(published=True).item() == 0.0


def test_sparsegpt_weighs_sequences_unequally() -> None:
    x = inputs(3, 9, 5)
    statistics = RunningInputs(5, frozenset({"norm"}))
    statistics.add(x)
    squares = (x.double() ** 2).sum(dim=1)  # (S, C)
    expected = sum(squares[j] * 2 / ((j + 1) * 3) for j in range(3))
    assert torch.allclose(statistics.sparsegpt_norm().double() ** 2, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floats_are_summed_in_float32(dtype: torch.dtype) -> None:
    x = inputs(2, 8, 6).to(dtype)
    ours, raised = RunningInputs(6, ALL), RunningInputs(6, ALL)
    ours.add(x)
    raised.add(x.float())
    for a, b in zip(everything(ours), everything(raised), strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


def test_what_is_returned_stays_as_it_was() -> None:
    statistics = RunningInputs(4, frozenset({"norm", "moments"}))
    statistics.add(inputs(2, 8, 4))
    norm, total, variance = statistics.norm(), statistics.total(), statistics.variance()
    kept = [norm.clone(), total.clone(), variance.clone()]
    statistics.add(inputs(2, 8, 4, seed=5))
    assert all(torch.equal(a, b) for a, b in zip(kept, [norm, total, variance], strict=True))
    assert not torch.equal(statistics.norm(), norm)


def test_mistakes() -> None:
    with pytest.raises(SpecError, match=r"^needs: mean;"):
        RunningInputs(4, frozenset({"mean"}))
    statistics = RunningInputs(4, frozenset({"norm"}))
    with pytest.raises(SpecError, match="no sequence"):
        statistics.norm()
    for shape in ((2, 3, 5), (4,), (2, 0, 4)):
        with pytest.raises(ShapeError, match=r"\(sequences, tokens, 4\)"):
            statistics.add(torch.zeros(shape))
    statistics.add(torch.ones(1, 2, 4))
    for ask in (statistics.hessian, statistics.total, statistics.variance):
        with pytest.raises(SpecError, match="gathered norm"):
            ask()
