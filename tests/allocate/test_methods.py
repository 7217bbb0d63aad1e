"""Every allocation: its mean, its order, its range, and what it does where there is no metric."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.allocate import Slot, Sparsities
from kencore.allocate import atp as progression
from kencore.allocate.alpha import alpha, hill_exponent
from kencore.allocate.atp import atp, slopes
from kencore.allocate.budget import exact_counts
from kencore.allocate.dlp import block_median, dlp
from kencore.allocate.neuroal import ramp
from kencore.allocate.owl import outlier_share, owl
from kencore.allocate.uniform import uniform
from kencore.errors import SpecError

quick = settings(max_examples=100, deadline=None)
VALUES = st.lists(st.integers(0, 1000).map(lambda i: i / 7), min_size=1, max_size=9)
SPARSITY = st.sampled_from([0.1, 0.5, 0.6, 0.7, 0.8, 0.9])
BY_BLOCK: dict[str, Callable[..., Sparsities]] = {"owl": owl, "dlp": dlp}


def model(blocks: int) -> list[Slot]:
    return [
        Slot(name=f"{block}.{role}", block=block, role=role, rows=rows, cols=8)
        for block in range(blocks)
        for role, rows in (("q", 8), ("up", 24))
    ]


def of_blocks(shares: Sparsities, blocks: int) -> np.ndarray:
    for block in range(blocks):
        assert shares[f"{block}.q"] == shares[f"{block}.up"]
    return np.array([shares[f"{block}.q"] for block in range(blocks)])


@pytest.mark.parametrize("name", BY_BLOCK)
@quick
@given(values=VALUES, sparsity=SPARSITY)
def test_a_metric_per_block(name: str, values: list[float], sparsity: float) -> None:
    slots, given_values = model(len(values)), list(values)
    shares = of_blocks(BY_BLOCK[name](slots, sparsity, values), len(values))
    assert values == given_values
    assert shares.min() > 0
    assert shares.max() < 1
    if len(set(values)) == 1:
        assert (shares == sparsity).all()
        return
    if not {0.01, 0.99} & set(shares):  # nothing was clipped
        assert shares.mean() == pytest.approx(sparsity, abs=1e-9)
        width = {"owl": 0.08, "dlp": 0.15}[name]
        assert shares.max() - shares.min() == pytest.approx(2 * width, abs=1e-9)
    direction = {"owl": -1, "dlp": 1}[name]  # outliers are kept, large medians pruned
    rising = np.clip(shares, 0.01, 0.99)[np.argsort(values, kind="stable")]
    assert (direction * np.diff(rising) >= -1e-12).all()


@pytest.mark.parametrize("name", BY_BLOCK)
def test_blocks_without_a_matrix_do_not_count(name: str) -> None:
    slots = [slot for slot in model(4) if slot.block in (1, 3)]
    found = BY_BLOCK[name](slots, 0.6, [float("nan"), 1.0, 1e9, 2.0])
    alone = BY_BLOCK[name](model(2), 0.6, [1.0, 2.0])
    assert found["1.q"] == alone["0.q"]
    assert found["3.q"] == alone["1.q"]


@pytest.mark.parametrize("name", BY_BLOCK)
@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [1.0, float("nan"), 2.0], [3.0, 3.0, 3.0]])
def test_no_metric_is_uniform(name: str, values: list[float]) -> None:
    assert BY_BLOCK[name](model(3), 0.7, values) == uniform(model(3), 0.7)


@pytest.mark.parametrize("name", BY_BLOCK)
def test_too_few_values(name: str) -> None:
    with pytest.raises(SpecError, match="one for each of 3"):
        BY_BLOCK[name](model(3), 0.7, [1.0, 2.0])


@pytest.mark.parametrize(
    "allocate",
    [
        lambda s: uniform(model(2), s),
        lambda s: owl(model(2), s, [1, 2]),
        lambda s: dlp(model(2), s, [1, 2]),
        lambda s: alpha(model(2), s, dict.fromkeys([slot.name for slot in model(2)], 1.0)),
        lambda s: atp(model(2), s, 0.01),
        lambda s: slopes(4, s),
        lambda s: ramp(4, s, 0.1),
    ],
)
@pytest.mark.parametrize("sparsity", [-0.1, 1.5, float("nan")])
def test_a_target_beyond_the_range(allocate: Callable[[float], Any], sparsity: float) -> None:
    with pytest.raises(SpecError, match="a share between 0 and 1"):
        allocate(sparsity)


def test_outliers_over_all_matrices_of_a_block() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = [torch.rand((5, 40), generator=generator) ** 9 for _ in range(3)]
    everything = torch.cat([part.flatten() for part in scores]).numpy().astype(np.float64)
    for times in (2, 5, 7):
        expected = (everything > times * everything.mean()).mean() * 100
        assert outlier_share(scores, M=times) == pytest.approx(expected, abs=1e-9)
    assert outlier_share([torch.zeros(3, 3)]) == 0.0
    assert outlier_share([]) == 0.0


@pytest.mark.parametrize("sizes", [(1,), (4, 3), (6, 2), (1, 1, 1, 1)])
def test_the_median_is_the_lower_one(sizes: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(4)
    scores = [torch.rand((2, size), generator=generator) for size in sizes]
    kept = [part.clone() for part in scores]
    assert block_median(scores) == float(torch.cat([p.flatten() for p in scores]).median())
    assert all(torch.equal(a, b) for a, b in zip(scores, kept, strict=True))
    assert block_median([]) == 0.0


@quick
@given(st.integers(1, 90), SPARSITY)
def test_slopes(blocks: int, sparsity: float) -> None:
    tried = slopes(blocks, sparsity)
    assert 1 <= len(tried) <= 24
    assert list(tried) == sorted(set(tried))
    for slope in tried:
        assert round(slope / 0.002, 6).is_integer()
        shares = progression.ramp(blocks, sparsity, slope)
        assert shares.shape == (blocks,)
        assert shares.mean() == pytest.approx(sparsity, abs=1e-9)
        assert np.allclose(np.diff(shares), slope, rtol=0, atol=1e-9)  # nothing was clipped
    if blocks > 1 and tried != (0.0,):  # one step more would leave the range
        step = tried[0]
        assert (tried[-1] + step) * (blocks - 1) > min(2 * sparsity, 2 * (1 - sparsity)) - 1e-9


def test_slopes_of_the_papers_model() -> None:
    """32 blocks at 70 %: the nine trials that the paper speaks of."""
    assert slopes(32, 0.7) == (0.002, 0.004, 0.006, 0.008, 0.01, 0.012, 0.014, 0.016, 0.018)
    assert slopes(1, 0.7) == (0.0,)
    assert slopes(900, 0.9) == (0.0,)


def test_atp_is_the_ramp_with_another_name() -> None:
    for lam in (0.01, 0.1, 0.25):
        assert np.allclose(progression.ramp(7, 0.6, 2 * lam / 6), ramp(7, 0.6, lam), atol=1e-12)
    assert list(of_blocks(atp(model(3), 0.5, 0.1), 3)) == pytest.approx([0.4, 0.5, 0.6])


@quick
@given(values=VALUES, sparsity=SPARSITY)
def test_alpha_meets_the_target_before_clipping(values: list[float], sparsity: float) -> None:
    slots = model(len(values))
    exponents = {slot.name: 1 + values[slot.block] for slot in slots}
    shares = alpha(slots, sparsity, exponents)
    sizes = np.array([slot.size for slot in slots])
    found = np.array([shares[slot.name] for slot in slots])
    assert (sizes * found).sum() / sizes.sum() == pytest.approx(sparsity, abs=1e-9)
    if len(set(values)) > 1:
        assert found.max() / found.min() == pytest.approx(1.3 / 0.7, rel=1e-9)
        heavy = int(np.argmin(values))  # the heaviest tail is kept densest
        assert shares[f"{heavy}.q"] == found.min()


def test_alpha_averages_a_block_and_leaves_nan_out() -> None:
    slots = model(2)
    exponents = {"0.q": 2.0, "0.up": float("nan"), "1.q": 3.0, "1.up": 5.0}
    same = {"0.q": 2.0, "0.up": 2.0, "1.q": 4.0, "1.up": 4.0}
    assert alpha(slots, 0.5, exponents) == alpha(slots, 0.5, same)
    blind = exponents | {"0.q": float("nan")}
    assert alpha(slots, 0.5, blind) == uniform(slots, 0.5)
    with pytest.raises(SpecError, match="none for 1.up"):
        alpha(slots, 0.5, {name: 2.0 for name in exponents if name != "1.up"})


def test_alpha_beyond_one_is_shared_out() -> None:
    slots = model(2)
    shares = alpha(slots, 0.8, {"0.q": 1.0, "0.up": 1.0, "1.q": 9.0, "1.up": 9.0})
    assert max(shares.values()) > 1
    counts = exact_counts(slots, shares, 0.8)
    assert sum(int(own.sum()) for own in counts.values()) == round(0.8 * 2 * 32 * 8)


def published_exponent(weight: torch.Tensor) -> float:
    """The search for x_min as a plain loop."""
    values = np.sort(torch.linalg.svdvals(weight).numpy().astype(np.float64) ** 2)
    logs = np.log10(values).astype(np.float32)
    counts, edges = np.histogram(logs, 100, range=(logs[0], logs[-1]))
    peak = 10 ** float(edges[np.argmax(counts)])
    best, exponent = 1.0, 0.0
    for i, least in enumerate(values[:-1]):
        if not np.log10(0.95 * peak) <= least <= 1.5 * peak:
            continue
        tail = values[i:]
        hill = 1 + len(tail) / np.log(tail / least).sum()
        law = 1 - (tail / least) ** (1 - hill)
        distance = np.abs(law - np.arange(len(tail)) / len(tail)).max()
        if distance < best:
            best, exponent = distance, hill
    return float(exponent)


@pytest.mark.parametrize("shape", [(40, 40), (64, 24), (16, 90)])
@pytest.mark.parametrize("seed", range(5))
def test_the_exponent_of_a_spectrum(shape: tuple[int, int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator) * torch.rand(shape, generator=generator) ** 3
    kept = weight.clone()
    assert hill_exponent(weight) == pytest.approx(published_exponent(weight), rel=1e-4)
    assert torch.equal(weight, kept)


def test_a_spectrum_without_a_tail() -> None:
    assert np.isnan(hill_exponent(torch.zeros(4, 4)))
    assert np.isnan(hill_exponent(torch.ones(1, 4)))
    assert hill_exponent(torch.eye(5)) == 0.0  # all alike: no law fits
    assert hill_exponent(torch.diag(torch.tensor([1.0, 0.0, 2.0, 4.0]))) >= 0.0


def test_shares_are_numbers_that_json_knows() -> None:
    for shares in (uniform(model(2), 0.5), owl(model(2), 0.5, [1, 2]), atp(model(2), 0.5, 0.02)):
        assert json.loads(json.dumps(shares)) == shares
