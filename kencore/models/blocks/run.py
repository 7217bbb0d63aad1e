"""Running one block on a stream of hidden states, and watching what its layers are given.

Shapes: S sequences (of a batch), T tokens, H hidden size, C columns of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kencore.errors import NonFiniteActivationError
from kencore.methods.statistics import RunningInputs
from kencore.models.blocks.linears import first_tensor
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
    watched: Mapping[nn.Module, RunningInputs],
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
        watched: layers whose inputs are added to the statistics; of layers that read one tensor
            name only one.
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
    out: Hidden = []
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(placed(block, device))
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=autocast))
        watch = _Watch(watched, stop=not output, clock=clock)
        for module in watched:
            handle = module.register_forward_pre_hook(watch.hook, with_kwargs=True)
            stack.callback(handle.remove)
        for call, batch in zip(calls, hidden, strict=True):
            watch.start(batch.shape[0])
            with clock("forward"):
                try:
                    result = call_block(block, call, batch.to(device), device)
                except Stop:
                    continue
            if output:
                check_finite(result, number)
                out.append(result.to(batch))
    return out


class _Watch:
    """Adds what layers are given to their statistics, and stops a pass that has no more to say."""

    def __init__(self, watched: Mapping[nn.Module, RunningInputs], *, stop: bool, clock: Clock) -> None:
        self.watched, self.stop, self.clock = watched, stop, clock
        self.sequences = self.left = 0

    def start(self, sequences: int) -> None:
        self.sequences, self.left = sequences, len(self.watched)

    def hook(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self.clock("statistics"):
            x = first_tensor(args, kwargs)
            if x.numel():
                self.watched[module].add(by_sequence(x, self.sequences))
        self.left -= 1
        if self.stop and self.left == 0:
            raise Stop


def by_sequence(x: Tensor, sequences: int) -> Tensor:
    """A layer's input as (S, T, C): some models flatten tokens first (OPT), and experts see only
    the tokens that were sent to them, which then count as one sequence.
    """
    if x.dim() == 3 and x.shape[0] == sequences:
        return x
    flat = x.reshape(-1, x.shape[-1])  # (S * T, C)
    whole = flat.shape[0] % sequences == 0
    return flat.reshape(sequences if whole else 1, -1, x.shape[-1])  # (S, T, C)
