"""One class of transformers, built small, with a base, a tuned model, a tokenizer and data on disk."""

from __future__ import annotations

import inspect
import random
from dataclasses import dataclass
from pathlib import Path
from string import ascii_letters
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers import models as token_models
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast
from transformers.models.auto import modeling_auto

from tests.breadth.shrink import VOCABULARY, small_config

LARGEST = 3_000_000  # parameters; the shrinker has missed a size where there are more
LABELS = {0: "bad", 1: "so so", 2: "good"}
LETTERS, SENTENCES = 400, 24
PADDING, UNKNOWN, FIRST, LAST = "[PAD]", "[UNK]", "[CLS]", "[SEP]"


@dataclass(frozen=True, slots=True)
class Kind:
    """A group of classes: the class of transformers that loads them, and which there are."""

    name: str
    auto: str
    classes: dict[str, str]


def _named(mapping: Any) -> dict[str, str]:
    return {kind: names if isinstance(names, str) else names[0] for kind, names in mapping.items()}


KINDS = {
    kind.name: kind
    for kind in (
        Kind("decoder", "AutoModelForCausalLM", _named(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)),
        Kind(
            "classifier",
            "AutoModelForSequenceClassification",
            _named(modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES),
        ),
        Kind("encoder", "AutoModelForMaskedLM", _named(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)),
    )
}


class NotBuiltError(Exception):
    """The class cannot be built small here, and why."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: two models, and data to measure them on."""

    base: Path
    tuned: Path
    data: Path
    parameters: int


def make(kind: str, model_type: str, folder: Path) -> Made:
    """Write ``folder/base``, ``folder/tuned`` and data.

    Raises:
        NotBuiltError: the class cannot be built small, or does not run on token ids alone.
    """
    model = _built(kind, model_type)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters > LARGEST:
        raise NotBuiltError(f"{parameters:,} parameters, though its sizes were set small")
    tokenizer = _tokenizer(model.config, framed=kind != "decoder")
    _spread(model, tokenizer)
    made = Made(
        base=folder / "base",
        tuned=folder / "tuned",
        data=folder / ("text.txt" if kind == "decoder" else "sentences.tsv"),
        parameters=parameters,
    )
    torch.manual_seed(1)
    for place in (made.base, made.tuned):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
    _write_data(made.data, _letters(tokenizer))
    return made


def _built(kind: str, model_type: str) -> Any:
    name = KINDS[kind].classes[model_type]
    torch.manual_seed(0)
    try:
        config = small_config(model_type)
        if kind == "decoder" and getattr(config, "is_decoder", None) is False:
            config.is_decoder = True
        if kind == "classifier":
            config.id2label = dict(LABELS)
            config.label2id = {label: number for number, label in LABELS.items()}
        cls = getattr(transformers, name)
        return cls(config if isinstance(config, cls.config_class) else config.get_text_config()).eval()
    except Exception as error:  # config classes raise what they like
        raise NotBuiltError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error


def _spread(model: Any, tokenizer: Any) -> None:
    """Weights of a trained model's size, so that every part of the model has a say in its answer.

    Where that makes the answer infinite, the weights stay as transformers starts them.

    Raises:
        NotBuiltError: the model does not run on token ids alone.
    """
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 and parameter.std() < 0.05:
                parameter.normal_(std=parameter.shape[-1] ** -0.5)
            else:
                parameter += 0.05 * torch.randn_like(parameter)
    ids = tokenizer("".join(_letters(tokenizer)[:8]), return_tensors="pt")["input_ids"]
    try:
        with torch.no_grad():
            finite = bool(torch.isfinite(model(input_ids=ids, **no_cache(model)).logits).all())
    except Exception as error:
        raise NotBuiltError(
            f"does not run on token ids alone ({type(error).__name__}: {' '.join(str(error).split())[:160]})"
        ) from error
    if not finite:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(before[name])


def no_cache(model: Any) -> dict[str, bool]:
    """That a model which continues text keeps nothing for it."""
    return {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}


def _tokenizer(config: Any, *, framed: bool) -> Any:
    """A token a letter, special tokens those of the config; ``framed``: [CLS] text [SEP].

    Letters alone, as several families have tokenizer classes that write spaces their own way.
    """
    inner = config.get_text_config(decoder=True)
    size = min(VOCABULARY, getattr(inner, "vocab_size", None) or VOCABULARY)
    reserved = _reserved(inner) | _reserved(config)
    free = iter([number for number in range(size) if number not in reserved])
    special = {
        token: number if isinstance(number, int) and 0 <= number < size else next(free)
        for token, number in (
            (PADDING, getattr(inner, "pad_token_id", None)),
            (FIRST, getattr(inner, "bos_token_id", None)),
            (LAST, _first(getattr(inner, "eos_token_id", None))),
            (UNKNOWN, None),
        )
    }
    usable = [number for number in range(size) if number not in reserved and number not in special.values()]
    letters = dict(zip(ascii_letters, usable, strict=False))
    tokenizer = Tokenizer(token_models.BPE(letters | special, merges=[], unk_token=UNKNOWN))
    if framed:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{FIRST} $A {LAST}",
            pair=f"{FIRST} $A {LAST} $B:1 {LAST}:1",
            special_tokens=[(FIRST, special[FIRST]), (LAST, special[LAST])],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        pad_token=PADDING,
        bos_token=FIRST,
        eos_token=LAST,
        model_max_length=32,
    )


def _reserved(config: Any) -> set[int]:
    """Token ids that mean something of their own to the model, such as the place of an image."""
    numbers: set[int] = set()
    for name, value in config.to_dict().items():
        if name.endswith(("_token_id", "_token_index", "_index", "_pad_id")):
            numbers.update(n for n in (value if isinstance(value, list) else [value]) if isinstance(n, int))
    return numbers


def _first(number: Any) -> Any:
    return number[0] if isinstance(number, list | tuple) else number


def _letters(tokenizer: Any) -> list[str]:
    return sorted(token for token in tokenizer.get_vocab() if len(token) == 1)


def _write_data(path: Path, letters: list[str]) -> None:
    draw = random.Random(2)
    if path.suffix == ".txt":
        path.write_text("".join(draw.choices(letters, k=LETTERS)), "utf-8")
        return
    lines = ["sentence\tlabel"]
    for number in range(SENTENCES):
        sentence = "".join(draw.choices(letters, k=draw.randint(6, 14)))
        lines.append(f"{sentence}\t{number % len(LABELS)}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
