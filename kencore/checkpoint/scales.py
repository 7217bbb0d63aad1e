"""Which packed weights are a number times a scale, and where that scale lies: 8-bit floats and 8-bit integers.

Headers alone are read here. What fits no rule is not guessed at: the plan says why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kencore.checkpoint.header import TensorInfo
from kencore.checkpoint.tensors import FLOATS

# O rows (outputs), I columns (inputs), the last two dimensions of a weight; experts come before them

BYTE_FLOATS: Final = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
BYTES: Final = BYTE_FLOATS | {"I8"}
"""Dtypes of packed weights that are one number each."""
SCALE_DTYPES: Final = FLOATS | {"F8_E8M0"}
_ROW_MAXIMUM: Final = 127.0  # bitsandbytes: SCB is the largest value of a row, stored as 127
_OF_ACTIVATIONS: Final = re.compile(
    r"[._](input|output|activation|act|k|v|q|prob|kv_cache)_scale(_inv)?$|\.scale_input$"
)
_SCALE: Final = re.compile(r"(_scale_inv|_scale|\.scale_weight|\.SCB)$")
_LEFT_OUT: Final = re.compile(r"\.weight_format$")  # bitsandbytes: the order of bytes, 0 for rows


@dataclass(frozen=True, slots=True)
class Scaled:
    """How a packed tensor becomes numbers: each times the scale of its part.

    Args:
        scale: name of the tensor of scales.
        block: rows and columns that share a scale.
        divisor: of the scales.
    """

    scale: str
    block: tuple[int, int]
    divisor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do with each tensor of a packed checkpoint.

    Args:
        scaled: packed tensors and their scales.
        dropped: tensors that say nothing once the weights are plain.
        problem: why it cannot be done, in words; ``""`` if it can.
    """

    scaled: dict[str, Scaled] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    problem: str = ""


def plan_scales(infos: Mapping[str, TensorInfo], settings: Mapping[str, Any]) -> Plan:
    """Find the scale of every 8-bit weight.

    Args:
        infos: every tensor of the checkpoint.
        settings: what config.json says of the quantisation; may be empty.
    """
    scaled: dict[str, Scaled] = {}
    blocks = list(_blocks(settings))
    for name, info in infos.items():
        if info.dtype not in BYTES or _is_scale(name):
            continue
        found = [other for other in _candidates(name, info.dtype) if other in infos]
        if len(found) != 1:
            return Plan(problem=f"{name} ({info.dtype}) has {'two scales' if found else 'no scale'} beside it")
        scale = infos[found[0]]
        if scale.dtype not in SCALE_DTYPES:
            return Plan(problem=f"the scale {scale.name} is stored as {scale.dtype}")
        block = _block(info.shape, scale.shape, blocks)
        if block is None:
            return Plan(problem=f"{scale.name} {scale.shape} fits {name} {info.shape} in no way that config.json names")
        scaled[name] = Scaled(scale.name, block, _ROW_MAXIMUM if scale.name.endswith(".SCB") else 1.0)
    used = {entry.scale for entry in scaled.values()}
    dropped = {name for name in infos if name in used or _OF_ACTIVATIONS.search(name) or _LEFT_OUT.search(name)}
    return Plan(scaled=scaled, dropped=frozenset(dropped))


def _is_scale(name: str) -> bool:
    return _SCALE.search(name) is not None and "logit_scale" not in name


def _candidates(name: str, dtype: str) -> list[str]:
    """Names that the scale of a packed tensor goes by."""
    module = name.rpartition(".")[0]
    names = [f"{name}_scale_inv", f"{name}_scale", f"{module}.scale_weight"]
    return [*names, f"{module}.SCB"] if dtype == "I8" else names


def _blocks(settings: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Rows and columns that share a scale, wherever config.json says so; ``0`` rows: one."""
    groups = settings.get("config_groups")
    weights = (
        [group.get("weights") for group in groups.values() if isinstance(group, dict)]
        if isinstance(groups, dict)
        else []
    )
    for said in (settings, *(entry for entry in weights if isinstance(entry, dict))):
        for key in ("weight_block_size", "block_structure"):
            sizes = said.get(key)
            if isinstance(sizes, list) and len(sizes) == 2 and all(isinstance(n, int) and n > 0 for n in sizes):
                yield sizes[0], sizes[1]
        size = said.get("group_size")
        if isinstance(size, int) and size > 0:
            yield 1, size


def _block(shape: tuple[int, ...], scales: tuple[int, ...], blocks: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Rows and columns that share one of the scales; ``None`` where no rule says so."""
    if math.prod(scales) == 1:
        return max(math.prod(shape[:-1]), 1), shape[-1] if shape else 1
    if len(shape) < 2:
        return None
    *experts, rows, cols = shape
    own = list(scales)
    if len(own) > len(shape) or own[: len(experts)] != experts[: len(own)]:
        return None
    own = own[len(experts) :]
    own = own + [1] * (2 - len(own))
    if own == [1, 1]:
        return rows, cols
    if own == [rows, 1]:
        return 1, cols
    return next((block for block in blocks if own == [-(-rows // block[0]), -(-cols // block[1])]), None)
