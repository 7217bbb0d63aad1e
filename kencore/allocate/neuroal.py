"""NeuroAL (TMLR 2025, github eliacunegatti/NeuroAL): a ramp over depth, then a spread over rows.

Pure functions; what needs the model's streams is in `kencore.pruning.search.allocate`. "Published" is the authors'
code, whose order of float operations is kept: the closed form flips int(C * s) at boundaries.

Shapes: R rows (outputs), C columns (inputs), B blocks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kencore.allocate.slot import Slot, Sparsities, check_sparsity, per_block

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

LOWEST, HIGHEST = 0.01, 0.99
"""What a block's sparsity outside of 0 ... 1 becomes, and the range of a row's, as published."""

_STEPS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.25)
ROW_LAMBDAS: tuple[float, ...] = (0.0, *_STEPS)
"""Spreads tried by the row step; 0 leaves all rows of a matrix alike."""


def BLOCK_LAMBDAS(sparsity: float) -> tuple[float, ...]:  # noqa: N802 - a list in the paper
    """Slopes tried by the block step: without 0.25 from 80 % sparsity on, as published."""
    return _STEPS if sparsity < 0.8 else _STEPS[:-1]


def spread(values: Any, density: float, lam: float) -> Floats | None:
    """Densities (B,) in proportion to ``values`` (B,), 2 * lam apart at most, mean ``density``.

    ``None`` where all values are equal, or some are not finite: there is nothing to go by
    (published code divides by zero).
    """
    v = np.array(values, dtype=np.float64)
    if v.size == 0 or not np.isfinite(v).all() or v.max() == v.min():
        return None
    v = (v - v.min()) * (1 / (v.max() - v.min()) * lam * 2)
    return np.asarray(v - np.mean(v) + density)


def ramp(blocks: int, sparsity: float, lam: float) -> Floats:
    """Sparsity of each block, rising over depth from s - lam to s + lam: float64 (B,).

    Paper, block step; published code, ``get_distribution_block``. Not clipped: see
    `published_clip`. One block has no depth and gets the target.

    Raises:
        SpecError: a target outside of 0 ... 1.
    """
    check_sparsity(sparsity)
    density = spread(np.arange(1, blocks + 1), 1 - sparsity, lam)
    if density is None:
        return np.full(blocks, sparsity, dtype=np.float64)
    return 1 - np.array(sorted(density, reverse=True))


def ahead(slots: Sequence[Slot], sparsity: float, blocks: int, options: Mapping[str, Any]) -> Sparsities | None:
    """The shares of a block step whose slope is given; ``None`` where something must be measured."""
    if options["step"] != "block" or options["block_lambda"] is None:
        return None
    return per_block(slots, published_clip(ramp(blocks, sparsity, options["block_lambda"]))[0])


def published_clip(sparsities: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Block sparsities <= 0 become 0.01, >= 1 become 0.99.

    Returns:
        The clipped sparsities (B,), and which were clipped (B,): published code leaves Python
        floats there, whose row levels are float32 later (`budget.published_counts`).
    """
    low, high = sparsities <= 0, sparsities >= 1
    clipped = np.where(low, LOWEST, np.where(high, HIGHEST, sparsities))
    return clipped, low | high


def row_sparsity(alignment: Any, block_sparsity: float, lam: float) -> Floats:
    """Sparsity of each row of a matrix, before clipping: float64 (R,).

    Paper, row step: a row whose reader lost more of its input's norm is kept denser; the mean
    over rows is the block's sparsity.

    Args:
        alignment: float (R,), the dense minus the sparse input norm of the layer that reads
            these rows.
        block_sparsity: share of the matrix.
        lam: half the distance between the densest and the sparsest row.

    A constant alignment, or one with NaN, leaves every row at the block's sparsity (published
    code divides by zero and prunes whole rows).
    """
    values = _float64(alignment)
    if values.size == 0 or not np.isfinite(values).all() or values.max() == values.min():
        return np.full(values.shape, block_sparsity, dtype=np.float64)
    return 1 - _densities(values, block_sparsity, lam)


def published_rows(alignment: Any, block_sparsity: float, lam: float) -> float | Floats:
    """`row_sparsity` as published: clipped to 0.01 ... 0.99, (R,).

    The block's sparsity itself, as one number, where the alignment adds up to 0 (there the
    published rows keep its Python type, see `published_clip`), and where it is constant
    (published code: NaN, and whole rows are lost).
    """
    import torch

    a = torch.as_tensor(alignment)
    if float(a.sum()) == 0.0 or bool((a == a[0]).all()):  # summed in its own float32
        return block_sparsity
    return np.clip(1 - _densities(_float64(a), block_sparsity, lam), LOWEST, HIGHEST)


def _densities(values: Floats, block_sparsity: float, lam: float) -> Floats:
    low, high = values.min(), values.max()
    density = ((values - low) / (high - low)) * lam * 2
    density -= np.mean(density) - (1 - block_sparsity)
    return np.asarray(density)


def _float64(values: Any) -> Floats:
    if hasattr(values, "detach"):  # a tensor; the ramp is needed where torch is not
        values = values.detach().cpu().double().numpy()
    return np.array(values, dtype=np.float64)


def cost(dense: Tensor, sparse: Tensor) -> float:
    """How far pruning moved the shape of a layer's inputs; a term of the paper's objective.

    Args:
        dense, sparse: float32 (C,), input norms of the dense and of the pruned block.

    Returns:
        || a_D / sum(a_D) - a_S / sum(a_S) ||_2 / C, in float32 as published; NaN for a layer
        whose inputs are all zero on either side.
    """
    import torch

    moved = dense / dense.sum() - sparse / sparse.sum()  # (C,)
    return float(torch.norm(moved, p=2)) / dense.numel()


class Consumer(NamedTuple):
    """Who reads the rows of a matrix."""

    role: str
    ahead: int
    """0: in the same block, 1: in the next one."""


def consumer(role: str, roles_of_block: Collection[str], parallel: bool) -> Consumer | None:
    """Which matrix has the rows of a ``role`` as its inputs.

    Paper, row step: q, k, v -> o; o -> the feed-forward's first; that -> the feed-forward's
    last; the last -> the next block's attention. Normalisation between them keeps the order.

    Args:
        role: of the matrix whose rows are asked for.
        roles_of_block: the roles that a block has.
        parallel: attention and feed-forward read the same input and are added, so that o feeds
            the next block. Published code differs: there o feeds fc1 in every model, whose
            alignment is 0 in a parallel one.

    Returns:
        Role and distance, or ``None`` where nothing follows that could be aligned. Whether there
        is a next block, and whether shapes agree, is for the caller to see.
    """
    readers = _READERS.get(role, ())
    if role == "o" and parallel:
        readers = _READERS["down"]
    for reader, ahead in readers:
        if reader in roles_of_block:
            return Consumer(reader, ahead)
    return None


_ATTENTION_NEXT = (("q", 1), ("qkv", 1))
_READERS: dict[str, tuple[tuple[str, int], ...]] = {
    "q": (("o", 0),),
    "k": (("o", 0),),
    "v": (("o", 0),),
    "qkv": (("o", 0),),
    "o": (("gate", 0), ("up", 0), ("gate_up", 0), *_ATTENTION_NEXT),
    "gate": (("down", 0),),
    "up": (("down", 0),),
    "gate_up": (("down", 0),),
    "down": _ATTENTION_NEXT,
}
