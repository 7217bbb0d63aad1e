"""What reads what inside a block, found by running it: no architecture is named here.

Shapes: T tokens, C columns (inputs of a layer).
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kencore.models.blocks.capture import capture
from kencore.models.blocks.ports import Port, listening
from kencore.models.blocks.run import Call, call_block

if TYPE_CHECKING:
    from kencore.models.blocks.linears import Linear
    from kencore.models.blocks.model import BlockModel

TOKENS = 4
UP_ROLES = frozenset({"up", "gate", "gate_up"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """One block.

    Args:
        groups: names of slots that read one and the same tensor (q, k and v; gate and up), in
            module order.
        fresh: slots whose input depends on another slot of the block. The others read what the
            block was given, whether it is pruned or not.
        parallel: the feed-forward does not read what attention gives.
    """

    groups: tuple[tuple[str, ...], ...]
    fresh: frozenset[str]
    parallel: bool

    def leaders(self, names: Collection[str]) -> tuple[str, ...]:
        """The first slot of each group that has one among ``names``."""
        return tuple(group[0] for group in self.groups if not set(group).isdisjoint(names))


def probe(model: BlockModel) -> tuple[Wiring, ...]:
    """The wiring of every block, by running each on `TOKENS` tokens, as it is and with noise on
    the outputs of its layers. Runs where the model lies.
    """
    first = next(model.model.parameters())
    size = int(getattr(model.model.config, "vocab_size", TOKENS + 1))
    ids = (torch.arange(1, TOKENS + 1) % size).reshape(1, -1)  # (1, T)
    streams = capture(model, ids, device=first.device)
    hidden = streams.hidden[0].to(first.device)
    wiring = []
    for number in range(len(model.blocks)):
        own, hidden = _wiring(model, number, streams.calls[number][0], hidden)  # (1, T, H)
        wiring.append(own)
    return tuple(wiring)


def _wiring(model: BlockModel, number: int, call: Call, hidden: Tensor) -> tuple[Wiring, Tensor]:
    """The wiring of a block, and what it gives."""
    linears = {name: linear for name, linear in model.linears.items() if linear.slot.block == number}
    slots = [slot.name for slot in model.by_block[number]]

    def inputs(noisy: Collection[str]) -> tuple[Inputs, Tensor]:
        return _inputs(model, number, call, hidden, linears, noisy)

    def changed(name: str, noisy: Inputs) -> bool:
        return not plain[_place(linears[name].port)].same(noisy[_place(linears[name].port)])

    (plain, given), (noisy, _) = inputs(()), inputs(slots)
    after_o, _ = inputs([name for name, linear in linears.items() if linear.slot.role == "o"])
    out = any(linear.slot.role == "o" for linear in linears.values())
    up = [name for name, linear in linears.items() if linear.slot.role in UP_ROLES]
    groups: dict[Any, list[str]] = {}
    for name in slots:
        port = linears[name].port
        groups.setdefault(port if port.leaf else plain[_place(port)].key or name, []).append(name)
    # no noise is added between the two products of an expert
    second = {name for name in slots if linears[name].port.leaf and linears[name].slot.role == "down"}
    wiring = Wiring(
        groups=tuple(map(tuple, groups.values())),
        fresh=frozenset(name for name in slots if name in second or changed(name, noisy)),
        parallel=bool(out and up) and not any(changed(name, after_o) for name in up),
    )
    return wiring, given


class _Given:
    """What a layer is given, or each of the experts of one.

    Attributes:
        values: by expert (T, C), 0 for a layer.
        key: equal for layers that are given one tensor.
    """

    def __init__(self) -> None:
        self.values: dict[int, Tensor] = {}
        self.key: Any = None

    def same(self, other: _Given) -> bool:
        """Whether all of it is equal."""
        alike = self.values.keys() == other.values.keys()
        return alike and all(torch.equal(value, other.values[expert]) for expert, value in self.values.items())


Inputs = dict[Any, _Given]


def _place(port: Port) -> Any:
    """Equal for all experts of one parameter."""
    return port.module, port.leaf


def _inputs(
    model: BlockModel, number: int, call: Call, hidden: Tensor, linears: dict[str, Linear], noisy: Collection[str]
) -> tuple[Inputs, Tensor]:
    """What each layer is given, with noise on what some of them give; and what the block gives."""
    found: Inputs = {_place(linear.port): _Given() for linear in linears.values()}
    alive: list[Tensor] = []  # or the memory of one input might serve the next

    def heard(port: Port, x: Tensor) -> None:
        alive.append(x)
        given = found[_place(port)]
        if port.expert not in given.values:
            given.values[port.expert] = x.detach().clone()
            given.key = given.key or (x.data_ptr(), x.shape[-1], x.numel(), x._version)

    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(listening({linear.port for linear in linears.values()}, heard))
        for module in {linears[name].module: None for name in noisy}:
            stack.callback(module.register_forward_hook(_add_noise).remove)
        out = call_block(model.blocks[number], call, hidden, hidden.device)
    return found, out


def _add_noise(module: nn.Module, args: tuple[Any, ...], out: Any) -> Any:
    if not isinstance(out, Tensor):  # of a router, which says more than numbers
        return out
    wave = torch.arange(out.numel(), device=out.device, dtype=torch.float32).sin()
    return out + (wave.reshape(out.shape) * (1 + out.abs().mean())).to(out.dtype)
