"""An answer never depends on what else is in the batch: every kind of padding there is, against one at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from kencore.data.examples import Examples
from kencore.errors import TokenizerError, TokenTableError
from kencore.models.batches import padding_is_harmless, same_length
from kencore.models.classifier import Classifier
from kencore.recovery.tasks import Sentences
from tests.support.tiny_models import COMMON, GPT, SIZES, VOCABULARY

LLAMA = SIZES | {"num_key_value_heads": 2}
T5 = {"d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
XLNET = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "pad_token_id": 5}
BART = {
    "d_model": 32,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 24,
}
NO_PAD = {"pad_token_id": None}
# name -> config, its settings, and what is odd about the tokenizer
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "decoder, other pad": ("Llama", LLAMA, {"pad": "w2"}),
    "decoder, same pad, left": ("Llama", LLAMA, {"padding_side": "left"}),
    "decoder, config without pad": ("Llama", LLAMA | NO_PAD, {}),
    "decoder, no pad at all": ("Llama", LLAMA | NO_PAD, {"pad": None}),
    "decoder, tokenizer without pad": ("Mistral", LLAMA, {"pad": None}),
    "decoder, pad outside the table": ("Llama", LLAMA, {"pad": "[PAD]"}),
    "decoder, config's pad outside the table": ("GPT2", GPT | {"pad_token_id": VOCABULARY}, {"pad": "[PAD]"}),
    "decoder, its pad ends sentences": ("GPT2", GPT | {"pad_token_id": 2}, {"pad": "w2", "last": "w2"}),
    "learned positions, left": ("GPT2", GPT, {"padding_side": "left"}),
    "encoder, left": ("Bert", SIZES, {"padding_side": "left"}),
    "encoder, other pad": ("Bert", SIZES, {"pad": "w7"}),
    "positions after the padding row, other pad": ("Roberta", SIZES | {"pad_token_id": 1}, {"pad": "w0"}),
    "positions after the padding row, left": (
        "MPNet",
        SIZES | {"pad_token_id": 1},
        {"pad": "w1", "padding_side": "left"},
    ),
    "the last token decides, right": ("XLNet", COMMON | XLNET, {"pad": "w5"}),
    "the end token decides": ("T5", COMMON | T5, {"last": "w2", "pad": "w3"}),
    "the end token decides, decoder": ("Bart", COMMON | BART, {"last": "w2", "pad": "w3", "padding_side": "left"}),
    "windows of attention": ("Longformer", SIZES | {"pad_token_id": 1, "attention_window": 4}, {"pad": "w0"}),
}


def save(folder: Path, kind: str, settings: dict[str, Any], **odd: Any) -> Path:
    """A tiny classifier and a tokenizer of words w0, w1, ..."""
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(**settings, num_labels=3)
    table = settings["pad_token_id"] if (settings["pad_token_id"] or 0) >= VOCABULARY else None
    if table is not None:
        config.pad_token_id = 0  # torch refuses to build it
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    if table is not None:
        told = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(told | {"pad_token_id": table}))
    save_words(folder, **odd)
    return folder


def save_words(
    folder: Path, *, words: int = VOCABULARY, pad: str | None = "w0", last: str | None = None, **more: Any
) -> None:
    inner = Tokenizer(models.WordLevel({f"w{i}": i for i in range(words)}, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if last is not None:
        inner.post_processor = processors.TemplateProcessing(
            single=f"$A {last}", pair=f"$A {last} $B {last}", special_tokens=[(last, int(last[1:]))]
        )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="w0", **({} if pad is None else {"pad_token": pad}), **more
    ).save_pretrained(folder)


def sentences(count: int = 12) -> tuple[str, ...]:
    draw = np.random.default_rng(3)
    return tuple(" ".join(f"w{n}" for n in draw.integers(8, VOCABULARY, 1 + i % 5)) for i in range(count))


def one_at_a_time(folder: Path, texts: tuple[str, ...]) -> np.ndarray:
    """transformers alone, no padding."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return np.stack([model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in texts])


