"""The linear layers inside the blocks of a loaded model, by their names on disk.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kencore.allocate.slot import Slot
from kencore.checkpoint.parameter import Layout, Parameter
from kencore.checkpoint.skeleton import outermost_lists
from kencore.errors import NotALanguageModelError
from kencore.models.blocks.ports import Port

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
NOT_LINEAR = "not a linear layer of its block: its inputs cannot be measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """One matrix of a block: a linear layer's weight, or one expert's part of a parameter.

    Args:
        slot: its name on disk, block, role and shape.
        port: what multiplies inputs by it.
        transposed: the weight is stored as C x R (GPT-2's Conv1D).
        dtype: of the weight on disk.
        first: in a parameter of all experts (E, F, C), its first row F there.
    """

    slot: Slot
    port: Port
    transposed: bool
    dtype: torch.dtype
    first: int = 0

    @property
    def module(self) -> nn.Module:
        """The layer itself, with a ``weight``, or the module of all experts."""
        return self.port.module

    @property
    def parameter(self) -> nn.Parameter:
        """The weight as the module holds it, with those of the other experts."""
        weight = getattr(self.module, self.port.leaf or "weight")
        assert isinstance(weight, nn.Parameter)
        return weight

    @property
    def stored(self) -> Tensor:
        """The weight in its stored orientation: a view of the module's memory."""
        whole = self.parameter.detach()
        if not self.port.leaf:
            return whole
        own = whole[self.port.expert]
        return own if self.transposed else own[self.first : self.first + self.slot.rows]

    def rows(self, stored: Tensor) -> Tensor:
        """The stored orientation as (R, C), or back: a view."""
        return stored.t() if self.transposed else stored


def find_blocks(model: nn.Module, layout: Layout) -> tuple[str, nn.ModuleList]:
    """Path and modules of the single outermost ``ModuleList`` of a decoder-only model.

    Raises:
        NotALanguageModelError: none, or several stacks of blocks.
    """
    outer = outermost_lists(model)
    if len(outer) != 1:
        raise NotALanguageModelError(
            f"Model {layout.architecture}",
            got=f"{len(outer)} stacks of blocks ({', '.join(outer) or 'none'})",
            wanted="a decoder-only language model, which has one",
            remedy="Choose another model, or a method that needs no calibration text.",
        )
    return next(iter(outer.items()))


def find_linears(
    model: nn.Module, layout: Layout, path: str, *, experts: bool = False
) -> tuple[dict[str, Linear], dict[str, str]]:
    """Linear layers inside the blocks at ``path``, block by block in module order, by the names
    of their weights on disk; and why the other matrices of the blocks are none.

    Args:
        experts: also the matrices of experts that are one parameter in memory.
    """
    modules = dict(model.named_modules())
    order = {name: place for place, name in enumerate(modules)}
    linears, refused, places = {}, {}, {}
    for parameter in layout.parameters:
        if parameter.block is None or len(parameter.shape) < 2:
            continue
        owner, port = _port(model, layout, parameter, modules)
        if port is None or not owner.startswith(f"{path}.") or (port.leaf and not experts):
            refused[parameter.name] = parameter.reason or NOT_LINEAR
            continue
        places[parameter.name] = (int(owner[len(path) + 1 :].split(".")[0]), order[owner])
        slot = Slot(
            name=parameter.name,
            block=places[parameter.name][0],
            role=parameter.role,
            rows=parameter.rows,
            cols=parameter.cols,
            expert=parameter.expert,
        )
        linears[parameter.name] = Linear(
            slot=slot,
            port=port,
            transposed=parameter.transposed,
            dtype=DTYPES[parameter.dtype],
            first=parameter.first or 0,
        )
    return {name: linears[name] for name in sorted(linears, key=places.__getitem__)}, refused


def _port(
    model: nn.Module, layout: Layout, parameter: Parameter, modules: dict[str, nn.Module]
) -> tuple[str, Port | None]:
    """The path of the module that multiplies by a weight, and how; ``None`` where there is none."""
    path, leaf = parameter.model_name.removesuffix(".weight"), ""
    if parameter.first is not None:
        path, _, leaf = parameter.model_name.rpartition(".")
    owner = _owner(model, layout, path, modules)
    module = modules.get(owner)
    if module is None or not parameter.measured:
        return owner, None
    if leaf:
        whole = getattr(module, leaf, None)
        fits = isinstance(whole, nn.Parameter) and whole.dim() == 3 and (parameter.expert or 0) < len(whole)
        return owner, Port(module=module, leaf=leaf, expert=parameter.expert or 0) if fits else None
    weight = getattr(module, "weight", None)
    fits = isinstance(weight, nn.Parameter) and tuple(weight.shape) == parameter.shape
    return owner, Port(module=module) if fits else None


def _owner(model: nn.Module, layout: Layout, found: str, modules: dict[str, nn.Module]) -> str:
    """Path of a module; the loaded class may add or drop the base model's prefix."""
    prefix = str(getattr(model, "base_model_prefix", "") or layout.prefix)
    for path in (found, f"{prefix}.{found}", re.sub(rf"^{re.escape(prefix)}\.", "", found)):
        if path in modules and path:
            return path
    return ""
