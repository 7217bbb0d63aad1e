"""Floating-point operations of one forward pass, counted by torch while the model runs.

Counted are matrix products (two operations for a multiply-add), attention's own among them over
all pairs of tokens, also those that a causal mask hides; not norms, activations and softmax.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kencore.models.seam import forward

if TYPE_CHECKING:
    from kencore.models.loaded import LoadedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Flops:
    """Operations of one forward pass.

    Args:
        total: of the whole pass.
        by_parameter: of each matrix that is multiplied with, by its name in ``state_dict()``; one
            that is used several times (a shared block, a tied head) counts each time.
    """

    total: int
    by_parameter: dict[str, int]

    def with_kept(self, kept: Mapping[str, float]) -> int:
        """Operations with weights that are not zero.

        Args:
            kept: share kept of each parameter that was set to zero elsewhere, 0 to 1.
        """
        spared = sum(self.by_parameter.get(name, 0) * (1 - share) for name, share in kept.items())
        return round(self.total - spared)


def count_flops(model: Any, inputs: Mapping[str, Any]) -> Flops:
    """Run a model once and count.

    Attention and experts run in their plain implementation while counting: torch knows no formula
    for some of the fused ones and would leave them out. The model is left as it was.

    Args:
        model: of transformers, in evaluation mode.
        inputs: what its forward pass takes, on its device.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), _plain(model), sdpa_kernel(SDPBackend.MATH), counter:
        forward(model, **inputs)
    root = type(model).__name__
    by_module = {
        path.removeprefix(f"{root}.") if path != root else "": sum(counts.values())
        for path, counts in counter.get_flop_counts().items()
    }
    return Flops(total=counter.get_total_flops(), by_parameter=dict(_parameters(model, by_module)))


def count_without_weights(model: Any, inputs: Mapping[str, Any]) -> Flops | None:
    """The same number without computing anything: on a copy of the model that has shapes and no weights.

    Only tensors are passed on: settings such as ``use_cache`` change no product. ``None`` where the pass depends on
    values, such as experts that tokens are sent to, and some ways to read a mask.
    """
    import torch

    tensors = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
    given = {name: value.to("meta") for name, value in tensors.items()}
    # a mask that hides nothing is none; some models can read it without its values, others not
    masks = {name for name in given if name.endswith("attention_mask") and bool(tensors[name].all())}
    empty = _weightless(model)
    for without in (masks, set()) if masks else (masks,):
        with suppress(Exception):  # a model may fail in any way at what has no values
            return count_flops(empty, {name: value for name, value in given.items() if name not in without})
    return None


def _weightless(model: Any) -> Any:
    """A copy of a model on torch's device of shapes; what is tied stays tied."""
    import torch

    copies: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        own = isinstance(tensor, torch.nn.Parameter)
        copies[id(tensor)] = torch.nn.Parameter(empty, requires_grad=False) if own else empty
    empty = copy.deepcopy(model, copies)
    for module in empty.modules():
        module.__dict__.pop("forward", None)  # of the model itself (see `kencore.models.narrow`)
    return empty


def _parameters(model: Any, by_module: dict[str, int]) -> Iterator[tuple[str, int]]:
    """What each module counts itself, shared among its matrices by their size.

    Experts lie in two matrices of one module, and each routed token takes the same share of both.
    """
    names = _names(model)
    found: dict[str, int] = {}
    for path, module in model.named_modules():
        matrices = [p for p in module.parameters(recurse=False) if p.dim() > 1]
        inner = (f"{path}.{child}".removeprefix(".") for child, _ in module.named_children())
        own = by_module.get(path, 0) - sum(by_module.get(child, 0) for child in inner)
        size = sum(p.numel() for p in matrices)
        for matrix in matrices:
            name = names[id(matrix)]
            found[name] = found.get(name, 0) + own * matrix.numel() // size
    return iter(found.items())


def _names(model: Any) -> dict[int, str]:
    """One name for each parameter, by identity: tied ones have the first."""
    return {id(parameter): name for name, parameter in model.named_parameters()}


@contextmanager
def _plain(model: Any) -> Iterator[None]:
    """Experts one by one, and no parameter that asks for gradients (the counter's hooks fail)."""
    asking = [p for p in model.parameters() if p.requires_grad]
    experts = getattr(model.config, "_experts_implementation", None)
    if experts is not None:
        model.set_experts_implementation("eager")
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
        if experts is not None:
            model.set_experts_implementation(experts)


def kept_shares(model: LoadedModel, kept: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Share kept of each parameter of the loaded model.

    Args:
        kept: names on disk to (entries kept, entries) of what was pruned.

    Returns:
        By names in ``state_dict()``, tied ones under the first. Of a parameter that several
        tensors on disk make up (experts), what was not pruned counts as kept; of a tensor that became several
        parameters each has lost its share of the rows.
    """
    state = model.model.state_dict(keep_vars=True)
    names = _names(model.model)
    lost: dict[str, float] = {}
    for name, (stays, size) in kept.items():
        pieces = model.pieces.get(name, ())
        rows = sum(piece.rows for piece in pieces)
        homes = [(known, 1.0) for known in model.parameters.get(name, ())]
        for home, share in homes + [(piece.parameter, piece.rows / rows) for piece in pieces]:
            first = names.get(id(state[home]), home)
            lost[first] = lost.get(first, 0) + (size - stays) * share
    sizes = {name: parameter.numel() for name, parameter in model.model.named_parameters()}
    return {name: 1 - gone / sizes[name] for name, gone in lost.items() if name in sizes}
