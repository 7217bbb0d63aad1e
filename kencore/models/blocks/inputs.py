"""Statistics of what the slots of a block are given, shared by those that read one tensor.

Shapes: C columns (inputs of a layer).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kencore.methods.sparsegpt import inverse_factor
from kencore.methods.statistics import RunningInputs
from kencore.models.blocks.capture import run_block

if TYPE_CHECKING:
    from kencore.models.blocks.capture import Streams
    from kencore.models.blocks.model import BlockModel
    from kencore.models.blocks.run import Hidden
    from kencore.system.progress import Clock

NORM = frozenset({"norm"})
DENSE_NORMS = "dense norms"
"""What `Streams` know once they were measured: float32 (C,) of each slot, by name."""


class Inputs(RunningInputs):
    """Statistics that factor their Hessian once, for all slots that share them."""

    _factor: Tensor | None = None

    def factor(self, name: str) -> Tensor:
        """`inverse_factor` of the Hessian, float32 (C, C). Add nothing after the first call."""
        if self._factor is None:
            self._factor = inverse_factor(self.hessian(), name=name)
        return self._factor


class Gathered:
    """A block's statistics by the name of each slot.

    Args:
        needs: what to gather, by slot; a group gathers what any of its slots needs.
    """

    def __init__(
        self, model: BlockModel, block: int, needs: Mapping[str, frozenset[str]], device: torch.device
    ) -> None:
        self.leaders: dict[str, Inputs] = {}
        self._by_slot: dict[str, Inputs] = {}
        for group in model.wiring[block].groups:
            wanted = frozenset().union(*(needs.get(name, frozenset()) for name in group))
            if wanted:
                columns = model.linear(group[0]).slot.cols
                self.leaders[group[0]] = found = Inputs(columns, wanted, device)
                self._by_slot |= dict.fromkeys(group, found)

    @property
    def slots(self) -> int:
        """How many slots there are statistics of."""
        return len(self._by_slot)

    def __getitem__(self, name: str) -> Inputs:
        return self._by_slot[name]

    def get(self, name: str) -> Inputs | None:
        """The statistics of a slot's inputs, ``None`` where none were asked for."""
        return self._by_slot.get(name)


def gather(
    model: BlockModel,
    streams: Streams,
    block: int,
    hidden: Hidden,
    needs: Mapping[str, frozenset[str]],
    *,
    output: bool,
    autocast: bool = False,
    clock: Clock | None = None,
) -> tuple[Gathered, Hidden]:
    """Run a block and gather statistics of its slots' inputs; and its output.

    Args and errors as `kencore.models.blocks.run_block`. What was never run (an expert no token was
    sent to) has statistics of no token, which are zero.
    """
    gathered = Gathered(model, block, needs, streams.device)
    out = run_block(model, streams, block, hidden, gathered.leaders, output=output, autocast=autocast, clock=clock)
    return gathered, out


def all_need(names: Collection[str], needs: frozenset[str]) -> dict[str, frozenset[str]]:
    """The same needs for every name."""
    return dict.fromkeys(names, needs)
