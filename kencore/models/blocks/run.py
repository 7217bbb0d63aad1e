"""Running one block on a stream of hidden states, and watching what its layers are given.

Shapes: S sequences (of a batch), T tokens, H hidden size, C columns of a layer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kencore.errors import NonFiniteActivationError
from kencore.methods.statistics import RunningInputs
from kencore.models.blocks.ports import Port, listening
from kencore.models.blocks.spool import holder, used
from kencore.models.seam import forward
from kencore.system.progress import Clock

Hidden = list[Tensor]
"""One float tensor (S, T, H) per batch, in order."""


class HiddenState:
    """Stands in a block's recorded arguments where its hidden states belong."""


HERE = HiddenState()


@dataclass(frozen=True, slots=True)
class Call:
    """How the model calls one block for one batch: arguments, with `HERE` for the hidden state."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Stop(BaseException):
    """Leaves a forward pass as soon as everything asked for is known."""


@contextmanager
def placed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """A module's weights on ``device``; the originals come back afterwards, so that a model in
    main memory is run on a GPU block by block.
    """
    tables: list[dict[str, Any]] = [table for part in module.modules() for table in (part._parameters, part._buffers)]
    moved = [
        (table, name, tensor)
        for table in tables
        for name, tensor in table.items()
        if tensor is not None and tensor.device != device
    ]
    try:
        for table, name, tensor in moved:
            there = tensor.data.to(device)
            own = isinstance(tensor, nn.Parameter)
            table[name] = nn.Parameter(there, requires_grad=False) if own else there
        yield
    finally:
        for table, name, tensor in moved:
            table[name] = tensor


def on_device(value: Any, device: torch.device) -> Any:
    """A tree of tuples, lists and dicts with its tensors on ``device``."""
    if isinstance(value, Tensor):
        return value if value.device == device else value.to(device)
    if isinstance(value, tuple | list):
        return type(value)(on_device(item, device) for item in value)
    if isinstance(value, dict):
        return {key: on_device(item, device) for key, item in value.items()}
    return value


def call_block(block: nn.Module, call: Call, hidden: Tensor, device: torch.device) -> Tensor:
    """One batch (S, T, H) through a block: (S, T, H) on ``device``."""
    args = tuple(hidden if arg is HERE else on_device(arg, device) for arg in call.args)
    kwargs = {key: hidden if value is HERE else on_device(value, device) for key, value in call.kwargs.items()}
    out = forward(block, *args, **kwargs)
    return out if isinstance(out, Tensor) else out[0]


def check_finite(hidden: Tensor, block: int) -> None:
    """Raise `NonFiniteActivationError` naming the block."""
    if not bool(torch.isfinite(hidden).all()):
        raise NonFiniteActivationError(
            f"Block {block}",
            got="NaN or infinity in its output",
            wanted="finite activations on the calibration text",
            remedy="Prune less, or load the model in float32.",
        )


def run(
    block: nn.Module,
    number: int,
    calls: Sequence[Call],
    hidden: Hidden,
    watched: Mapping[Port, RunningInputs],
    *,
    device: torch.device,
    output: bool = True,
    autocast: bool = False,
    clock: Clock | None = None,
) -> Hidden:
    """All batches through one block.

    Args:
        number: of the block, for messages.
        calls: how the model calls it, one per batch.
        hidden: its input; not changed.
        watched: layers and experts whose inputs are added to the statistics; of layers that read one
            tensor name only one.
        output: without it the pass ends as soon as every watched layer was given its input, and
            an empty list comes back: the products after that are saved.
        autocast: matrix products in bfloat16.
        clock: gets the seconds under ``forward`` and ``statistics``.

    Returns:
        The block's output, on the device that ``hidden`` lies on.

    Raises:
        NonFiniteActivationError: naming the block.
    """
    if not output and not watched:
        return []
    clock = clock or Clock()
    out = holder(sum(batch.nbytes for batch in hidden)) if output else []
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(placed(block, device))
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=autocast))
        watch = _Watch(watched, stop=not output, clock=clock)
        stack.enter_context(listening(watched, watch.heard, watch.done))
        for place, (call, batch) in enumerate(zip(calls, hidden, strict=True)):
            watch.start(batch.shape[0], batch.shape[1])
            result = None
            with clock("forward"), contextlib.suppress(Stop):
                result = call_block(block, call, batch.to(device), device)
            watch.end()
            if output and result is not None:
                check_finite(result, number)
                out.append(result.to(batch))
                used(out, place)
            used(hidden, place)
    return out


class _Watch:
    """Adds what layers are given to their statistics, and stops a pass that has no more to say."""

    def __init__(self, watched: Mapping[Port, RunningInputs], *, stop: bool, clock: Clock) -> None:
        self.watched, self.stop, self.clock = watched, stop, clock
        # a layer has been given its input when it is called, experts when their module ends
        self.parts = len({port.module if port.leaf else port for port in watched})
        self.sequences = self.tokens = self.left = 0
        self.seen: set[Port] = set()

    def start(self, sequences: int, tokens: int) -> None:
        """A batch begins."""
        self.sequences, self.tokens, self.left = sequences, tokens, self.parts
        self.seen.clear()

    def heard(self, port: Port, x: Tensor) -> None:
        """Take in what a port is given."""
        with self.clock("statistics"):
            count = x.numel() // x.shape[-1]
            if count == self.sequences * self.tokens and not port.leaf:
                self.watched[port].add(by_sequence(x, self.sequences))
                self.seen.add(port)
            elif count:
                new = 0 if port in self.seen else self.sequences
                self.watched[port].add_tokens(x.reshape(count, -1), new)
                self.seen.add(port)
        if not port.leaf:
            self.done(port.module)

    def done(self, module: nn.Module) -> None:
        """A layer was called, or a module of experts has ended."""
        self.left -= 1
        if self.stop and self.left == 0:
            raise Stop

    def end(self) -> None:
        """A batch is over: what was given nothing of it was given no token of its sequences."""
        for port, found in self.watched.items():
            if port not in self.seen:
                found.add_tokens(torch.zeros(0, found.columns, device=found.device), self.sequences)


def by_sequence(x: Tensor, sequences: int) -> Tensor:
    """A layer's input as (S, T, C): some models flatten tokens first (OPT)."""
    return x if x.dim() == 3 and x.shape[0] == sequences else x.reshape(sequences, -1, x.shape[-1])
