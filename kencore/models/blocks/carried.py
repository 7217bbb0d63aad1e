"""Whether blocks hand on anything but their hidden states.

A block is run again on other hidden states with the arguments that it had in the dense model: masks, positions,
what was made of the token ids. That is wrong where an argument comes from an earlier block: keys and values that
several blocks share (Gemma 3n, Gemma 4), a router that reads the router before it (ZAYA).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kencore.errors import NotALanguageModelError
from kencore.models.blocks.capture import split
from kencore.models.blocks.run import Stop
from kencore.models.seam import forward

if TYPE_CHECKING:
    from kencore.models.blocks.model import BlockModel

TOKENS = 8  # enough to tell: what differs, differs for any text
DEPTH = 5  # of things inside things
Seen = dict[str, Tensor]  # arguments of blocks after the first, by where they are


def check_carried(model: BlockModel, ids: Tensor) -> None:
    """Raise `NotALanguageModelError` where an argument of a block depends on the blocks before it.

    Reads a few tokens twice, the second time with other hidden states before the first block, and compares what
    the other blocks are given beside their hidden states.

    Args:
        ids: token ids (S, T).
    """
    if len(model.blocks) < 2:
        return
    few = ids[:1, :TOKENS].long()
    plain, moved = _seen(model, few, move=False), _seen(model, few, move=True)
    for place, value in plain.items():
        other = moved.get(place)
        if other is None or other.shape != value.shape or not torch.equal(other, value):
            what = place.split(",")[0]
            raise NotALanguageModelError(
                f"Model {type(model.model).__name__}",
                got=f"blocks that hand on more than their hidden states ({what} comes from an earlier one)",
                wanted="blocks that can be run one by one on calibration text",
                remedy="Choose a method that needs no calibration text, such as magnitude.",
            )


def _seen(model: BlockModel, ids: Tensor, *, move: bool) -> Seen:
    found: Seen = {}
    last = len(model.blocks) - 1

    def hook(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call, hidden = split(args, kwargs)
        if number == 0:
            return _moved(args, kwargs, hidden) if move else None
        for name, value in (*enumerate(call.args), *call.kwargs.items()):
            found.update(_tensors(f"{name} of block {number + 1}", value))
        if number == last:
            raise Stop
        return None

    with ExitStack() as stack, torch.no_grad():
        for number, block in enumerate(model.blocks):
            handle = block.register_forward_pre_hook(
                lambda _, args, kwargs, number=number: hook(number, args, kwargs), with_kwargs=True
            )
            stack.callback(handle.remove)
        with suppress(Stop):
            forward(model.model, ids.to(next(model.model.parameters()).device), use_cache=False)
    return found


def _moved(args: tuple[Any, ...], kwargs: dict[str, Any], hidden: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The first block's arguments with other hidden states."""
    wave = torch.arange(hidden.numel(), device=hidden.device, dtype=torch.float32).sin().reshape(hidden.shape)
    other = hidden + hidden.float().std() * wave.to(hidden.dtype)
    if args and args[0] is hidden:
        return (other, *args[1:]), kwargs
    return args, kwargs | {"hidden_states": other}


def _tensors(place: str, value: Any, depth: int = DEPTH) -> Iterator[tuple[str, Tensor]]:
    """Copies of all tensors inside, by where they are: a later block may write into them."""
    if isinstance(value, Tensor):
        yield place, value.detach().clone()
        return
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, tuple | list):
        inner = enumerate(value)
    elif not isinstance(value, nn.Module):
        inner = getattr(value, "__dict__", {}).items()  # of a cache, for one
    for key, item in tuple(inner) if depth else ():
        yield from _tensors(f"{place}, {key}", item, depth - 1)
