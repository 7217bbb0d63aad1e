"""Tokenizers that do not fit a language model's table, and those that need no files, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from kencore import PruneSpec, prune
from kencore.data.tokens import tokenised
from kencore.errors import TokenTableError
from kencore.models.loading import load_config
from kencore.models.tokenizer import load_tokenizer, stated_limit
from kencore.quality.judge import judge
from tests.models.test_batches import LLAMA, T5, save_words, sentences
from tests.support.tiny_models import COMMON, VOCABULARY


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    """A decoder whose tokenizer has 20 words more than the model has rows."""
    torch.manual_seed(0)
    folder = tmp_path / "m"
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)).save_pretrained(folder)
    save_words(folder, words=VOCABULARY + 20)
    return folder


def text(folder: Path, last: str) -> str:
    path = folder / "text.txt"
    path.write_text(" ".join([*sentences(60), *[last] * 3, *sentences(60)]))
    return str(path)


def test_a_word_of_a_text_that_a_language_model_has_no_row_for(decoder: Path) -> None:
    source = text(decoder, "w104")
    with pytest.raises(TokenTableError, match=r"'w104' with number 104.*numbers 0 to 98"):
        judge(str(decoder), source, window=8, cost=False)
    calibrated: dict[str, Any] = {"calibration": source, "sequences": 64, "window": 8}
    with pytest.raises(TokenTableError, match="'w104'"):
        prune(PruneSpec(model=str(decoder), method="wanda", keep=0.5, **calibrated), out=decoder.with_name("run"))
    assert not decoder.with_name("run").exists()
    assert judge(str(decoder), text(decoder, "w98"), window=8, cost=False)["perplexity"] > 1  # the last row


def test_a_tokenizer_of_bytes_needs_no_files(tmp_path: Path) -> None:
    """The folder has tokenizer_config.json alone."""
    torch.manual_seed(0)
    settings = COMMON | T5 | {"vocab_size": 384, "num_labels": 2, "eos_token_id": 1, "pad_token_id": 0}
    model = transformers.T5ForSequenceClassification(transformers.T5Config(**settings)).eval()
    tokenizer = transformers.ByT5Tokenizer()
    folder, texts = tmp_path / "m", ["a warm film", "dull", "a film that is long, and dull", "warm"]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert not [*folder.glob("*vocab*"), *folder.glob("tokenizer.json"), *folder.glob("*.model")]
    with torch.no_grad():
        answers = [int(model(**tokenizer(one, return_tensors="pt")).logits.argmax()) for one in texts]
    labels = [answers[0], 1 - answers[1], answers[2], answers[3]]  # three of four are right
    lines = [f"{one}\t{label}" for one, label in zip(texts, labels, strict=True)]
    data = tmp_path / "data.tsv"
    data.write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    assert judge(str(folder), str(data), cost=False)["accuracy"] == 0.75


def test_a_tokenizer_of_characters_needs_no_files(tmp_path: Path) -> None:
    transformers.CanineConfig(max_position_embeddings=64).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer", "model_max_length": 64}')
    found = load_tokenizer(tmp_path)  # 57344 and 57345 stand for [CLS] and [SEP]
    assert tokenised(found, ["dull"])[0]["input_ids"] == [57344, *map(ord, "dull"), 57345]
    assert stated_limit(found, load_config(tmp_path)) == 64
