"""The calibration streams: what every block is given when the model reads the text, and blocks run on it again.

Shapes: S sequences, T tokens, H hidden size, B blocks, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kencore.errors import ShapeError
from kencore.models.blocks.run import HERE, Call, Hidden, Stop, check_finite, on_device, placed, run
from kencore.models.blocks.spool import holder, used
from kencore.models.seam import forward

if TYPE_CHECKING:
    from kencore.methods.statistics import RunningInputs
    from kencore.models.blocks.model import BlockModel
    from kencore.system.progress import Clock

TOKENS_AT_ONCE = 2048
TRIED = 4
"""Tokens that show whether a block's arguments depend on the blocks before it."""
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What it takes to run every block again, batch by batch.

    Args:
        ids: the token ids (S, T).
        hidden: the first block's input, one (S, T, H) per batch, in main memory.
        calls: of each block, how the model calls it for each batch.
        tuples: of each block, whether it gives a tuple that begins with its output.
        device: where blocks run.
        known: what was measured of the dense model on them, by what it is: it holds as long as they do, whatever is
            pruned meanwhile. Filled by who measures.
    """

    ids: Tensor
    hidden: Hidden
    calls: tuple[tuple[Call, ...], ...]
    tuples: tuple[bool, ...]
    device: torch.device
    known: dict[Any, Any] = field(default_factory=dict, compare=False)

    @property
    def sequences(self) -> int:
        """S, over all batches."""
        return int(self.ids.shape[0])

    @property
    def first(self) -> Streams:
        """The first batch alone."""
        size = len(self.hidden[0])
        return replace(
            self, ids=self.ids[:size], hidden=self.hidden[:1], calls=tuple(c[:1] for c in self.calls), known={}
        )

    def bytes(self) -> int:
        """Memory of one stream of hidden states."""
        return sum(batch.nbytes for batch in self.hidden)


def capture(model: BlockModel, ids: Tensor, *, device: torch.device | str = "cpu", batch: int | None = None) -> Streams:
    """Record the arguments of every block on a text, and the first one's hidden states.

    Every block's own, since some models hand different masks to different blocks (Gemma 2). Masks that do not change
    between batches are stored once. The dense model is run on a few tokens; where the arguments there do not depend
    on what blocks give, as in almost every model, blocks only hand their input on while the text is read.

    Args:
        ids: integer (S, T).
        device: where blocks run; a model that lies elsewhere is moved block by block.
        batch: sequences per forward pass; as many as make `TOKENS_AT_ONCE` tokens by default.

    Raises:
        ShapeError: no sequence, or not a matrix of token ids.
        NonFiniteActivationError: naming the block.
    """
    if ids.ndim != 2 or ids.numel() == 0 or ids.is_floating_point():
        raise ShapeError(
            "token ids",
            got=f"{ids.dtype} of shape {tuple(ids.shape)}",
            wanted="whole numbers (sequences, tokens), at least one of each",
            remedy="Pass the windows of a calibration text.",
        )
    target = torch.device(device)
    size = batch or max(1, TOKENS_AT_ONCE // ids.shape[1])
    tried = _recorded(model, target, [ids[:1, :TRIED].long()])
    if ids.shape[0] == 1 and ids.shape[1] <= TRIED:
        recorder = tried  # of all there is
    else:
        tuples = tuple(tried.tuples) if _still(model, target, ids, tried) else None
        recorder = _recorded(model, target, torch.split(ids.long(), size), tuples)
    return Streams(
        ids=ids,
        hidden=recorder.hidden or [],
        calls=tuple(map(tuple, recorder.calls)),
        tuples=tuple(tried.tuples),
        device=target,
    )


def _recorded(
    model: BlockModel, device: torch.device, parts: Sequence[Tensor], tuples: tuple[bool, ...] | None = None
) -> _Recorder:
    """The arguments of every block on some batches; with ``tuples`` blocks hand their input on, wrapped as told."""
    recorder = _Recorder(model, device, run=tuples is None, sequences=sum(map(len, parts)))
    with torch.no_grad(), ExitStack() as stack:
        if tuples is not None:
            stack.enter_context(handing_on(model.blocks, tuples))
        stack.enter_context(recorder.listening())
        for part in parts:
            recorder.read(part)
    return recorder


def _still(model: BlockModel, device: torch.device, ids: Tensor, tried: _Recorder) -> bool:
    """Whether the arguments of blocks are the same when no block does anything, by a few tokens."""
    if ids.numel() <= TRIED:
        return False  # as quick with all blocks
    other = _recorded(model, device, [ids[:1, :TRIED].long()], tuple(tried.tuples))
    return _alike(tried.calls, other.calls)


def _alike(a: Any, b: Any) -> bool:
    """Whether two trees hold equal tensors; of what is neither tensor nor plain value nobody knows."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Call):
        return _alike((a.args, a.kwargs), (b.args, b.kwargs))
    if isinstance(a, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_alike(value, b[key]) for key, value in a.items())
    return a is b or (isinstance(a, bool | int | float | str) and a == b)


