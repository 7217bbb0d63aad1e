"""One pass of a model over one sentence, with what its blocks give and what their matrices read.

Shapes: B places (before the first block, after each), T tokens, H hidden size, R rows (outputs)
and C columns (inputs) of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from kencore.models.blocks.linears import Linear
from kencore.models.blocks.ports import first_tensor
from kencore.models.seam import running

TOO_MUCH: Final = "too much to keep of all blocks at once: ask for its block"
SHARED: Final = "several blocks use it, so it reads several inputs"
ROUTED: Final = "it does not read each token once"


@dataclass(slots=True, kw_only=True)
class Pass:
    """What was seen.

    Attributes:
        logits: float32, what the model answers.
        hidden: float32 (B, T, H).
        inputs: float32 (T, C) each; those that several matrices read are there once.
        reads: name of a matrix -> its place in ``inputs``.
        outputs: name of a matrix -> float32 (T, R), biases included.
        gradients: name of a matrix -> float32 (T, R), of the number that was asked for at these outputs.
        entry: float32 (T, H), its gradient at what enters the first block; empty where none was asked for.
        left_out: name of a matrix -> why it is in neither.
    """

    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    hidden: Tensor = field(default_factory=lambda: torch.empty(0))
    inputs: list[Tensor] = field(default_factory=list)
    reads: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    entry: Tensor = field(default_factory=lambda: torch.empty(0))
    left_out: dict[str, str] = field(default_factory=dict)


def watch(
    run: Callable[[], Tensor],
    blocks: Collection[nn.Module],
    linears: dict[str, Linear],
    *,
    tokens: int,
    most_bytes: int,
    of: Callable[[Tensor], Tensor] | None = None,
) -> Pass:
    """Run a model once and note what passes.

    Args:
        run: one forward pass on one sentence; gives the logits.
        blocks: the model's, in order.
        linears: the matrices whose inputs and outputs are kept.
        tokens: T of the sentence.
        most_bytes: of inputs and outputs together; matrices beyond it are left out.
        of: a number of the logits whose gradient at the outputs of the matrices is kept, too.

    Raises:
        ModelRunError, NotEnoughMemoryError: what ``run`` raises, or the gradient cannot be taken.
    """
    seen = Pass()
    hidden: list[Tensor] = []
    notes = _Notes(seen, tokens, most_bytes, of is not None)
    with ExitStack() as stack, torch.set_grad_enabled(of is not None):
        first = next(iter(blocks))

        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if not hidden:
                entry = first_tensor(args, kwargs)
                hidden.append(_flat(entry))
                notes.enter(entry)

        def after(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            hidden.append(_flat(out if isinstance(out, Tensor) else out[0]))

        stack.callback(first.register_forward_pre_hook(before, with_kwargs=True).remove)
        for block in blocks:
            stack.callback(block.register_forward_hook(after).remove)
        for name, linear in linears.items():
            hook = notes.hook(name)
            stack.callback(linear.module.register_forward_hook(hook, with_kwargs=True).remove)
        logits = run()
        if of is not None:
            with running(first):
                notes.follow(of(logits))
        seen.logits = logits.detach().float().cpu()
    seen.hidden = torch.stack(hidden)  # (B, T, H)
    return seen


class _Notes:
    """What the matrices of one pass read and give."""

    def __init__(self, seen: Pass, tokens: int, most_bytes: int, gradients: bool) -> None:
        self.seen, self.tokens, self.left = seen, tokens, most_bytes
        self._alive: dict[tuple[int, ...], Tensor] = {}  # or memory of one might serve the next
        self._leaves: dict[str, Tensor] | None = {} if gradients else None
        self._entry: list[Tensor] = []

    def enter(self, hidden: Tensor) -> None:
        """What the first block reads."""
        if self._leaves is not None:
            self._entry = [hidden if hidden.requires_grad else hidden.requires_grad_()]

    def hook(self, name: str) -> Callable[..., Tensor | None]:
        def noted(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> Tensor | None:
            self._note(name, first_tensor(args, kwargs), out)
            if self._leaves is None or name not in self.seen.reads:
                return None
            self._leaves[name] = torch.zeros_like(out, requires_grad=True)  # what is added has the output's gradient
            return out + self._leaves[name]

        return noted

    def follow(self, answer: Tensor) -> None:
        """Keep the gradient of a number at the outputs of the matrices that were noted."""
        leaves = {name: leaf for name, leaf in (self._leaves or {}).items() if name in self.seen.reads}
        at = [*leaves.values(), *self._entry]
        found = torch.autograd.grad(answer, at, allow_unused=True)
        flat = [_flat(torch.zeros_like(x) if g is None else g) for x, g in zip(at, found, strict=True)]
        self.seen.gradients = dict(zip(leaves, flat, strict=False))
        self.seen.entry = flat[-1]

    def _note(self, name: str, x: Tensor, out: Tensor) -> None:
        seen = self.seen
        if name in seen.reads:
            del seen.reads[name], seen.outputs[name]
            seen.left_out[name] = SHARED
        if name in seen.left_out:
            return
        if x.numel() // x.shape[-1] != self.tokens:
            seen.left_out[name] = ROUTED
            return
        key = (x.data_ptr(), x.numel(), x.shape[-1], x._version)
        known = key in self._alive
        size = 4 * (out.numel() + (0 if known else x.numel()))
        if size > self.left:
            seen.left_out[name] = TOO_MUCH
            return
        self.left -= size
        if not known:
            self._alive[key] = x
            seen.inputs.append(_flat(x))
        seen.reads[name] = list(self._alive).index(key)
        seen.outputs[name] = _flat(out)


def _flat(values: Tensor) -> Tensor:
    """A float32 copy (T, last axis) in main memory."""
    copy: Tensor = values.detach().reshape(-1, values.shape[-1]).to("cpu", torch.float32, copy=True)
    return copy
