"""What one allocation costs: NeuroAL's objective, measured block by block.

Only what can change the result is computed: norms of layers that depend on a pruned one, one set
of statistics for slots that read one tensor, no product whose result nobody reads, and the dense
pass and scores of the first block once for all candidates, since all start from the same stream.

Shapes: R rows (outputs), C columns (inputs) of a slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kencore.allocate import neuroal
from kencore.errors import DeadLayerError
from kencore.models.blocks.capture import Streams
from kencore.models.blocks.inputs import DENSE_NORMS, NORM, Gathered, all_need, gather
from kencore.models.blocks.model import BlockModel
from kencore.models.blocks.run import Hidden
from kencore.pruning.rule import Count, Prepared, Rule
from kencore.system.progress import Clock

Reference = Literal["local", "global"]
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One candidate.

    Args:
        cost: sum over slots, block by block.
        matrix_costs: of each slot, in the model's order.
        alignment: float32 (C,) of each slot, dense minus sparse norm of its inputs.
        dead: slots whose inputs are zero on every token: they count nothing.
    """

    cost: float
    matrix_costs: dict[str, float]
    alignment: dict[str, Tensor]
    dead: tuple[str, ...]


class Evaluator:
    """Measures candidates on one model and one set of streams; leaves the model as it was.

    Args:
        rule: how weights are pruned; refinement is left out.
        reference: what a block pruned on the stream of its pruned predecessors is compared with:
            ``local``, the same block with dense weights on that stream, as published; there the
            first layers of a block count nothing, since both sides read one tensor. Or
            ``global``, the wholly dense model, where every layer counts.
        autocast: matrix products in bfloat16.
        tick: called before every block; may raise to cancel.
    """

    def __init__(
        self,
        model: BlockModel,
        streams: Streams,
        rule: Rule,
        *,
        reference: Reference = "local",
        autocast: bool = False,
        clock: Clock | None = None,
        tick: Callable[[int], None] | None = None,
    ) -> None:
        self.model, self.streams, self.rule = model, streams, rule.plain
        self.local, self.autocast = reference == "local", autocast
        self.clock = clock or Clock()
        self.tick = tick or (lambda block: None)
        # published: the wrapper of SparseGPT, which updates, measures norms in its own way
        self.quirk = rule.published and rule.row.update is not None
        self._first: tuple[Gathered | None, dict[str, Prepared]] | None = None
        self._dense_norms: dict[str, Tensor] | None = None

    @torch.no_grad()
    def __call__(self, counts: Mapping[str, Count]) -> Outcome:
        """The cost of pruning so many entries of each slot's rows.

        Raises:
            DeadLayerError: every slot of a block is dead.
            NonFiniteActivationError: naming the block.
        """
        if not self.local and self._dense_norms is None:
            self._dense_norms = self._whole_dense_pass()
        hidden = self.streams.hidden
        costs: dict[str, float] = {}
        alignment: dict[str, Tensor] = {}
        dead: list[str] = []
        for block in range(len(self.model.blocks)):
            self.tick(block)
            dense, prepared = self._prepare(block, hidden)
            with self.clock("prune"):
                new = {name: prune(counts[name])[0] for name, prune in prepared.items()}
            with self.model.replaced(new):
                sparse, following = self._sparse(block, hidden)
            terms = self._terms(block, dense, sparse)
            measured = sum(sparse.get(slot.name) is not None for slot in self.model.by_block[block])
            if len(terms.dead) == measured > 0:
                self._check_alive(block, hidden)
            costs |= terms.matrix_costs
            alignment |= terms.alignment
            dead += terms.dead
            hidden = following
        return Outcome(cost=sum(costs.values()), matrix_costs=costs, alignment=alignment, dead=tuple(dead))

    @torch.no_grad()
    def pruned_stream(self, counts: Mapping[str, Count]) -> Hidden:
        """The last block's output in the model pruned so; nothing is measured on the way."""
        hidden = self.streams.hidden
        for block in range(len(self.model.blocks)):
            self.tick(block)
            _, prepared = self._prepare(block, hidden)
            with self.clock("prune"):
                new = {name: prune(counts[name])[0] for name, prune in prepared.items()}
            with self.model.replaced(new):
                _, hidden = self._gather(block, hidden, {}, output=True)
        return hidden

    def _prepare(self, block: int, hidden: Hidden) -> tuple[Gathered | None, dict[str, Prepared]]:
        """Statistics of the dense block on the current stream, and its weights ready to prune."""
        if block == 0 and self._first is not None:
            return self._first
        slots, fresh = self.model.by_block[block], self.model.wiring[block].fresh
        needs = {slot.name: self.rule.needs | (NORM if self.local and slot.name in fresh else NONE) for slot in slots}
        dense, _ = self._gather(block, hidden, needs, output=False)
        prepared = {}
        for slot in slots:
            with self.clock("prune"):
                weight = self.model.weight(slot.name).to(self.streams.device)
                base = self.rule.base(slot, weight)
                prepared[slot.name] = self.rule.prepare(slot, weight, base, dense.get(slot.name))
        if block == 0:
            self._first = dense, prepared
        return dense, prepared

    def _sparse(self, block: int, hidden: Hidden) -> tuple[Gathered, Hidden]:
        """Norms in the pruned block, and what the next block is given."""
        slots, fresh = self.model.by_block[block], self.model.wiring[block].fresh
        names = [slot.name for slot in slots if not self.local or slot.name in fresh]
        last = block == len(self.model.blocks) - 1
        return self._gather(block, hidden, all_need(names, NORM), output=not last)

    def _terms(self, block: int, dense: Gathered | None, sparse: Gathered) -> Outcome:
        """The block's part of the sum; slots that share their inputs share their term."""
        found: dict[int, tuple[float, Tensor, bool]] = {}
        costs, alignment, dead = {}, {}, []
        for slot in self.model.by_block[block]:
            after = sparse.get(slot.name)
            if after is None:  # dense and sparse are one and the same
                costs[slot.name] = 0.0
                alignment[slot.name] = torch.zeros(slot.cols)
                continue
            if id(after) not in found:
                if self._dense_norms is not None:
                    before = self._dense_norms[slot.name]
                else:
                    assert dense is not None
                    before = self._norm(dense[slot.name])
                found[id(after)] = _term(before, self._norm(after))
            costs[slot.name], alignment[slot.name], gone = found[id(after)]
            if gone:
                dead.append(slot.name)
        return Outcome(cost=0.0, matrix_costs=costs, alignment=alignment, dead=tuple(dead))

    def _norm(self, inputs: Any) -> Tensor:
        norm: Tensor = inputs.sparsegpt_norm() if self.quirk else inputs.norm()
        return norm

    def _whole_dense_pass(self) -> dict[str, Tensor]:
        """Every slot's input norms in the dense model: float32 (C,) by name; measured once per streams."""
        key = (DENSE_NORMS, self.autocast, self.quirk) if self.autocast or self.quirk else DENSE_NORMS
        known = self.streams.known
        if key not in known:
            known[key] = self._dense_pass()
        return {name: norm.to(self.streams.device) for name, norm in known[key].items()}

    def _dense_pass(self) -> dict[str, Tensor]:
        hidden, norms = self.streams.hidden, dict[str, Tensor]()
        for block, slots in enumerate(self.model.by_block):
            names = [slot.name for slot in slots]
            last = block == len(self.model.blocks) - 1
            found, hidden = self._gather(block, hidden, all_need(names, NORM), output=not last)
            norms |= {name: self._norm(found[name]).cpu() for name in names}
        return norms

    def _check_alive(self, block: int, hidden: Hidden) -> None:
        """Raise unless some slot of the block is given anything but zeros."""
        names = [slot.name for slot in self.model.by_block[block]]
        found, _ = self._gather(block, hidden, all_need(names, NORM), output=False)
        if not any(bool(found[name].norm().any()) for name in names):
            raise DeadLayerError(
                f"Block {block}",
                got="inputs of zero on every calibration token, in every layer",
                wanted="at least one layer that is given something",
                remedy="Check the model, or calibrate on other text.",
            )

    def _gather(
        self, block: int, hidden: Hidden, needs: Mapping[str, frozenset[str]], *, output: bool
    ) -> tuple[Gathered, Hidden]:
        return gather(
            self.model, self.streams, block, hidden, needs, output=output, autocast=self.autocast, clock=self.clock
        )


def _term(dense: Tensor, sparse: Tensor) -> tuple[float, Tensor, bool]:
    """Cost and alignment of one layer's inputs, and whether they are zero on either side."""
    alignment = (dense - sparse).cpu()
    if not bool(dense.any()) or not bool(sparse.any()):
        return 0.0, alignment, True
    return neuroal.cost(dense, sparse), alignment, False
