"""Embeddings against plain torch, one sentence at a time, and pooling that is not understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from kencore.data.lines import Lines
from kencore.errors import NonFiniteWeightError, TaskMismatchError
from kencore.models.embedder import Embedder, check_lines, cosines, is_encoder, sentences_for
from kencore.models.inspect import inspect
from tests.models.test_batches import SIZES, save_words, sentences

LINES = Lines(texts=sentences(9), source="lines")
OF = "sentence_transformers.models"
Pool = Callable[[torch.Tensor], torch.Tensor]  # (T, H) of one sentence


def encoder(folder: Path, kind: str = "BertModel", **settings: Any) -> Path:
    torch.manual_seed(2)
    of = getattr(transformers, kind)
    model = of(of.config_class(**SIZES | {"num_hidden_layers": 1, "max_position_embeddings": 40} | settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    save_words(folder)
    return folder


def file(folder: Path) -> Path:
    path = folder / "lines.txt"
    path.write_text("\n".join(LINES.texts))
    return path


def with_modules(folder: Path, pooling: dict[str, Any], *more: tuple[str, str], **told: Any) -> Path:
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), *more]
    modules = [{"idx": n, "name": str(n), "path": path, "type": f"{OF}.{kind}"} for n, (path, kind) in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 32} | pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 4} | told))
    return folder


def one_at_a_time(folder: Path, pool: Pool, limit: int | None = None) -> np.ndarray:
    """transformers alone, no padding."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        rows = [torch.tensor([words(text)["input_ids"][:limit]]) for text in LINES.texts]
        return np.stack([pool(model(input_ids=row).last_hidden_state[0]).numpy() for row in rows])


WEIGHTS: Pool = lambda h: torch.arange(1.0, len(h) + 1)[:, None]  # noqa: E731
POOLS: dict[str, tuple[dict[str, Any], Pool]] = {
    "cls": ({"pooling_mode_cls_token": True}, lambda h: h[0]),
    "mean": ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, lambda h: h.sum(0) / len(h)),
    "max": ({"pooling_mode_max_tokens": True}, lambda h: h.max(0).values),
    "root": ({"pooling_mode_mean_sqrt_len_tokens": True}, lambda h: h.sum(0) / len(h) ** 0.5),
    "weighted": ({"pooling_mode_weightedmean_tokens": True}, lambda h: (h * WEIGHTS(h)).sum(0) / WEIGHTS(h).sum()),
    "last": ({"pooling_mode_lasttoken": True, "include_prompt": True}, lambda h: h[-1]),
    "two": ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, lambda h: torch.cat([h[0], h.mean(0)])),
    "by name": ({"pooling_mode": "mean", "embedding_dimension": 32}, lambda h: h.mean(0)),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("name", POOLS)
def test_pooling_is_that_of_the_folder(plain: Path, name: str) -> None:
    pooling, pool = POOLS[name]
    with_modules(plain, pooling)
    found = Embedder.load(plain).embeddings(LINES, batch=4)
    np.testing.assert_allclose(found, one_at_a_time(plain, pool, 4), atol=2e-6)  # cut at max_seq_length


def test_without_modules_it_is_the_mean_and_that_is_said(tmp_path: Path) -> None:
    folder = encoder(tmp_path)
    found = Embedder.load(folder).embeddings(LINES)
    np.testing.assert_allclose(found, one_at_a_time(folder, lambda h: h.mean(0)), atol=2e-6)
    assert sentences_for(folder, str(file(tmp_path))).notes == (
        "Embedding: the mean over tokens, since the folder has no modules.json.",
    )
    assert inspect(str(folder))["task"] == "embedding"


@pytest.mark.parametrize("kind", ["MPNetForMaskedLM", "MPNetModel", "LlamaModel"])
def test_a_head_that_no_embedding_needs_is_left_out(tmp_path: Path, kind: str) -> None:
    more = {"pad_token_id": 1} if kind.startswith("MPNet") else {"num_key_value_heads": 2}
    folder = with_modules(encoder(tmp_path, kind, **more), POOLS["mean"][0])
    found = Embedder.load(folder).embeddings(LINES)
    np.testing.assert_allclose(found, one_at_a_time(folder, POOLS["mean"][1], 4), atol=2e-6)


