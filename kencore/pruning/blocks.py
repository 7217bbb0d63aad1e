"""Pruning a language model block by block, each on what the blocks before it give.

Shapes: R rows (outputs), C columns (inputs) of a slot; S sequences, T tokens, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kencore.allocate.slot import Slot
from kencore.methods.rescale import check_rescaled
from kencore.models.blocks import BlockModel, Streams
from kencore.models.blocks.inputs import DENSE_NORMS, NORM, Gathered, all_need, gather
from kencore.models.blocks.run import Hidden
from kencore.pruning.rule import Count, Rule
from kencore.system.progress import Clock, Progress

Propagate = Literal["pruned", "dense"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """One pruned slot, in main memory.

    Args:
        slot: which.
        keep: bool (R, C).
        weight: float32 (R, C), as the model has it now.
        dense_norm: float32 (C,), the norm of each input in the dense model.
        sparse_norm: the same in the pruned model. Both ``None`` where they were not asked for.
        unseen: the rule looks at inputs, and there were none: no token was sent to this expert.
    """

    slot: Slot
    keep: Tensor
    weight: Tensor
    dense_norm: Tensor | None
    sparse_norm: Tensor | None
    unseen: bool = False


def prune_blocks(
    model: BlockModel,
    streams: Streams,
    rule: Rule,
    counts: Mapping[str, Count],
    *,
    propagate: Propagate = "pruned",
    norms: bool = True,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Iterator[Pruned]:
    """Prune every slot and hand the block's new output on; sets the model's own weights.

    New weights are rounded to the dtype they have on disk before they are run, except by a
    published rule. Slots come block by block in module order.

    Args:
        counts: entries to prune, by slot: (R,) each (`kencore.allocate.budget`).
        propagate: what a block's statistics are taken on: the output of the pruned blocks before
            it, as Wanda and SparseGPT do, or of the dense ones.
        norms: also measure every slot's input norms in the dense and in the pruned model, which
            costs one more forward pass of each block; those in the dense model once per streams.
        progress: called with (done, total, message) in weights; may raise to cancel.

    Raises:
        NonFiniteActivationError: naming the block.
        NonFiniteWeightError: a rescaled weight is too large for its dtype.
        As `Rule.prepare`.
    """
    clock = clock or Clock()
    hand = _Hand(model, streams, rule, propagate, norms, clock)
    done, total = 0, sum(slot.size for slot in model.slots)
    for block, slots in enumerate(model.by_block):
        if progress:
            progress(done, total, f"Pruning block {block + 1} of {len(model.blocks)}")
        statistics = hand.measure(block)
        unseen = {slot.name for slot in slots if statistics and rule.needs and not statistics[slot.name].tokens}
        masks = {}
        for slot in slots:
            with clock("prune"), torch.no_grad():
                masks[slot.name] = _prune(model, streams, rule, slot, statistics, counts[slot.name])
            done += slot.size
            if progress:
                progress(done, total, f"Pruned {slot.name}")
        sparse = hand.step(block)
        for slot in slots:
            yield Pruned(
                slot=slot,
                keep=masks[slot.name].cpu(),
                weight=model.weight(slot.name).clone().cpu(),
                dense_norm=hand.dense_norms[slot.name] if norms else None,
                sparse_norm=sparse[slot.name].norm().cpu() if sparse else None,
                unseen=slot.name in unseen,
            )
    if norms:
        streams.known[DENSE_NORMS] = hand.dense_norms


def _prune(
    model: BlockModel, streams: Streams, rule: Rule, slot: Slot, statistics: Gathered | None, count: Count
) -> Tensor:
    """Prune one slot in the model; its keep mask."""
    weight = model.weight(slot.name).to(streams.device)
    found = statistics.get(slot.name) if statistics else None
    new, keep = rule(slot, weight, rule.base(slot, weight), found, count)
    if not rule.published:
        new = new.to(model.dtype(slot.name)).to(torch.float32)
    if rule.rescale != "none":
        check_rescaled(new.cpu().numpy(), slot.name)
    model.set_weight(slot.name, new)
    return keep


class _Hand:
    """Carries the dense and the pruned stream from block to block."""

    def __init__(
        self, model: BlockModel, streams: Streams, rule: Rule, propagate: Propagate, norms: bool, clock: Clock
    ) -> None:
        self.model, self.streams, self.rule, self.clock = model, streams, rule, clock
        self.on_dense, self.norms = propagate == "dense", norms
        self.pruned: Hidden = streams.hidden
        self.dense: Hidden = streams.hidden
        known: dict[str, Tensor] | None = streams.known.get(DENSE_NORMS) if norms else None
        self.dense_norms: dict[str, Tensor] = known or {}
        self.to_measure = norms and not known

    def measure(self, block: int) -> Gathered | None:
        """What the rule needs to know of a block that is still dense; moves the dense stream."""
        names = [slot.name for slot in self.model.by_block[block]]
        needs, found = self.rule.needs, None
        one_stream = self.pruned is self.dense
        if self.to_measure or (self.on_dense and needs):
            own = NORM if self.to_measure else frozenset()
            both = own | needs if self.on_dense or one_stream else own
            found, self.dense = self._run(block, self.dense, names, both, output=True)
            if self.to_measure:
                self.dense_norms |= {name: found[name].norm().cpu() for name in names}
        if not needs:
            return None
        if found is None or not (self.on_dense or one_stream):
            found, _ = self._run(block, self.pruned, names, needs, output=False)
        return found

    def step(self, block: int) -> Gathered | None:
        """Run the block as it is now; its slots' input norms, if they are wanted."""
        names = [slot.name for slot in self.model.by_block[block]]
        last = block == len(self.model.blocks) - 1
        if not self.norms and (last or not self.rule.needs):
            return None  # nobody reads the stream any more
        needs = NORM if self.norms else frozenset()
        found, self.pruned = self._run(block, self.pruned, names, needs, output=not last)
        return found if self.norms else None

    def _run(
        self, block: int, hidden: Hidden, names: list[str], needs: frozenset[str], *, output: bool
    ) -> tuple[Gathered, Hidden]:
        return gather(self.model, self.streams, block, hidden, all_need(names, needs), output=output, clock=self.clock)
