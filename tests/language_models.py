"""Tiny causal language models with their layouts, as blocks and slots."""

from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kencore.activations import BlockModel
from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.parameter import Layout
from tests.tiny_models import VOCABULARY, build

LANGUAGE_MODELS = (
    "llama", "mistral", "mixtral", "qwen2", "qwen3", "phi", "opt", "gpt2", "gptj", "gpt_neox",
    "bloom", "falcon", "gemma2",
)  # fmt: skip


@cache
def _built(name: str, dtype: torch.dtype) -> tuple[Any, Layout]:
    model = build(name).to(dtype)
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
