"""DSnoT against the paper's loop written row by row, and what holds for any mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.errors import ShapeError, SpecError
from kencore.methods.dsnot import NEEDS, dsnot
from kencore.methods.statistics import RunningInputs
from kencore.methods.wanda import wanda

quick = settings(max_examples=80, deadline=None)


def layer(rows: int, columns: int, seed: int, share: float = 0.5) -> tuple[torch.Tensor, torch.Tensor, RunningInputs]:
    """Whole weights and whole inputs of one sequence: every sum is exact, in any order."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-9, 10, (rows, columns), generator=generator).float()
    statistics = RunningInputs(columns, NEEDS)
    x = torch.randint(-4, 6, (1, 24, columns), generator=generator).float()
    statistics.add(x)
    keep = torch.rand((rows, columns), generator=generator) > share
    return weight, keep, statistics


def errors(weight: torch.Tensor, keep: torch.Tensor, statistics: RunningInputs) -> torch.Tensor:
    return torch.where(keep, 0.0, weight * statistics.total()).double().sum(1)


def one_row(
    output: np.ndarray,
    gain: np.ndarray,
    score: np.ndarray,
    keep: np.ndarray,
    cycles: int,
    threshold: float,
    same_sign: bool,
) -> np.ndarray:
    """The paper's loop: output, gain and score (C,) of one row."""
    keep, before = keep.copy(), keep.copy()
    error = output[~keep].sum()
    start = np.sign(error)
    for _ in range(cycles):
        if abs(error) <= threshold:
            break
        sign = np.sign(error)
        grow = [j for j in np.flatnonzero(~keep & ~before) if np.sign(output[j]) == sign]
        prune = [j for j in np.flatnonzero(keep & before) if np.sign(output[j]) == -sign]
        if not grow or not prune:
            break
        # equal gains: a stable ascending sort is read from either end
        first = min(grow, key=lambda j: (-gain[j] * sign, -j * sign))
        last = min(prune, key=lambda j: (score[j], j))
        after = error + output[last] - output[first]
        if abs(after) >= abs(error) or (same_sign and np.sign(after) == -start):
            break
        keep[first], keep[last], error = True, False, after
    return keep


@pytest.mark.parametrize("same_sign", [True, False])
@pytest.mark.parametrize("cycles", [1, 5, 50])
@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_papers_loop(seed: int, power: float, cycles: int, same_sign: bool) -> None:
    weight, keep, statistics = layer(12, 40, seed)
    found = dsnot(weight, keep, statistics, cycles=cycles, power=power, same_sign=same_sign)
    output = weight * statistics.total()
    gain = torch.where(keep, 0.0, output) / statistics.variance() ** power
    score = wanda(weight, statistics)
    for row in range(len(weight)):
        expected = one_row(
            output[row].numpy(), gain[row].numpy(), score[row].numpy(), keep[row].numpy(), cycles, 0.1, same_sign
        )
        assert np.array_equal(found[row], expected), row
    assert not torch.equal(found, keep)


@quick
@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 30),
    seed=st.integers(0, 999),
    share=st.floats(0, 1),
    threshold=st.sampled_from([0.0, 0.1, 30.0]),
    same_sign=st.booleans(),
)
def test_rows_keep_their_number_and_no_error_grows(
    rows: int, columns: int, seed: int, share: float, threshold: float, same_sign: bool
) -> None:
    weight, keep, statistics = layer(rows, columns, seed, share)
    before, kept = weight.clone(), keep.clone()
    norm, total = statistics.norm(), statistics.total()
    found = dsnot(weight, keep, statistics, threshold=threshold, same_sign=same_sign)
    assert torch.equal(found.sum(1), keep.sum(1))
    first, last = errors(weight, keep, statistics), errors(weight, found, statistics)
    assert (last.abs() <= first.abs()).all()
    if same_sign:
        assert (torch.sign(last) != -torch.sign(first))[first != 0].all()
    at_rest = first.abs() <= threshold
    assert torch.equal(found[at_rest], keep[at_rest])
    assert torch.equal(weight, before)
    assert torch.equal(keep, kept)
    assert torch.equal(statistics.norm(), norm)
    assert torch.equal(statistics.total(), total)


def test_it_helps() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn((64, 128), generator=generator)
    statistics = RunningInputs(128, NEEDS)
    statistics.add(torch.randn((4, 32, 128), generator=generator) + 1)
    keep = wanda(weight, statistics).argsort(1).argsort(1) >= 64
    found = dsnot(weight, keep, statistics)
    first, last = errors(weight, keep, statistics), errors(weight, found, statistics)
    assert last.abs().mean() < first.abs().mean() / 2


def test_rows_of_unlike_numbers_and_constant_inputs() -> None:
    weight, keep, _ = layer(12, 16, 3)
    keep[0], keep[1] = True, False
    statistics = RunningInputs(16, NEEDS)
    statistics.add(torch.ones(2, 8, 16) * torch.arange(16.0))  # no variance, first input is 0
    found = dsnot(weight, keep, statistics)
    assert torch.equal(found.sum(1), keep.sum(1))
    first, last = errors(weight, keep, statistics), errors(weight, found, statistics)
    assert (last.abs() <= first.abs()).all()
    for side in (first > 0, first < 0):
        assert (last.abs() < first.abs())[side].any()


@pytest.mark.parametrize(("smallest", "changes"), [(-1.0, True), (-2.0, False)])
def test_an_error_may_become_nothing_but_not_change_sign(smallest: float, changes: bool) -> None:
    weight = torch.tensor([[3.0, 1.0, smallest, 5.0]])
    keep = torch.tensor([[False, False, True, True]])  # error 4; 3 would go, the smallest come
    statistics = RunningInputs(4, NEEDS)
    statistics.add(torch.tensor([[[2.0], [-1.0]]]).expand(1, 2, 4))  # E[x] = 1
    found = dsnot(weight, keep, statistics)
    expected = torch.tensor([[True, False, False, True]]) if changes else keep
    assert torch.equal(found, expected)


def test_published_variance_and_signs_lead_elsewhere() -> None:
    weight, keep, _ = layer(20, 40, 5)
    statistics = RunningInputs(40, NEEDS)
    generator = torch.Generator().manual_seed(6)
    means = torch.randn((3, 1, 40), generator=generator)
    statistics.add(torch.randn((3, 10, 40), generator=generator) + 4 * means)
    ours = dsnot(weight, keep, statistics)
    published = dsnot(weight, keep, statistics, published=True)
    assert not torch.equal(ours, published)


def test_mistakes() -> None:
    weight, keep, statistics = layer(3, 8, 0)
    with pytest.raises(ShapeError, match=r"bool \(3, 8\)"):
        dsnot(weight, keep[:2], statistics)
    with pytest.raises(ShapeError, match=r"bool \(3, 8\)"):
        dsnot(weight, keep.float(), statistics)
    with pytest.raises(ShapeError, match="8 inputs; wanted 3"):
        dsnot(weight.t(), keep.t(), statistics)
    blind = RunningInputs(8, frozenset({"norm"}))
    blind.add(torch.ones(1, 2, 8))
    with pytest.raises(SpecError, match="'moments' among them"):
        dsnot(weight, keep, blind)
    assert dsnot(torch.zeros(0, 8), torch.zeros((0, 8), dtype=torch.bool), statistics).shape == (0, 8)
