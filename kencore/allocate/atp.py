"""ATP (arXiv 2502.14770): sparsity is an arithmetic progression over depth.

Its one number, the common difference, is the one of a grid at which the pruned model has the
lowest loss; this file gives the grid and the progression, `kencore.pruning.search.allocate` measures. It is
NeuroAL's family of blocks with another way to choose: slope = 2 lambda / (B - 1).

Shapes: B blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kencore.allocate.slot import Slot, Sparsities, block_count, check_sparsity, per_block

GRID = 0.002
"""Distance of the slopes tried, as in the paper."""
MOST = 24
"""Slopes tried at most: a shallow model has a wide range, where the grid is made coarser."""


def slopes(blocks: int, sparsity: float) -> tuple[float, ...]:
    """Slopes to try, rising: multiples of 0.002 that keep every block's sparsity in 0 ... 1.

    The paper bounds the slope by min(2 s, 2 (1 - s)) / (B - 1). Where more than 24 steps fit
    (the paper's models have 32 blocks and more, and need about 10), a multiple of 0.002 is the
    step. (0.0,) where none fits, as for a single block.

    Raises:
        SpecError: a target outside of 0 ... 1.
    """
    check_sparsity(sparsity)
    if blocks < 2:
        return (0.0,)
    highest = min(2 * sparsity, 2 * (1 - sparsity)) / (blocks - 1)
    steps = int(np.floor(highest / GRID + 1e-9))
    coarse = max(1, -(-steps // MOST))  # rounded up
    return tuple(round(GRID * coarse * i, 6) for i in range(1, steps // coarse + 1)) or (0.0,)


def ramp(blocks: int, sparsity: float, slope: float) -> NDArray[np.float64]:
    """Sparsity of each block: s - slope (B - 1) / 2 + slope i, float64 (B,), in 0 ... 1.

    Raises:
        SpecError: a target outside of 0 ... 1.
    """
    first = check_sparsity(sparsity) - slope * (blocks - 1) / 2
    return np.clip(first + np.arange(blocks) * slope, 0.0, 1.0)


def atp(slots: Sequence[Slot], sparsity: float, slope: float) -> Sparsities:
    """The progression over the blocks that the slots are of, equal inside a block.

    Raises:
        SpecError: a target outside of 0 ... 1.
    """
    return per_block(slots, ramp(block_count(slots), sparsity, slope))
