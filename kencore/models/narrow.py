"""A model whose weights lie in their own half precision and are computed with in float32.

Held so, a checkpoint takes as much memory as on disk: what transformers loads in the type of the file is the file
itself, mapped, until it is changed. Each block is widened when it runs and let go afterwards, so that every product
and sum is the one that a model in float32 makes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kencore.models.paging import one_by_one

if TYPE_CHECKING:
    import torch
    from torch import nn

    from kencore.checkpoint.tensors import Tensors

HALVES = {"BF16": "bfloat16", "F16": "float16"}


def own_dtype(tensors: Tensors) -> str | None:
    """The one half-precision type that all of a checkpoint's tensors have; ``None`` where they have others."""
    kinds = {tensors.info(name).dtype for name in tensors.names}
    return HALVES.get(next(iter(kinds))) if len(kinds) == 1 else None


def widen_when_run(model: Any, blocks: Iterable[nn.Module]) -> bool:
    """Let a model that was loaded in half precision compute in float32, part by part.

    Args:
        blocks: modules that run as a whole; what is outside of them is widened by itself.

    Returns:
        Whether it now does. Where it does not (experts in one stack, a computed table in half precision, a part that
        reads the weights of another) load it in float32.
    """
    import torch

    blocks = list(blocks)
    inside = {id(module) for block in blocks for module in block.modules()}
    stacks = any(parameter.dim() > 2 for parameter in model.parameters())
    computed = any(buffer.is_floating_point() and buffer.dtype != torch.float32 for buffer in model.buffers())
    if stacks or computed:
        return False
    wide = _Widening()
    for module in model.modules():
        if id(module) not in inside and module._parameters:
            wide.watch(module, [module])
    for block in blocks:
        wide.watch(block, list(block.modules()))
    model.widening = wide
    try:
        with torch.no_grad(), one_by_one(blocks):
            inner = getattr(model, model.base_model_prefix, model)  # the head is the largest part, and plain
            tried = inner(torch.tensor([[1, 2, 3]]), use_cache=False)[0]
    except RuntimeError:
        return False
    return bool(tried.dtype == torch.float32)


def spent_on_widening(model: Any) -> float:
    """Seconds that went by in widening since the model was loaded; 0 for one that lies in float32."""
    wide = getattr(model, "widening", None)
    return 0.0 if wide is None else wide.seconds


class _Widening:
    """Stands before the forward passes of modules, and counts the seconds that it takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, module: Any, parts: list[nn.Module]) -> None:
        """Widen the parameters of ``parts`` while ``module`` runs."""
        from torch import nn

        own = module.forward
        if type(module) is nn.Embedding:  # rows are looked up: it is enough to widen those

            def looked_up(*args: Any, **kwargs: Any) -> Any:
                return own(*args, **kwargs).float()

            setattr(module, "forward", looked_up)  # noqa: B010 - a method of the class, not of this module
            return

        def widened(*args: Any, **kwargs: Any) -> Any:
            held = self._widen(parts)
            try:
                return own(*args, **kwargs)
            finally:
                for table, name, parameter in held:
                    table[name] = parameter

        setattr(module, "forward", widened)  # noqa: B010

    def _widen(self, parts: list[nn.Module]) -> list[tuple[dict[str, Any], str, torch.Tensor]]:
        """Widen parameters, and say where each lay: the table of its module, its name, and itself."""
        import torch
        from torch import nn

        started = time.perf_counter()
        held: list[tuple[dict[str, Any], str, torch.Tensor]] = []
        for part in parts:
            for name, parameter in part._parameters.items():
                if parameter is not None and parameter.dtype in (torch.bfloat16, torch.float16):
                    held.append((part._parameters, name, parameter))
                    part._parameters[name] = nn.Parameter(parameter.detach().float(), requires_grad=False)
        self.seconds += time.perf_counter() - started
        return held
