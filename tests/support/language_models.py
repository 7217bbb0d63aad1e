"""Tiny causal language models with their layouts, as blocks and slots."""

from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.parameter import Layout
from kencore.models.blocks import BlockModel
from tests.support.tiny_models import GPT, INNER, SIZES, VOCABULARY, build

FUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "phi3": ("Phi3Config", "Phi3ForCausalLM", SIZES | {"num_key_value_heads": 2}),
    "falcon by group": (
        "FalconConfig",
        "FalconForCausalLM",
        SIZES | {"ffn_hidden_size": INNER, "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "falcon by head": (
        "FalconConfig",
        "FalconForCausalLM",
        SIZES | {"ffn_hidden_size": INNER, "multi_query": False, "parallel_attn": False},
    ),
    "gpt_bigcode": ("GPTBigCodeConfig", "GPTBigCodeForCausalLM", GPT | {"n_inner": INNER}),
    "gpt_bigcode by head": (
        "GPTBigCodeConfig",
        "GPTBigCodeForCausalLM",
        GPT | {"n_inner": INNER, "multi_query": False},
    ),
}
"""More models that hold q, k and v in one matrix, each in an order of its own."""


def _fused(name: str) -> Any:
    config, model, settings = FUSED[name]
    torch.manual_seed(0)
    made = getattr(transformers, model)(getattr(transformers, config)(**settings)).eval()
    for parameter in made.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return made


@cache
def _built(name: str, dtype: torch.dtype) -> tuple[Any, Layout]:
    model = (_fused(name) if name in FUSED else build(name)).to(dtype)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        layout = read_layout(Path(folder))
    return model.float(), layout


def block_model(name: str, *, dtype: torch.dtype = torch.float32, **options: Any) -> BlockModel:
    """A fresh model in float32, its checkpoint being in ``dtype``."""
    model, layout = _built(name, dtype)
    return BlockModel(copy.deepcopy(model), layout, **options)


def token_ids(sequences: int, tokens: int = 9) -> Tensor:
    """Some token ids (S, T), the same for the same sizes."""
    generator = torch.Generator().manual_seed(sequences * 100 + tokens)
    return torch.randint(3, VOCABULARY, (sequences, tokens), generator=generator)


def inputs_by_hooks(model: BlockModel, ids: Tensor) -> dict[str, list[Tensor]]:
    """What every slot is given, (S * T, C) each time, in the model's own forward pass."""
    seen: dict[str, list[Tensor]] = {slot.name: [] for slot in model.slots}
    handles = [
        model.linear(key).module.register_forward_pre_hook(
            lambda module, args, key=key: seen[key].append(args[0].reshape(-1, args[0].shape[-1]))
        )
        for key in seen
    ]
    with torch.no_grad():
        model.model(ids, use_cache=False)
    for handle in handles:
        handle.remove()
    return seen