@pytest.mark.parametrize("case", CASES)
def test_batched_answers_are_those_of_one_at_a_time(tmp_path: Path, case: str) -> None:
    kind, settings, odd = CASES[case]
    folder = save(tmp_path / "m", kind, settings, **odd)
    examples = Examples(texts=sentences(), labels=(0,) * 12)
    wanted = one_at_a_time(folder, examples.texts)
    assert wanted.std(axis=0).max() > 0.03  # the sentence has a say
    classifier = Classifier.load(folder)
    found = classifier.predict(examples, batch=8).logits
    np.testing.assert_allclose(found, wanted, atol=3e-5, rtol=1e-4)
    # and what tuning learns from: the mean loss of a batch of all lengths
    task = Sentences(classifier, examples, None)
    loss = sum(float(part) for part in task.losses(range(12)))
    reference = torch.nn.functional.cross_entropy(torch.from_numpy(wanted), torch.zeros(12, dtype=torch.int64))
    assert loss == pytest.approx(float(reference), rel=2e-3)


def test_padding_is_used_for_learning_only_where_it_changes_nothing(tmp_path: Path) -> None:
    harmless = {}
    for case in ("decoder, other pad", "the last token decides, right", "encoder, left", "encoder, other pad"):
        kind, settings, odd = CASES[case]
        classifier = Classifier.load(save(tmp_path / case, kind, settings, **odd))
        rows = classifier.tokens(Examples(texts=sentences(), labels=(0,) * 12))
        harmless[case] = padding_is_harmless(classifier, rows)
    assert not any(harmless.values())
    classifier = Classifier.load(save(tmp_path / "plain", "Bert", SIZES))
    assert padding_is_harmless(classifier, classifier.tokens(Examples(texts=sentences(), labels=(0,) * 12)))


def test_parts_hold_one_length() -> None:
    rows = [{"input_ids": [0] * n} for n in (3, 1, 3, 3, 2, 1, 3)]
    assert list(same_length(rows, range(7), 3)) == [[1, 5], [4], [0, 2, 3], [6]]
    assert list(same_length(rows, [6, 1], 3)) == [[1], [6]]
    assert list(same_length(rows, [], 3)) == []


# --- tables -----------------------------------------------------------------------------------


def test_a_token_that_the_table_lacks_is_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "Bert", SIZES, words=VOCABULARY + 20)
    with pytest.raises(TokenTableError, match=r"'w104' with number 104.*rows of the model's table"):
        Classifier.load(folder).predict(Examples(texts=("w9", "w104 w9"), labels=(0, 1)))
    assert Classifier.load(folder).predict(Examples(texts=("w9", "w98"), labels=(0, 1))).labels.shape == (2,)


def test_a_token_type_that_the_table_lacks(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "Roberta", SIZES | {"pad_token_id": 1, "type_vocab_size": 1})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "w9", "w10"]
    transformers.BertTokenizer({word: i for i, word in enumerate(words)}).save_pretrained(folder)
    examples = Examples(texts=("w9",), pairs=("w10",), labels=(0,))
    with pytest.raises(TokenTableError, match=r"type 1.*token_type_embeddings"):
        Classifier.load(folder).predict(examples)
    assert len(Classifier.load(folder).predict(Examples(texts=("w9",), labels=(0,))).labels) == 1


def test_token_types_that_the_model_does_not_take_are_left_out(tmp_path: Path) -> None:
    sizes = COMMON | {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 24}
    folder = save(tmp_path / "m", "DistilBert", sizes)
    texts = sentences(6)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = [model(torch.tensor([tokenizer(text)["input_ids"]])).logits[0].numpy() for text in texts]
    found = Classifier.load(folder).predict(Examples(texts=texts, labels=(0,) * 6)).logits
    np.testing.assert_allclose(found, np.stack(wanted), atol=3e-5)


def test_a_text_without_a_token(tmp_path: Path) -> None:
    classifier = Classifier.load(save(tmp_path / "m", "Bert", SIZES))
    with pytest.raises(TokenizerError, match="no token at example 2"):
        classifier.predict(Examples(texts=("w9", " "), labels=(0, 1)))


def test_what_a_tokenizer_raises_becomes_one_error(tmp_path: Path) -> None:
    classifier = Classifier.load(save(tmp_path / "m", "Bert", SIZES))

    class PanicException(BaseException):  # as the backend's own, which is no Exception
        pass

    for raised in (RuntimeError("index out of range"), PanicException("no entry"), TypeError("not a string")):

        def broken(*_: object, raised: BaseException = raised, **__: object) -> None:
            raise raised

        classifier.tokenizer = broken
        broken.model_max_length = 12  # type: ignore[attr-defined]
        with pytest.raises(TokenizerError, match=str(raised)) as caught:
            classifier.predict(Examples(texts=("w9",), labels=(0,)))
        assert caught.value.__cause__ is raised
