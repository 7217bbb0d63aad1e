"""Uniform: every matrix is pruned alike."""

from __future__ import annotations

from collections.abc import Sequence

from kencore.allocate.slot import Slot, Sparsities, check_sparsity


def uniform(slots: Sequence[Slot], sparsity: float) -> Sparsities:
    """The target for every slot.

    Raises:
        SpecError: a target outside of 0 ... 1.
    """
    return dict.fromkeys((slot.name for slot in slots), check_sparsity(sparsity))