@contextmanager
def handing_on(blocks: tuple[nn.Module, ...], tuples: tuple[bool, ...], hidden: Tensor | None = None) -> Iterator[None]:
    """Blocks that hand their input on; with ``hidden`` the last one gives that instead."""

    def stand_in(last: bool, wrap: bool) -> Any:
        def forward(*args: Any, **kwargs: Any) -> Any:
            given = hidden if last and hidden is not None else split(args, kwargs)[1]
            return (given,) if wrap else given

        return forward

    with ExitStack() as stack:
        for block, wrap in zip(blocks, tuples, strict=True):
            own = block.__dict__.get("forward")
            block.forward = stand_in(block is blocks[-1], wrap)
            stack.callback(_give_back, block, own)
        yield


def _give_back(block: nn.Module, own: Any) -> None:
    if own is None:
        del block.forward
    else:
        block.forward = own


class _Recorder:
    """Hooks on every block while the model itself reads the text."""

    def __init__(self, model: BlockModel, device: torch.device, *, run: bool, sequences: int) -> None:
        self.model, self.device, self.run = model, device, run
        self.hidden: Hidden | None = None
        self.sequences = sequences
        self.calls: list[list[Call]] = [[] for _ in model.blocks]
        self.tuples = [False] * len(model.blocks)
        self._own: ExitStack = ExitStack()

    @contextmanager
    def listening(self) -> Iterator[None]:
        with ExitStack() as stack:
            for number, block in enumerate(self.model.blocks):
                before = block.register_forward_pre_hook(self._before(number), with_kwargs=True)
                after = block.register_forward_hook(self._after(number))
                stack.callback(before.remove)
                stack.callback(after.remove)
            stack.callback(self._release)
            yield

    def read(self, ids: Tensor) -> None:
        """One batch (S, T) of token ids."""
        own = next(self.model.model.parameters()).device
        try:
            forward(self.model.model, ids.to(own), use_cache=False)
        except Stop:
            self._release()

    def _release(self) -> None:
        self._own.close()

    def _before(self, number: int) -> Callable[..., Any]:
        def hook(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            call, hidden = split(args, kwargs)
            if number == 0:
                if self.hidden is None:
                    self.hidden = holder(hidden.nbytes // len(hidden) * self.sequences)
                self.hidden.append(hidden.to(CPU))
                used(self.hidden, len(self.hidden) - 1)
            earlier = self.calls[number]
            stored = Call(on_device(call.args, CPU), on_device(call.kwargs, CPU))
            self.calls[number].append(_shared(stored, earlier[-1]) if earlier else stored)
            if not self.run:
                return None
            self._release()
            self._own.enter_context(placed(block, self.device))
            return on_device(args, self.device), on_device(kwargs, self.device)

        return hook

    def _after(self, number: int) -> Callable[..., Any]:
        def hook(block: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            self.tuples[number] = not isinstance(out, Tensor)
            check_finite(out[0] if self.tuples[number] else out, number)
            if number == len(self.model.blocks) - 1:
                raise Stop

        return hook


def split(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, Tensor]:
    """A block's arguments without its hidden states, and these: the first positional argument,
    or the one by that name.
    """
    if args and isinstance(args[0], Tensor):
        return Call((HERE, *args[1:]), dict(kwargs)), args[0]
    hidden = kwargs["hidden_states"]
    assert isinstance(hidden, Tensor)
    return Call(args, kwargs | {"hidden_states": HERE}), hidden


def _shared(new: Any, old: Any) -> Any:
    """``new`` with every tensor that equals the one at its place in ``old`` taken from there."""
    if isinstance(new, Call):
        return Call(_shared(new.args, old.args), _shared(new.kwargs, old.kwargs))
    if isinstance(new, Tensor):
        same = isinstance(old, Tensor) and new.dtype == old.dtype and torch.equal(new, old)
        return old if same else new
    if isinstance(new, tuple | list) and isinstance(old, tuple | list) and len(new) == len(old):
        return type(new)(_shared(a, b) for a, b in zip(new, old, strict=True))
    if isinstance(new, dict) and isinstance(old, dict) and new.keys() == old.keys():
        return {key: _shared(value, old[key]) for key, value in new.items()}
    return new


def run_block(
    model: BlockModel,
    streams: Streams,
    block: int,
    hidden: Hidden,
    statistics: Mapping[str, RunningInputs] | None = None,
    *,
    output: bool = True,
    autocast: bool = False,
    clock: Clock | None = None,
) -> Hidden:
    """All batches of a stream through one block.

    Args:
        hidden: the block's input, one (S, T, H) per batch; not changed.
        statistics: by slot name: gets the slot's inputs, sequence by sequence. Of slots that read
            one tensor (`BlockModel.wiring`) name only one.
        output: ``False`` ends each pass as soon as the statistics are complete, and gives ``[]``.
        autocast: matrix products in bfloat16.
        clock: gets the seconds under ``forward`` and ``statistics``.

    Returns:
        The block's output, one (S, T, H) per batch, where ``hidden`` lies.

    Raises:
        NonFiniteActivationError: naming the block.
    """
    watched = {model.linear(name).port: found for name, found in (statistics or {}).items()}
    return run(
        model.blocks[block],
        block,
        streams.calls[block],
        hidden,
        watched,
        device=streams.device,
        output=output,
        autocast=autocast,
        clock=clock,
    )
