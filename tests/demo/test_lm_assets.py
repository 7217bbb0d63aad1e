"""What ships with the project as a demo: the causal LM pair and its card."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
LM = DEMO / "lm"
PAIR = ("base", "tuned")
CARD = (DEMO / "README.md").read_text(encoding="utf-8").split("# Causal LM pair")[1]
LARGEST = 6_000_000  # bytes, each folder
BEGINNING = 40_000  # characters
WINDOW = 256
# W windows, T tokens of a window, V vocabulary


def tensors(which: str) -> dict[str, torch.Tensor]:
    return load_file(LM / which / "model.safetensors")


def tokenizer_of(which: str) -> Any:
    return AutoTokenizer.from_pretrained(LM / which, local_files_only=True)


def held_out_topics() -> str:
    """The fifth of Python's topics that neither model has read."""
    names = [name for name in sorted(topics) if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 5 == 0]
    return "\n\n".join(topics[name] for name in names)


@torch.inference_mode()
def perplexity(which: str, text: str) -> tuple[int, float]:
    """Tokens of a text, and exp(mean negative log-likelihood) over its whole windows."""
    torch.set_num_threads(1)
    ids = torch.tensor(tokenizer_of(which)(text, verbose=False)["input_ids"])
    rows = ids[: len(ids) // WINDOW * WINDOW].view(-1, WINDOW)  # (W, T)
    model = AutoModelForCausalLM.from_pretrained(LM / which, dtype=torch.float32, local_files_only=True)
    loss, total = torch.nn.functional.cross_entropy, 0.0
    for part in rows.split(8):
        logits = model(part, use_cache=False).logits[:, :-1]  # (W, T - 1, V)
        total += loss(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum").item()
    return len(ids), math.exp(total / rows[:, 1:].numel())


def figures(row: str) -> tuple[int, dict[str, float]]:
    """Tokens, and the perplexity of base and tuned, from a row of the card's first table."""
    found = re.search(rf"^\| {re.escape(row)} \| ([\d,]+) \| ([\d,.]+) \| ([\d,.]+) \|$", CARD, flags=re.MULTILINE)
    assert found is not None, f"the card has no row {row}"
    tokens, base, tuned = (float(cell.replace(",", "")) for cell in found.groups())
    return int(tokens), {"base": base, "tuned": tuned}


# --- the pair -------------------------------------------------------------------------------


@pytest.mark.parametrize("which", PAIR)
def test_a_folder_is_small_and_holds_nothing_else(which: str) -> None:
    files = [path for path in (LM / which).rglob("*") if path.is_file()]
    assert {path.relative_to(LM / which).as_posix() for path in files} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    size = sum(path.stat().st_size for path in files)
    assert size <= LARGEST
    assert f"{size:,} bytes" in CARD


@pytest.mark.parametrize("which", PAIR)
def test_weights_are_finite_half_precision(which: str) -> None:
    for name, tensor in tensors(which).items():
        assert tensor.dtype == torch.float16, name
        assert bool(torch.isfinite(tensor).all()), name


def test_tuning_changed_every_parameter() -> None:
    base, tuned = tensors("base"), tensors("tuned")
    assert {name: tensor.shape for name, tensor in base.items()} == {
        name: tensor.shape for name, tensor in tuned.items()
    }
    for name in base:
        share = float((base[name] != tuned[name]).float().mean())
        assert share > 0.5, f"{name}: only {share:.0%} of the entries changed"


@pytest.mark.parametrize("which", PAIR)
def test_transformers_loads_it(which: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(LM / which, local_files_only=True)
    config = model.config
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.dtype == torch.float16
    assert config.max_position_embeddings == WINDOW
    assert config.tie_word_embeddings
    assert config.num_key_value_heads < config.num_attention_heads
    assert config.vocab_size == len(tokenizer_of(which))
    assert f"{model.num_parameters():,} parameters" in CARD


def test_both_read_text_alike_and_letter_for_letter() -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        files = [(LM / which / name).read_bytes() for which in PAIR]
        assert files[0] == files[1], name
    tokenizer = tokenizer_of("tuned")
    for text in (topics["assert"], ' = A <unk> = \n \n " Ten @,@ 000 " , 5 € , Ж 日本 .'):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_it_continues_a_text() -> None:
    tokenizer = tokenizer_of("tuned")
    model = AutoModelForCausalLM.from_pretrained(LM / "tuned", dtype=torch.float32)
    start = tokenizer("The following", return_tensors="pt")
    written = model.generate(**start, max_new_tokens=8, do_sample=False)
    assert written.shape[1] > start["input_ids"].shape[1]


# --- the card -------------------------------------------------------------------------------


def test_the_card_says_what_a_user_must_know() -> None:
    for word in (
        "CC BY-SA",
        "WikiText-2",
        "WikiSplit",
        "Zero-Clause BSD",
        "PSF",
        "Limitations",
        "demonstration",
        "Python 3.",
        "python assets/demo/train_lm.py --data ../shared/data --out assets/demo/lm",
    ):
        assert word in CARD, word


@pytest.mark.parametrize("which", PAIR)
def test_the_cards_figures_on_wikitext(shared: Path, which: str) -> None:
    text = (shared / "data" / "wikitext-2" / "test.txt").read_text(encoding="utf-8")
    tokens, found = perplexity(which, text[:BEGINNING])
    told, expected = figures(f"WikiText-2 test, first {BEGINNING:,} characters")
    assert tokens == told
    assert found == pytest.approx(expected[which], rel=0.003)


def test_the_cards_figures_on_the_held_out_topics() -> None:
    text = held_out_topics()
    if hashlib.sha256(text.encode()).hexdigest() not in CARD:
        pytest.skip("this Python's topics are not those that the card was written with")
    tokens, found = perplexity("tuned", text[:BEGINNING])
    told, expected = figures(f"held-out topics, first {BEGINNING:,} characters")
    assert tokens == told
    assert found == pytest.approx(expected["tuned"], rel=0.003)


def test_tuning_helps_where_it_was_tuned() -> None:
    _, wikipedia = figures("WikiText-2 test")
    _, documentation = figures("held-out topics")
    assert wikipedia["base"] < wikipedia["tuned"]
    assert documentation["tuned"] < documentation["base"]
