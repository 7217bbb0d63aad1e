"""Stacks: tensors on disk that hold one matrix, or one bias, of every expert of a layer.

Experts lie on disk one by one (``experts.3.w1.weight``) or all in one tensor (``experts.gate_up_proj``
of three dimensions). A stack is read as its experts, each under a name of its own: the stack's with
the expert's number behind it. The bytes of one expert lie together, so that nothing is copied.

Shapes: E experts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kencore.checkpoint.header import TensorInfo

# a word of the path: of the layer's experts, or of the two matrices that Granite's and JetMoE's hold
_EXPERTS = re.compile(r"(^|\.)(experts?|moe|input_linear|output_linear)(\.|$)")
_NUMBERED = re.compile(
    r"(?:^|\.)(?:experts?|moe|input_linear|output_linear)\.(?:(?!(?:layers?|blocks?|h)\.)[A-Za-z_]\w*\.)*?(\d+)(?:\.|$)"
)


def expert_of(name: str) -> int | None:
    """Which expert of its layer a tensor belongs to, by its name; ``None``: to none alone."""
    found = _NUMBERED.search(name)
    return int(found[1]) if found else None


def stacks(infos: Mapping[str, TensorInfo]) -> dict[str, tuple[str, ...]]:
    """The names of its experts' parts, for each stack among tensors."""
    found = {name: _parts(name, info) for name, info in infos.items() if _is_stack(info)}
    for name, info in infos.items():
        matrix = re.sub(r"_bias$", "", re.sub(r"\.bias$", ".weight", name))
        if len(info.shape) == 2 and matrix != name and matrix in found and info.shape[0] == len(found[matrix]):
            found[name] = _parts(name, info)
    # a checkpoint that has such a name already is read as it is
    return {name: parts for name, parts in found.items() if infos.keys().isdisjoint(parts)}


def part_infos(info: TensorInfo, parts: tuple[str, ...]) -> dict[str, TensorInfo]:
    """Where each expert's part of a stack lies."""
    size = info.nbytes // len(parts)
    return {
        part: TensorInfo(part, info.dtype, info.shape[1:], info.shard, size, info.start + i * size)
        for i, part in enumerate(parts)
    }


def _is_stack(info: TensorInfo) -> bool:
    """Three dimensions, in a place where experts are, and no convolution."""
    right = len(info.shape) == 3 and info.elements > 0 and info.nbytes % info.shape[0] == 0
    return right and bool(_EXPERTS.search(info.name)) and "conv" not in info.name


def _parts(name: str, info: TensorInfo) -> tuple[str, ...]:
    return tuple(f"{name}.{expert}" for expert in range(info.shape[0]))
