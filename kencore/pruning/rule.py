"""How one weight is pruned once its inputs are known: every method behind one call.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kencore.allocate.slot import Slot
from kencore.errors import SpecError
from kencore.methods import dsnot
from kencore.methods.random import row_generator
from kencore.methods.registry import load
from kencore.methods.rescale import rescaled
from kencore.methods.scored import Ties, keep_lowest_pruned
from kencore.methods.statistics import RunningInputs
from kencore.methods.table import METHODS, Method
from kencore.models.blocks.inputs import Inputs

Count = NDArray[np.int64] | int | float
"""Entries to prune: whole numbers (R,) or one for all rows. A float is a share of the matrix:
only a method that updates, as published, takes one."""

Prepared = Callable[[Count], tuple[Tensor, Tensor]]
"""Prunes so many entries: the new weight, float32 (R, C), and the keep mask, bool (R, C)."""

UNSEEN = "magnitude"
"""What decides where a rule looks at inputs and there were none: no token was sent to an expert."""
ATTENTION = frozenset({"q", "k", "v", "qkv", "o"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to prune a weight. What goes together is checked by `PruneSpec`.

    Args:
        method: one of `kencore.methods.table.METHODS`.
        bases: gives a slot's base weight (R, C): what entries that are not kept become; zero
            without it.
        refine: ``none`` or ``dsnot``, for attention slots only, as published.
        rescale: ``none``, or how kept differences to the base grow, see `kencore.methods.rescale`.
        seed: for ``random``.
        published: as the authors' code computes it, its faults included.
        ties: see `keep_lowest_pruned`.
    """

    method: str
    bases: Callable[[str], Tensor] | None = None
    refine: str = "none"
    rescale: str = "none"
    seed: int = 0
    published: bool = False
    ties: Ties = "pruned"

    @property
    def needs(self) -> frozenset[str]:
        """What must be known of a slot's inputs."""
        refined = dsnot.NEEDS if self.refine == "dsnot" else frozenset()
        return self.row.statistics | refined

    @property
    def row(self) -> Method:
        """What the table says of the method."""
        return METHODS[self.method]

    @property
    def updates(self) -> bool:
        """Whether kept entries change too, over whole matrices."""
        return self.row.update is not None and self.refine == "none"

    @property
    def plain(self) -> Rule:
        """The same rule without refinement, as searches use it."""
        return replace(self, refine="none")

    def base(self, slot: Slot, like: Tensor) -> Tensor | None:
        """The slot's base weight on the device of another tensor, ``None`` for zero restore."""
        return None if self.bases is None else self.bases(slot.name).to(like)

    def __call__(
        self, slot: Slot, weight: Tensor, base: Tensor | None, statistics: RunningInputs | None, pruned: Count
    ) -> tuple[Tensor, Tensor]:
        """New weight, float32 (R, C), and keep mask, bool (R, C); see `prepare`."""
        return self.prepare(slot, weight, base, statistics)(pruned)

    def prepare(self, slot: Slot, weight: Tensor, base: Tensor | None, statistics: RunningInputs | None) -> Prepared:
        """Everything that does not depend on how many entries go.

        Args:
            weight: floating (R, C). Not changed.
            base: what entries become that are not kept; zero without it.
            statistics: of the slot's inputs, with `needs`; of no token: `UNSEEN` decides.

        Raises (here or when the result is called):
            NonFiniteWeightError: a weight that cannot be ranked.
            FactorizationError: a Hessian that cannot be factored.
            SpecError: a method that compares with a base, without one.
        """
        if self.needs and statistics is not None and not statistics.tokens:
            return self._unseen(slot, weight, base)
        if self.updates:
            return self._updated(slot, weight, statistics)
        if self.row.score is None:
            choose = self._selected(slot, weight, base)
        else:
            choose = self._scored(slot, weight, statistics)

        def prune(pruned: Count) -> tuple[Tensor, Tensor]:
            keep = self._refined(slot, weight, choose(pruned), statistics)
            if base is None:  # several times faster than `where`: bits times 0 or 1
                return (weight.float().contiguous().view(torch.int32) * keep).view(torch.float32), keep
            if self.rescale != "none":
                return _rescaled(weight, base, keep, self.rescale), keep
            return torch.where(keep, weight.float(), base.float()), keep

        return prune

    def _unseen(self, slot: Slot, weight: Tensor, base: Tensor | None) -> Prepared:
        """By `UNSEEN`, and what is kept stays as it is."""
        prepared = replace(self, method=UNSEEN, refine="none").prepare(slot, weight, base, None)
        return lambda pruned: prepared(int(slot.cols * pruned) if isinstance(pruned, float) else pruned)

    def _scored(self, slot: Slot, weight: Tensor, statistics: RunningInputs | None) -> Callable[[Count], Tensor]:
        score = self._score(slot, weight, statistics)
        return lambda pruned: keep_lowest_pruned(score, _whole(pruned), ties=self.ties, name=slot.name)

    def _score(self, slot: Slot, weight: Tensor, statistics: RunningInputs | None) -> Tensor:
        assert self.row.score is not None
        score: Callable[..., Tensor] = load(self.row.score)
        if self.row.update is None:
            return score(weight, statistics)
        if self.published:
            # published DSnoT never fills SparseGPT's Hessian: every score is 0
            return torch.zeros_like(weight, dtype=torch.float32)
        return score(weight, _factor(slot, statistics))

    def _updated(self, slot: Slot, weight: Tensor, statistics: RunningInputs | None) -> Prepared:
        assert self.row.update is not None
        update: Callable[..., tuple[Tensor, Tensor]] = load(self.row.update)

        def prune(pruned: Count) -> tuple[Tensor, Tensor]:
            assert statistics is not None
            return update(weight, statistics.hessian(), pruned, factor=_factor(slot, statistics), name=slot.name)

        return prune

    def _selected(self, slot: Slot, weight: Tensor, base: Tensor | None) -> Callable[[Count], Tensor]:
        from kencore.methods.rows import select_rows
        from kencore.methods.select import select

        def choose(pruned: Count) -> Tensor:
            kept = slot.cols - np.broadcast_to(_whole(pruned), (slot.rows,))  # (R,)
            some = np.maximum(kept, 1)  # a selection keeps at least one
            if self.row.draws:
                mask = select_rows(
                    weight.cpu().float().numpy(),
                    None,
                    some,
                    self.method,
                    rng=row_generator(self.seed, slot.name),
                    name=slot.name,
                )
                keep = torch.from_numpy(mask).to(weight.device)
            else:
                keep = select(weight, some, self.method, base, name=slot.name)
            keep[torch.from_numpy(kept == 0).to(keep.device)] = False
            return keep

        return choose

    def _refined(self, slot: Slot, weight: Tensor, keep: Tensor, statistics: RunningInputs | None) -> Tensor:
        if self.refine == "none" or slot.role not in ATTENTION:
            return keep
        assert statistics is not None
        return dsnot.dsnot(weight, keep, statistics, published=self.published)


def _rescaled(weight: Tensor, base: Tensor, keep: Tensor, kind: str) -> Tensor:
    tuned, old = (side.float().cpu().numpy() for side in (weight, base))
    values = rescaled(tuned, old, keep.cpu().numpy(), kind)
    return torch.from_numpy(values).to(weight.device)


def _factor(slot: Slot, statistics: RunningInputs | None) -> Tensor:
    assert isinstance(statistics, Inputs)
    return statistics.factor(slot.name)


def _whole(pruned: Count) -> NDArray[np.int64] | int:
    if isinstance(pruned, float):
        raise SpecError(
            "pruned weights",
            got=f"a share ({pruned:g})",
            wanted="whole numbers per row",
            remedy="kencore.allocate.budget turns shares into counts.",
        )
    return pruned