def test_dense_layers_and_scaling(tmp_path: Path) -> None:
    folder = with_modules(encoder(tmp_path), POOLS["mean"][0], ("2_Dense", "Dense"), ("3_Normalize", "Normalize"))
    dense = torch.nn.Linear(32, 5)
    (folder / "2_Dense").mkdir()
    save_file({"linear.weight": dense.weight, "linear.bias": dense.bias}, folder / "2_Dense/model.safetensors")
    told = {"in_features": 32, "out_features": 5, "activation_function": "torch.nn.modules.activation.Tanh"}
    (folder / "2_Dense/config.json").write_text(json.dumps(told))

    def pool(hidden: torch.Tensor) -> torch.Tensor:
        made = torch.tanh(dense(hidden.mean(0)))
        return made / made.norm()

    np.testing.assert_allclose(Embedder.load(folder).embeddings(LINES), one_at_a_time(folder, pool, 4), atol=2e-6)
    assert "then 1 dense layer" in sentences_for(folder, str(file(tmp_path))).notes[0]
    (folder / "2_Dense/config.json").write_text(json.dumps(told | {"activation_function": "os.system"}))
    with pytest.raises(TaskMismatchError, match="activation system"):
        Embedder.load(folder)


@pytest.mark.parametrize(
    ("pooling", "more", "said"),
    [
        ({"pooling_mode_of_tomorrow": True}, (), "pooling_mode_of_tomorrow"),
        ({"pooling_mode_cls_token": False}, (), "of no kind"),
        ({"pooling_mode_cls_token": True}, (("2_LSTM", "LSTM"),), "module 3 of modules.json, LSTM"),
        ({"pooling_mode_cls_token": True}, (("../2_Dense", "Dense"),), "entry 3"),
    ],
)
def test_what_is_not_understood_is_refused(
    plain: Path, pooling: dict[str, Any], more: tuple[tuple[str, str], ...], said: str
) -> None:
    with pytest.raises(TaskMismatchError, match=said):
        check_lines(with_modules(plain, pooling, *more), LINES)


@pytest.mark.parametrize("text", ["{", "[]", "[1]", '{"idx": 0}', '[{"path": "", "type": 3}]'])
def test_modules_that_are_no_modules(plain: Path, text: str) -> None:
    with_modules(plain, POOLS["cls"][0])
    (plain / "modules.json").write_text(text)
    with pytest.raises(TaskMismatchError, match=r"modules\.json"):
        Embedder.load(plain)


def test_small_letters_and_prompts(tmp_path: Path) -> None:
    folder = with_modules(encoder(tmp_path), POOLS["mean"][0], do_lower_case=True)
    (folder / "config_sentence_transformers.json").write_text('{"default_prompt_name": "query"}')
    model = Embedder.load(folder)
    big, small = (Lines(texts=texts) for texts in (("W9 W10", "w11"), ("w9 w10", "w11")))
    np.testing.assert_array_equal(model.embeddings(big), model.embeddings(small))
    assert "default prompt (query) is not put before" in sentences_for(folder, str(file(tmp_path))).notes[0]


def test_models_that_are_no_encoders(tmp_path: Path) -> None:
    for architecture in ("BertForSequenceClassification", "LlamaForCausalLM", "BertModelOfMine", "ViTModel"):
        kind = architecture[:3].lower()
        told = {"model_type": {"ber": "bert", "lla": "llama", "vit": "vit"}[kind], "architectures": [architecture]}
        (tmp_path / "config.json").write_text(json.dumps(told))
        assert not is_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(TaskMismatchError, match=r"no architecture.*a classifier .*a causal language model.*an encoder"):
        sentences_for(tmp_path, "lines.txt")


def test_cosines() -> None:
    first, second = np.array([[1.0, 0], [3, 4], [0, 0], [0, 0]]), np.array([[-2.0, 0], [4, 3], [0, 0], [1, 0]])
    np.testing.assert_allclose(cosines(first, second), [-1, 0.96, 1, 0], atol=1e-15)
    awkward = np.random.default_rng(0).normal(size=(50, 7))
    assert (cosines(awkward, awkward) == 1).all()


def test_embeddings_that_are_not_finite(tmp_path: Path) -> None:
    model = Embedder.load(encoder(tmp_path))
    with torch.no_grad():
        model.model.encoder.layer[0].output.dense.bias[0] = float("nan")
    with pytest.raises(NonFiniteWeightError, match="9 of 9 sentences"):
        model.embeddings(LINES)
