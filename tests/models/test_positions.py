"""How many tokens a model reads: what is stated before it is loaded is what it can run, and no token more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from kencore.models.inspect import inspect
from kencore.models.language import LanguageModel, read_windows
from kencore.models.loaded import limit_of, stated_positions
from kencore.models.tokenizer import LONGEST, stated_limit
from kencore.quality.judge import judge
from tests.models.test_batches import BART, GPT, LLAMA, SIZES, T5, XLNET, save_words, sentences
from tests.support.tiny_models import COMMON, POSITIONS

LATER = SIZES | {"pad_token_id": 1, "is_decoder": True}  # the first token is after the padding row
LATER_OPT = COMMON | {"hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 48, "num_hidden_layers": 1}
SHORT = {"num_layers": 1, "attention_heads": 4}
PROPHET = {
    "hidden_size": 32,
    "num_decoder_layers": 1,
    "num_decoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": POSITIONS,
    "is_decoder": True,
    "is_encoder_decoder": False,
}
# class, settings, positions that are stated (None: any number), whether one more fails
KINDS: dict[str, tuple[str, dict[str, Any], int | None, bool]] = {
    "rotary": ("LlamaForCausalLM", LLAMA, POSITIONS, False),
    "a table": ("GPT2LMHeadModel", GPT, POSITIONS, True),
    "a table with two rows more": (
        "OPTForCausalLM",
        LATER_OPT | {"num_attention_heads": 4, "max_position_embeddings": POSITIONS},
        POSITIONS,
        True,
    ),
    "a decoder alone": ("BartForCausalLM", COMMON | BART | {"is_decoder": True}, POSITIONS, True),
    "sinusoids made as needed": (
        "XGLMForCausalLM",
        COMMON | SHORT | {"d_model": 32, "ffn_dim": 48, "max_position_embeddings": POSITIONS},
        POSITIONS,
        False,
    ),
    "after the padding row": ("RobertaForCausalLM", LATER, POSITIONS - 2, True),
    "after the padding row, camembert": ("CamembertForCausalLM", LATER, POSITIONS - 2, True),
    "after the padding row, xlm": ("XLMRobertaForCausalLM", LATER, POSITIONS - 2, True),
    "after the padding row, norms first": ("RobertaPreLayerNormForCausalLM", LATER, POSITIONS - 2, True),
    "two sides, decoding": ("BertLMHeadModel", SIZES | {"is_decoder": True}, POSITIONS, True),
    "looks ahead": ("ProphetNetForCausalLM", COMMON | PROPHET | {"pad_token_id": 1}, POSITIONS - 3, True),
    "ALiBi": ("BloomForCausalLM", COMMON | {"hidden_size": 32, "n_layer": 1, "n_head": 4}, None, False),
    "state space": ("MambaForCausalLM", COMMON | {"hidden_size": 32, "num_hidden_layers": 1}, None, False),
}


def build(kind: str, settings: dict[str, Any]) -> Any:
    torch.manual_seed(1)
    of = getattr(transformers, kind)
    return of(of.config_class(**settings)).eval()


def runs(model: Any, tokens: int) -> bool:
    try:
        with torch.no_grad():
            model(input_ids=torch.full((1, tokens), 9))
    except (IndexError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("name", KINDS)
def test_a_model_reads_what_is_stated_and_no_token_more(tmp_path: Path, name: str) -> None:
    kind, settings, stated, ends = KINDS[name]
    model = build(kind, settings)
    model.save_pretrained(tmp_path)
    save_words(tmp_path)
    text = tmp_path / "text.txt"
    text.write_text(" ".join(sentences(12)) * (1 if stated else 180))
    most = stated or 2048
    assert runs(model, stated or 3 * POSITIONS)
    assert runs(model, most + 1) is not ends
    # what a person is told, what perplexity is measured on, and what calibration takes
    assert inspect(str(tmp_path))["positions"] == stated
    assert read_windows(tmp_path, str(text)).ids.shape[1] == most
    assert LanguageModel.load(tmp_path).positions == stated


@pytest.mark.parametrize(
    ("config", "stated"),
    [
        (transformers.XLNetConfig(**COMMON, **{k: v for k, v in XLNET.items() if k != "pad_token_id"}), None),
        (transformers.T5Config(), None),
        (transformers.RobertaConfig(**LATER), POSITIONS - 2),
        (transformers.MPNetConfig(**SIZES | {"pad_token_id": 1}), POSITIONS - 2),
        (transformers.CanineConfig(max_position_embeddings=512), 512),
    ],
    ids=lambda value: getattr(value, "model_type", str(value)),
)
def test_what_configs_state(config: Any, stated: int | None) -> None:
    assert stated_positions(config) == stated


@pytest.mark.parametrize("kind", ["XLNet", "T5"])
def test_relative_positions_have_no_end(kind: str) -> None:
    """Nothing is stated, and any number of tokens runs."""
    settings = COMMON | (XLNET if kind == "XLNet" else T5)
    model = build(f"{kind}ForSequenceClassification", settings | {"num_labels": 2, "eos_token_id": 9})
    assert stated_positions(model.config) is None
    row = torch.full((1, 700), 11)
    row[0, -1] = 9  # one end, at the end
    with torch.no_grad():
        assert model(input_ids=row).logits.shape == (1, 2)


@pytest.mark.parametrize(
    ("stated", "bound"),
    [
        *[(512, 512), (512.0, 512), (1, 1), (0, None), (-1, None), (1e30, None), (10**30, None), (True, None)],
        *[(float("inf"), None), (float("nan"), None), (None, None), ("512", None)],
    ],
)
def test_numbers_that_bound_nothing(stated: Any, bound: int | None) -> None:
    assert limit_of(stated) == bound

    class Words:
        model_max_length = stated

    assert stated_limit(Words, transformers.T5Config()) == (bound or LONGEST)
    assert stated_limit(Words, transformers.LlamaConfig(max_position_embeddings=24)) == min(bound or 24, 24)


def test_a_config_that_states_any_length(tmp_path: Path) -> None:
    """Told from config.json alone and by transformers, the answer is the same."""
    build("LlamaForCausalLM", LLAMA).save_pretrained(tmp_path)
    save_words(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_position_embeddings": 10**30}))
    (tmp_path / "text.txt").write_text(" ".join(sentences(12)) * 180)
    assert inspect(str(tmp_path))["positions"] is None
    assert read_windows(tmp_path, str(tmp_path / "text.txt")).ids.shape[1] == 2048


def test_the_default_window_is_measured(tmp_path: Path) -> None:
    """config.json says 24 rows, the first two of them before the first token: 22, against a plain loop."""
    model = build("RobertaForCausalLM", LATER)
    model.save_pretrained(tmp_path)
    save_words(tmp_path)
    words = " ".join(sentences(40)).split()
    (tmp_path / "text.txt").write_text(" ".join(words))
    found = judge(str(tmp_path), str(tmp_path / "text.txt"), cost=False, device="cpu")
    assert found["window"] == 22
    ids = torch.tensor([int(word[1:]) for word in words[: len(words) // 22 * 22]]).view(-1, 22)
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(model(input_ids=row[None]).logits[0, :-1], row[1:]).item() for row in ids
        ]
    assert found["windows"] == len(losses)
    assert found["nll"] == pytest.approx(sum(losses) / len(losses), abs=1e-4)
