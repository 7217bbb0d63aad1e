"""Tiny classifiers, made from configurations, saved as people save them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

WORDS = ["a", "film", "good", "bad", "dull", "bright", "story", "not", "very", "the", "is", "was"]
WORDS += ["it", "and", "no"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SIZES: dict[str, Any] = {"vocab_size": len(SPECIAL) + len(WORDS), "pad_token_id": 0}
BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 12,
}
NAMES = {0: "negative", 1: "positive"}


def save_tokenizer(folder: Path, *, pad: bool = True, limit: int | None = 12) -> None:
    vocabulary = {word: number for number, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    padding = {"pad_token": "[PAD]"} if pad else {}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", model_max_length=limit, **padding
    ).save_pretrained(folder)


def build(kind: str, labels: dict[int, str]) -> torch.nn.Module:
    torch.manual_seed(3)
    heads = {"id2label": labels, "label2id": {name: label for label, name in labels.items()}}
    small = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 12}
    distil = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
    if kind == "bert":
        model = BertForSequenceClassification(BertConfig(**BERT, **SIZES, **heads))
    elif kind == "roberta":
        sizes = {**SIZES, "pad_token_id": 1}
        model = RobertaForSequenceClassification(RobertaConfig(**BERT, **sizes, **heads))
    elif kind == "distilbert":
        config = DistilBertConfig(**distil, **SIZES, max_position_embeddings=12, **heads)
        model = DistilBertForSequenceClassification(config)
    elif kind == "llama":
        sizes = {**SIZES, **BERT}
        model = LlamaForSequenceClassification(LlamaConfig(**sizes, **heads))
    elif kind == "gpt2":
        model = GPT2ForSequenceClassification(GPT2Config(**small, vocab_size=19, **heads))
    else:
        model = BertForMaskedLM(BertConfig(**BERT, **SIZES))
    # spread the weights, so that labels and ties in value are not decided by noise
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Save a tiny model: kind, labels, dtype, with or without a tokenizer and a padding token."""
    made = 0

    def make(
        kind: str = "bert",
        *,
        labels: dict[int, str] = NAMES,
        dtype: torch.dtype = torch.float32,
        tokenizer: bool = True,
        pad: bool = True,
        limit: int = 12,
    ) -> Path:
        nonlocal made
        made += 1
        folder = tmp_path / f"{kind}-{made}"
        build(kind, labels).to(dtype).save_pretrained(folder)
        if tokenizer:
            save_tokenizer(folder, pad=pad, limit=limit)
        return folder

    return make
