"""OWL (arXiv 2310.05175): a block with more outliers among its Wanda scores is kept denser.

Shapes: B blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from kencore.allocate.neuroal import published_clip, spread
from kencore.allocate.slot import Slot, Sparsities, check_sparsity, of_used_blocks, per_block
from kencore.allocate.uniform import uniform


def outlier_share(scores: Iterable[Tensor], *, M: float = 5) -> float:  # noqa: N803 - the paper's
    """How many of a block's Wanda scores exceed M times their mean, in per cent.

    The paper's layerwise outlier distribution, over all matrices of the block together, on
    dense inputs.

    Args:
        scores: one tensor per matrix, any shapes.
        M: what counts as an outlier.
    """
    parts = list(scores)
    total = sum(part.numel() for part in parts)
    if not total:
        return 0.0
    mean = sum(float(part.double().sum()) for part in parts) / total
    count = sum(int((part > mean * M).sum()) for part in parts)
    return count / total * 100


def owl(slots: Sequence[Slot], sparsity: float, outliers: Any, *, width: float = 0.08) -> Sparsities:
    """Block sparsity falls as the share of outliers rises, equal inside a block.

    Densities are the shares stretched to a range of 2 * width around the target; a sparsity
    that leaves 0 ... 1 becomes 0.01 or 0.99, as published. Equal or unknown shares give the
    target everywhere (published code divides by zero).

    Args:
        slots: the matrices to prune; blocks that hold none do not count.
        sparsity: the target.
        outliers: float (B,), `outlier_share` of each block.
        width: the paper's lambda.

    Raises:
        SpecError: a target outside of 0 ... 1, fewer shares than blocks.
    """
    values, place = of_used_blocks(slots, outliers)
    density = spread(values, 1 - check_sparsity(sparsity), width)
    if density is None:
        return uniform(slots, sparsity)
    return per_block(slots, published_clip(1 - density)[0][place])
