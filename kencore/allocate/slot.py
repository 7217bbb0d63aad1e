"""What sparsity is shared among: the prunable matrices of a model.

Shapes: R rows (outputs), C columns (inputs), B blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import SpecError

Sparsities = dict[str, float | NDArray[np.float64]]
"""Share of entries not kept, by slot name: one for the matrix, or one per row (R,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One prunable matrix: where it is, what it does, how large it is."""

    name: str
    """As on disk."""
    block: int
    """0 ... B-1."""
    role: str
    """One of ``kencore.checkpoint.parameter.ROLES``."""
    rows: int
    cols: int
    expert: int | None = None
    """Which expert of its layer it belongs to, if to one."""

    @property
    def size(self) -> int:
        """Entries of the matrix."""
        return self.rows * self.cols


def check_sparsity(sparsity: float) -> float:
    """The target itself.

    Raises:
        SpecError: not a number between 0 and 1.
    """
    if not 0.0 <= sparsity <= 1.0:
        raise SpecError(
            "sparsity",
            got=repr(sparsity),
            wanted="a share between 0 and 1",
            remedy="Sparsity is the share of weights that is not kept.",
        )
    return sparsity


def block_count(slots: Sequence[Slot]) -> int:
    """B, the blocks up to the deepest that has a slot."""
    return max((slot.block for slot in slots), default=-1) + 1


def of_used_blocks(slots: Sequence[Slot], values: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The values, one per block (B,), of those blocks that have a slot.

    Returns:
        Those values, float64, and where each block's stands among them, int64 (B,).

    Raises:
        SpecError: a slot of a block that there is no value for.
    """
    given = np.asarray(values, dtype=np.float64)
    if block_count(slots) > len(given):
        raise SpecError(
            "block values",
            got=f"{len(given)}",
            wanted=f"one for each of {block_count(slots)}",
            remedy="Measure every block that holds a matrix to prune.",
        )
    used = np.unique(np.array([slot.block for slot in slots], dtype=np.int64))
    place = np.zeros(len(given), dtype=np.int64)
    place[used] = np.arange(len(used))
    return given[used], place


def per_block(slots: Sequence[Slot], values: NDArray[np.float64]) -> Sparsities:
    """Each slot's share from its block's, values (B,)."""
    return {slot.name: values[slot.block] for slot in slots}
