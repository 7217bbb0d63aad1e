"""A loaded causal language model seen as blocks and slots (the matrices that can be pruned).

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from kencore.allocate.slot import Slot
from kencore.checkpoint.parameter import Layout
from kencore.errors import ScopeError, ShapeError
from kencore.models.blocks.linears import Linear, find_blocks, find_linears
from kencore.models.blocks.wiring import Wiring, probe


class BlockModel:
    """The blocks of a causal language model, and the weights in them that can be pruned.

    Args:
        model: a transformers causal language model, in evaluation mode.
        layout: of the checkpoint it was loaded from; names of slots are the names on disk.
        scope: names on disk of what may be pruned; every linear layer of the blocks by default.

    Attributes:
        blocks: the modules, in order.
        linears: every linear layer of the blocks and every expert's matrices, by name, block by block
            in module order.
        slots: those in scope, same order.
        by_block: the slots of each block.
        refused: name -> reason, for matrices of the blocks that are no linear layer's.
        known: what was measured of its dense weights, by what it is. Filled by who measures.

    Raises:
        NotALanguageModelError: not a single stack of blocks.
        ScopeError: no slot in scope.
    """

    def __init__(self, model: nn.Module, layout: Layout, *, scope: Collection[str] | None = None) -> None:
        self.model, self.layout = model, layout
        self.known: dict[Any, Any] = {}
        self.path, found = find_blocks(model, layout)
        self.blocks: tuple[nn.Module, ...] = tuple(found)
        self.linears, self.refused = find_linears(model, layout, self.path, experts=True)
        self.slots: tuple[Slot, ...] = tuple(
            linear.slot for name, linear in self.linears.items() if scope is None or name in scope
        )
        if not self.slots:
            raise ScopeError(
                f"Model {layout.architecture}",
                got="no linear layer of a block in scope",
                wanted="at least one",
                remedy="Widen the scope.",
            )
        self.by_block: tuple[tuple[Slot, ...], ...] = tuple(
            tuple(slot for slot in self.slots if slot.block == block) for block in range(len(self.blocks))
        )

    @cached_property
    def wiring(self) -> tuple[Wiring, ...]:
        """Of each block: which slots read one tensor, and which of them another slot changes.

        Measured once, by running every block on four tokens.
        """
        return probe(self)

    @property
    def parallel(self) -> bool:
        """Attention and feed-forward read the same input (GPT-J, Phi, Falcon, some GPT-NeoX)."""
        return self.wiring[0].parallel

    def linear(self, name: str) -> Linear:
        """The linear layer of that name on disk."""
        return self.linears[name]

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of a weight on disk, whatever it was loaded in."""
        return self.linears[name].dtype

    def weight(self, name: str) -> Tensor:
        """A slot's weight as float32 (R, C), rows being outputs; it may share the model's memory:
        read it only.
        """
        linear = self.linears[name]
        return linear.rows(linear.stored).to(torch.float32)

    def set_weight(self, name: str, values: Tensor) -> None:
        """Write a slot's weight.

        Args:
            values: (R, C), on any device.

        Raises:
            ShapeError: another shape.
        """
        linear = self.linears[name]
        _check_shape(linear.slot, values)
        with torch.no_grad():
            own = linear.rows(values)
            rounded = own.to(linear.stored.dtype)
            if linear.port.leaf or torch.equal(rounded.to(own.dtype), own):
                linear.stored.copy_(rounded)
            else:  # a model in half precision, and values that are finer
                linear.parameter.data = own.to(linear.parameter.device).contiguous()

    @contextmanager
    def replaced(self, values: Mapping[str, Tensor]) -> Iterator[None]:
        """Other weights (R, C) for some slots; the model's own come back afterwards, uncopied but
        for those of experts, which lie with others.
        """
        linears = {name: self.linears[name] for name in values}
        layers = {name: linear.parameter.data for name, linear in linears.items() if not linear.port.leaf}
        experts = {name: linear.stored.clone() for name, linear in linears.items() if linear.port.leaf}
        try:
            for name, value in values.items():
                linear = linears[name]
                _check_shape(linear.slot, value)
                if name in experts:
                    linear.stored.copy_(linear.rows(value))
                else:
                    wide = torch.promote_types(layers[name].dtype, value.dtype)  # finer than a half precision
                    linear.parameter.data = linear.rows(value).to(wide).contiguous()
            yield
        finally:
            for name, data in layers.items():
                linears[name].parameter.data = data
            for name, data in experts.items():
                linears[name].stored.copy_(data)


def _check_shape(slot: Slot, values: Tensor) -> None:
    if tuple(values.shape) != (slot.rows, slot.cols):
        raise ShapeError(
            f"New values of {slot.name}",
            got=f"shape {tuple(values.shape)}",
            wanted=f"({slot.rows}, {slot.cols}): outputs by inputs",
            remedy="Turn a weight that is stored as inputs by outputs.",
        )
