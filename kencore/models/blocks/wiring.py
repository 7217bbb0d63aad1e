"""What reads what inside a block, found by running it: no architecture is named here.

Shapes: T tokens, C columns (inputs of a layer).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kencore.models.blocks.capture import capture
from kencore.models.blocks.linears import first_tensor
from kencore.models.blocks.run import Call, call_block

if TYPE_CHECKING:
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
    for number, block in enumerate(model.blocks):
        call = streams.calls[number][0]
        wiring.append(_wiring(model, number, call, hidden))
        with torch.no_grad():
            hidden = call_block(block, call, hidden, first.device)  # (1, T, H)
    return tuple(wiring)


def _wiring(model: BlockModel, number: int, call: Call, hidden: Tensor) -> Wiring:
    names = [name for name, linear in model.linears.items() if linear.slot.block == number]
    slots = [slot.name for slot in model.by_block[number]]
    role = {name: model.linears[name].slot.role for name in names}

    def inputs(noisy: Collection[str]) -> dict[str, tuple[Tensor, Any]]:
        return _inputs(model, number, call, hidden, names, noisy)

    def changed(name: str, noisy: dict[str, tuple[Tensor, Any]]) -> bool:
        return name in plain and name in noisy and not torch.equal(plain[name][0], noisy[name][0])

    plain, noisy = inputs(()), inputs(slots)
    out = [name for name in names if role[name] == "o"]
    after_o = inputs(out)
    up = [name for name in names if role[name] in UP_ROLES]
    groups: dict[Any, list[str]] = {}
    for name in slots:
        groups.setdefault(plain[name][1] if name in plain else name, []).append(name)
    return Wiring(
        groups=tuple(map(tuple, groups.values())),
        fresh=frozenset(name for name in slots if changed(name, noisy)),
        parallel=bool(out and up) and not any(changed(name, after_o) for name in up),
    )


def _inputs(
    model: BlockModel, number: int, call: Call, hidden: Tensor, names: Collection[str], noisy: Collection[str]
) -> dict[str, tuple[Tensor, Any]]:
    """What each layer is given, and a key that is equal for those given one tensor."""
    found: dict[str, tuple[Tensor, Any]] = {}
    alive: list[Tensor] = []  # or the memory of one input might serve the next

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = first_tensor(args, kwargs)
            alive.append(x)
            key = (x.data_ptr(), x.shape[-1], x.numel(), x._version)
            found.setdefault(name, (x.detach().clone(), key))

        return hook

    with ExitStack() as stack, torch.no_grad():
        for name in names:
            module = model.linears[name].module
            handle = module.register_forward_pre_hook(watch(name), with_kwargs=True)
            stack.callback(handle.remove)
            if name in noisy:
                stack.callback(module.register_forward_hook(_add_noise).remove)
        call_block(model.blocks[number], call, hidden, hidden.device)
    return found


def _add_noise(module: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
    wave = torch.arange(out.numel(), device=out.device, dtype=torch.float32).sin()
    return out + (wave.reshape(out.shape) * (1 + out.abs().mean())).to(out.dtype)
