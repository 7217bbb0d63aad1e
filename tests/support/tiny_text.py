"""A tokenizer and texts for the tiny models: words ``w0``, ``w1``, ... of their vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.support.tiny_models import VOCABULARY


def add_tokenizer(folder: Path, vocabulary: int = VOCABULARY) -> Path:
    """Write a tokenizer of one token per word beside a model."""
    words = {f"w{i}": i for i in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0", pad_token="w0").save_pretrained(folder)
    return folder


def write_text(path: Path, words: int, seed: int = 0, vocabulary: int = VOCABULARY) -> Path:
    """Write so many random words, early ones more often, as text has them."""
    chance = np.random.default_rng(seed)
    share = 1 / np.arange(1, vocabulary - 2)
    drawn = chance.choice(np.arange(3, vocabulary), size=words, p=share / share.sum())
    path.write_text(" ".join(f"w{i}" for i in drawn), encoding="utf-8")
    return path
