"""What sparsity is shared among: the prunable matrices of a model.

Shapes: R rows (outputs), C columns (inputs), B blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    """One of ``kencore.checkpoint.layout.ROLES``."""
    rows: int
    cols: int

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
            "sparsity", got=repr(sparsity), wanted="a share between 0 and 1",
            remedy="Sparsity is the share of entries that is not kept.",
        )  # fmt: skip
    return sparsity


def per_block(slots: tuple[Slot, ...] | list[Slot], values: NDArray[np.float64]) -> Sparsities:
    """Each slot's share from its block's, values (B,).

    Raises:
        SpecError: a slot of a block that there is no value for.
    """
    deepest = max((slot.block for slot in slots), default=-1)
    if deepest >= len(values):
        raise SpecError(
            "block values", got=f"{len(values)} values", wanted=f"one for each of {deepest + 1}",
            remedy="Measure every block that holds a matrix to prune.",
        )  # fmt: skip
    return {slot.name: values[slot.block] for slot in slots}
