"""Which inputs of the next layer the rows of a matrix become: how far apart they are decides the
row step.

Attention reorders rows: a fused matrix holds queries, keys and values in an order of its own, and
with grouped queries one key or value row serves several heads.

Shapes: R rows (outputs) of a matrix, C columns (inputs) of the layer that reads them, D size of
one head, N query heads, K key and value heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kencore.allocate.neuroal import consumer
from kencore.allocate.slot import Slot

if TYPE_CHECKING:
    from kencore.models.blocks.model import BlockModel

BY_HEAD = frozenset({"bloom", "gpt_neox", "gpt_neox_japanese", "persimmon"})
"""Model types whose fused matrix holds q, k and v of one head after the other."""


def reader(model: BlockModel, slot: Slot) -> Slot | None:
    """The slot that has this one's rows as its inputs, ``None`` where there is none in scope.

    An expert's is its own; all experts together read what comes before them, no one for itself.
    """
    roles = {other.role for other in model.slots}
    found = consumer(slot.role, roles, model.wiring[slot.block].parallel)
    if found is None or slot.block + found.ahead >= len(model.blocks):
        return None
    ahead = model.by_block[slot.block + found.ahead]
    expert = slot.expert if found.ahead == 0 else None
    return next((other for other in ahead if other.role == found.role and other.expert == expert), None)


def row_alignment(model: BlockModel, slot: Slot, alignment: dict[str, Tensor]) -> Tensor | None:
    """What happened to the inputs that a slot's rows become: float32 (R,).

    Args:
        alignment: float32 (C,) of each slot's inputs, by name.

    Returns:
        ``None`` where nobody reads the rows, or not in an order that is known.
    """
    other = reader(model, slot)
    if other is None:
        return None
    moved = alignment[other.name]  # (C,)
    if other.role == "o":
        places = o_inputs(model, slot, other)
        return None if places is None else moved[places].mean(dim=1)  # (R, n) -> (R,)
    if slot.role == "gate_up" and slot.rows == 2 * other.cols:
        linear = model.linears.get(slot.name)
        if linear is not None and not getattr(linear.module, "is_concatenated", True):  # gate and up in turns
            return moved.repeat_interleave(2)
        return torch.cat([moved, moved])
    return moved if slot.rows == other.cols else None


def o_inputs(model: BlockModel, slot: Slot, o: Slot) -> Tensor | None:
    """Inputs of the output projection that the rows of q, k, v or a fused matrix belong to.

    Returns:
        int64 (R, n): n inputs per row, over which to take the mean. A query row has one; a key or
        value row one in each query head of its group. ``None`` where shapes do not fit.
    """
    config = _text_config(model)
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    if not heads or o.cols % heads:
        return None
    size = o.cols // heads  # D
    query = torch.arange(o.cols).reshape(heads, size)  # (N, D)
    if slot.role == "q":
        return query.reshape(-1, 1) if slot.rows == o.cols else None
    if slot.role in ("k", "v"):
        kept = slot.rows // size
        fits = kept and slot.rows == kept * size and heads % kept == 0
        return _shared_rows(query, kept).flatten(0, 1) if fits else None
    return _fused(model, slot, query)


def _shared_rows(query: Tensor, kept: int) -> Tensor:
    """Inputs that each row of the key or value heads belongs to: (K, D, N / K)."""
    heads, size = query.shape
    return query.reshape(kept, heads // kept, size).transpose(1, 2)


def _fused(model: BlockModel, slot: Slot, query: Tensor) -> Tensor | None:
    """Rows of one matrix that holds q, k and v: (R, N / K)."""
    heads, size = query.shape
    kept = slot.rows // size - heads
    if slot.rows % size or kept <= 0 or kept % 2 or heads % (kept // 2):
        return None
    kept //= 2
    shared = _shared_rows(query, kept)  # (K, D, n)
    own = query[..., None].expand(heads, size, shared.shape[-1])  # (N, D, n)
    if _by_group(model):
        own = own.reshape(kept, heads // kept, size, -1)
        parts = [own, shared[:, None], shared[:, None]]  # each group: its queries, k, v
        return torch.cat(parts, dim=1).flatten(0, 2)
    return torch.cat([own, shared, shared]).flatten(0, 1)


def _by_group(model: BlockModel) -> bool:
    kind, config = model.layout.model_type, _text_config(model)
    if kind in ("falcon", "gpt_bigcode"):
        return not getattr(config, "multi_query", False) or bool(getattr(config, "new_decoder_architecture", False))
    return kind in BY_HEAD


def _text_config(model: BlockModel) -> Any:
    config: Any = model.model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config
