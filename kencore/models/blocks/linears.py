"""The linear layers inside the blocks of a loaded model, by their names on disk.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kencore.allocate.slot import Slot
from kencore.checkpoint.parameter import Layout, Parameter
from kencore.errors import NotALanguageModelError

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
NOT_LINEAR = "not a linear layer of its block: its inputs cannot be measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """One linear layer of a block.

    Args:
        slot: its name on disk, block, role and shape.
        module: the layer itself, with a ``weight``.
        transposed: the weight is stored as C x R (GPT-2's Conv1D).
        dtype: of the weight on disk.
    """

    slot: Slot
    module: nn.Module
    transposed: bool
    dtype: torch.dtype

    @property
    def parameter(self) -> nn.Parameter:
        """The weight as the module holds it."""
        weight = self.module.weight
        assert isinstance(weight, nn.Parameter)
        return weight

    def rows(self, stored: Tensor) -> Tensor:
        """The stored orientation as (R, C), or back: a view."""
        return stored.t() if self.transposed else stored


def find_blocks(model: nn.Module, layout: Layout) -> tuple[str, nn.ModuleList]:
    """Path and modules of the single outermost ``ModuleList`` of a decoder-only model.

    Raises:
        NotALanguageModelError: none, or several stacks of blocks.
    """
    lists = {path: module for path, module in model.named_modules() if _is_list(module)}
    outer = {path: module for path, module in lists.items() if not any(path.startswith(f"{other}.") for other in lists)}
    if len(outer) != 1:
        raise NotALanguageModelError(
            f"Model {layout.architecture}",
            got=f"{len(outer)} stacks of blocks ({', '.join(outer) or 'none'})",
            wanted="a decoder-only language model, which has one",
            remedy="Choose another model, or a method that needs no calibration text.",
        )
    return next(iter(outer.items()))


def find_linears(model: nn.Module, layout: Layout, path: str) -> tuple[dict[str, Linear], dict[str, str]]:
    """Linear layers inside the blocks at ``path``, block by block in module order, by the names
    of their weights on disk; and why the other matrices of the blocks are none.
    """
    modules = dict(model.named_modules())
    order = {name: place for place, name in enumerate(modules)}
    linears, refused, places = {}, {}, {}
    for parameter in layout.parameters:
        if parameter.block is None or len(parameter.shape) < 2:
            continue
        owner = _owner(model, layout, parameter, modules)
        module = modules.get(owner)
        if module is None or not owner.startswith(f"{path}.") or not _fits(module, parameter):
            refused[parameter.name] = parameter.reason or NOT_LINEAR
            continue
        places[parameter.name] = (int(owner[len(path) + 1 :].split(".")[0]), order[owner])
        slot = Slot(
            name=parameter.name,
            block=places[parameter.name][0],
            role=parameter.role,
            rows=parameter.rows,
            cols=parameter.cols,
        )
        linears[parameter.name] = Linear(
            slot=slot, module=module, transposed=parameter.transposed, dtype=DTYPES[parameter.dtype]
        )
    return {name: linears[name] for name in sorted(linears, key=places.__getitem__)}, refused


def _is_list(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList) and len(module) > 0


def _owner(model: nn.Module, layout: Layout, parameter: Parameter, modules: dict[str, nn.Module]) -> str:
    """Path of the module of a weight; the loaded class may add or drop the base model's prefix."""
    prefix = str(getattr(model, "base_model_prefix", "") or layout.prefix)
    found = parameter.model_name.removesuffix(".weight")
    for path in (found, f"{prefix}.{found}", re.sub(rf"^{re.escape(prefix)}\.", "", found)):
        if path in modules and path:
            return path
    return ""


def _fits(module: nn.Module, parameter: Parameter) -> bool:
    """A layer that multiplies its input by this very weight."""
    from transformers.pytorch_utils import Conv1D

    if not parameter.prunable or not isinstance(module, (nn.Linear, Conv1D)):
        return False
    return tuple(module.weight.shape) == parameter.shape and not parameter.aliases


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """What a linear layer is given, however it is passed."""
    return next(_tensors((*args, *kwargs.values())))


def _tensors(values: tuple[Any, ...]) -> Iterator[Tensor]:
    return (value for value in values if isinstance(value, Tensor))
