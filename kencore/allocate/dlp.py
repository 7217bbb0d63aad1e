"""DLP (arXiv 2505.23807): a block whose median Wanda score is larger is pruned more.

The paper calls the median a block's unimportance: where most scores are large, no few entries
carry the block.

Shapes: B blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kencore.allocate.neuroal import published_clip, spread
from kencore.allocate.slot import Slot, Sparsities, check_sparsity, of_used_blocks, per_block
from kencore.allocate.uniform import uniform


def block_median(scores: Iterable[Tensor]) -> float:
    """Median of a block's Wanda scores, over all its matrices together, on dense inputs.

    The lower of the two middle scores where their number is even, as ``torch.median``; 0 where
    there is none.
    """
    parts = [part.detach().flatten().to("cpu", torch.float32) for part in scores]
    flat = torch.cat(parts).numpy() if parts else np.zeros(0, np.float32)
    if not flat.size:
        return 0.0
    middle = (flat.size - 1) // 2
    return float(np.partition(flat, middle)[middle])


def dlp(slots: Sequence[Slot], sparsity: float, medians: Any, *, width: float = 0.15) -> Sparsities:
    """Block sparsity rises with the median of the block's scores, equal inside a block.

    A block's relative importance is 1 - median / sum of medians; densities are the importances
    stretched to a range of 2 * width around the target. Equal or unknown medians give the
    target everywhere. Assumed, since the paper does not say: a sparsity that leaves 0 ... 1
    becomes 0.01 or 0.99, as in OWL.

    Args:
        slots: the matrices to prune; blocks that hold none do not count.
        sparsity: the target.
        medians: float (B,), `block_median` of each block.
        width: the paper's alpha; 0.15 is its choice for 70 % sparsity (0.1 for 60, 0.04 for 50).

    Raises:
        SpecError: a target outside of 0 ... 1, fewer medians than blocks.
    """
    values, place = of_used_blocks(slots, medians)
    total = values.sum()
    importance = 1 - values / total if total > 0 else values
    density = spread(importance, 1 - check_sparsity(sparsity), width)
    if density is None:
        return uniform(slots, sparsity)
    return per_block(slots, published_clip(1 - density)[0][place])
