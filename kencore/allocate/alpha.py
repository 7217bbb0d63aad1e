"""AlphaPruning (arXiv 2410.10912): a block whose spectra have heavier tails is kept denser.

Shapes: R rows, C columns of a weight, N eigenvalues of W^T W.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kencore.allocate.slot import Slot, Sparsities, check_sparsity
from kencore.allocate.uniform import uniform
from kencore.errors import SpecError

Floats = NDArray[np.float64]

BINS = 100
TAILS_AT_ONCE = 1 << 22


@torch.no_grad()
def hill_exponent(weight: Tensor) -> float:
    """Exponent of the power law that the tail of a weight's spectrum follows.

    The paper's PL_Alpha_Hill: Hill's estimator over the eigenvalues of W^T W from x_min up.
    x_min is sought around the peak of their histogram (100 bins of their log10): of the
    candidates the one whose fitted law is nearest in Kolmogorov-Smirnov distance. They begin at
    log10(0.95 * peak), a logarithm compared with a value, and end at 1.5 * peak, as published;
    in float32 up to the eigenvalues, float64 after.

    Args:
        weight: floating (R, C).

    Returns:
        The exponent, above 1; 0 where no candidate is in reach, as published; NaN for a weight
        with fewer than two eigenvalues above 0.
    """
    eigenvalues = torch.linalg.svdvals(weight.detach().to(torch.float32)).square_()  # (N,)
    eigenvalues = eigenvalues[eigenvalues > 0].sort().values
    if len(eigenvalues) < 2:
        return float("nan")
    low, high = _candidates(eigenvalues)
    values = eigenvalues.double().cpu().numpy()
    first, last = np.searchsorted(values[:-1], (low, np.nextafter(high, np.inf)))
    if first >= last:
        return 0.0
    exponents = _exponents(values)[first:last]
    distances = _distances(values, exponents, int(first))
    best = int(np.argmin(distances))
    return float(exponents[best]) if distances[best] < 1 else 0.0


def _candidates(eigenvalues: Tensor) -> tuple[float, float]:
    """Lowest and highest x_min to try, from the left edge of the histogram's highest bin."""
    logs = torch.log10(eigenvalues)
    least, most = float(logs[0]), float(logs[-1])
    counts = torch.histc(logs.cpu(), BINS, min=least, max=most)
    edges = torch.linspace(least, most, BINS + 1)
    peak = 10 ** edges[int(torch.argmax(counts))]
    return float(torch.log10(0.95 * peak)), float(1.5 * peak)


def _exponents(values: Floats) -> Floats:
    """Hill's estimate with each eigenvalue but the last as x_min: (N-1,), infinite at ties."""
    logs = np.log(values)
    sums = np.cumsum(logs[::-1])[::-1]  # of each tail
    sizes = np.arange(len(values), 0, -1.0)
    with np.errstate(divide="ignore"):
        exponents: Floats = 1 + sizes / np.maximum(sums - sizes * logs, 0.0)
    return exponents[:-1]


def _distances(values: Floats, exponents: Floats, first: int) -> Floats:
    """Kolmogorov-Smirnov distance of each candidate's tail from its law; 1 where it has none.

    Candidates are the eigenvalues from place ``first`` on.
    """
    count = len(values)
    found = np.ones(len(exponents))
    step = max(1, TAILS_AT_ONCE // count)
    for begin in range(0, len(exponents), step):
        own = np.arange(begin, min(begin + step, len(exponents)))  # of the candidates
        start = (first + own)[:, None]
        places = np.arange(count)[None, :] - start  # (candidates, N), negative below the tail
        with np.errstate(over="ignore", invalid="ignore"):
            law = 1 - (values[None, :] / values[start]) ** (1 - exponents[own, None])
            gap = np.abs(law - places / (count - start))
        gap[places < 0] = 0.0
        found[own] = gap.max(axis=1)
    found[~np.isfinite(exponents) | ~np.isfinite(found)] = 1.0
    return found


def alpha(slots: Sequence[Slot], sparsity: float, exponents: Mapping[str, float], *, eps: float = 0.3) -> Sparsities:
    """Block sparsity linear in the mean exponent of the block's matrices.

    Between 1 - eps and 1 + eps times one factor, at which the shares, weighted by the entries of
    the matrices, meet the target. A share may exceed 1 (1.22 at 80 % sparsity), as published:
    `budget.exact_counts` shares the excess out. Equal exponents give the target everywhere.

    Args:
        slots: the matrices to prune.
        sparsity: the target.
        exponents: `hill_exponent` by slot name; NaN is left out of the mean.
        eps: half the range.

    Raises:
        SpecError: a target outside of 0 ... 1, a slot without an exponent.
    """
    check_sparsity(sparsity)
    missing = [slot.name for slot in slots if slot.name not in exponents]
    if missing:
        raise SpecError(
            "exponents",
            got=f"none for {missing[0]}",
            wanted="one per matrix to prune",
            remedy="Measure every matrix with hill_exponent.",
        )
    means = block_exponents(slots, exponents)
    if len(means) < len({slot.block for slot in slots}) or len(set(means.values())) < 2:
        return uniform(slots, sparsity)
    scores = np.array([means[slot.block] for slot in slots])
    sizes = np.array([slot.size for slot in slots])
    low, high = 1.0 - eps, 1.0 + eps
    ratios = ((scores - scores.min()) / (scores.max() - scores.min())) * (high - low) + low
    ratios = ratios * (sizes.sum() * sparsity / (sizes * ratios).sum())
    return {slot.name: ratio for slot, ratio in zip(slots, ratios, strict=True)}


def block_exponents(slots: Sequence[Slot], exponents: Mapping[str, float]) -> dict[int, float]:
    """Mean exponent of each block that has one: matrices count alike, NaN is left out."""
    by_block: dict[int, list[float]] = {}
    for slot in slots:
        if not np.isnan(exponents[slot.name]):
            by_block.setdefault(slot.block, []).append(exponents[slot.name])
    return {block: float(np.mean(own)) for block, own in by_block.items()}
