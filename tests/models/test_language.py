"""Causal language models: which folders are ones, and swapped weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kencore.errors import (
    ConfigError,
    CorruptShardError,
    NoSafetensorsError,
    NotALanguageModelError,
    ShapeError,
    SourceNotFoundError,
    TaskMismatchError,
    TextError,
    TextTooShortError,
    WindowError,
)
from kencore.models.language import (
    LanguageModel,
    Windows,
    check_language_task,
    is_language_model,
    read_windows,
    usual_window,
)
from kencore.models.names import stored_tensors
from tests.support.classifiers import WORDS, save_tokenizer
from tests.support.tiny_models import ARCHITECTURES, LANGUAGE_MODELS, POSITIONS, save_pair

Folders = tuple[Path, Path]


def saved(kind: str, folder: Path, **settings: object) -> Folders:
    """(base, tuned) with a tokenizer of 19 words in each."""
    pair = save_pair(kind, folder, change=0.3, **settings)  # type: ignore[arg-type]
    for side in pair:
        save_tokenizer(side)
    return pair


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return saved("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 500 words that the tokenizer knows."""
    words = torch.randint(len(WORDS), (500,), generator=torch.Generator().manual_seed(5))
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text(" ".join(WORDS[i] for i in words), "utf-8")
    return path


def by_transformers(folder: Path, ids: torch.Tensor) -> float:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return float(torch.stack([model(input_ids=x[None], labels=x[None]).loss for x in ids]).mean())


# --- loading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_quality_and_swapped_weights(kind: str, tmp_path: Path, story: Path) -> None:
    base, tuned = saved(kind, tmp_path)
    model = LanguageModel.load(tuned, threads=1)
    assert model.positions == (None if kind == "bloom" else POSITIONS)
    cut = read_windows(tuned, story, window=16, limit=6)
    assert tuple(cut.ids.shape) == (6, 16)
    found = model.quality(cut)
    assert found["nll"] == pytest.approx(by_transformers(tuned, cut.ids), rel=1e-5)
    assert (found["windows"], found["window"], found["tokens"]) == (6, 16, 90)
    for name, tensor in stored_tensors(base):
        model.replace({name: tensor})
    swapped = model.quality(cut)["nll"]
    assert swapped == pytest.approx(by_transformers(base, cut.ids), rel=1e-5)
    assert swapped != pytest.approx(found["nll"], rel=1e-3)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(kind: str, dtype: torch.dtype, tmp_path: Path, story: Path) -> None:
    base, tuned = saved(kind, tmp_path, dtype=dtype)
    model = LanguageModel.load(tuned)
    assert {p.dtype for p in model.model.parameters()} == {torch.float32}
    cut = read_windows(tuned, story, window=20, limit=4)
    assert model.quality(cut)["nll"] == pytest.approx(by_transformers(tuned, cut.ids), rel=1e-5)
    model.replace(dict(stored_tensors(base)))
    assert model.quality(cut)["nll"] == pytest.approx(by_transformers(base, cut.ids), rel=1e-5)


def test_another_dtype(llama: Folders, story: Path) -> None:
    model = LanguageModel.load(llama[1], dtype=torch.bfloat16)
    assert {p.dtype for p in model.model.parameters()} == {torch.bfloat16}
    cut = read_windows(llama[1], story, window=20, limit=4)
    exact = LanguageModel.load(llama[1]).quality(cut)["nll"]
    assert model.quality(cut)["nll"] == pytest.approx(exact, rel=0.02)
    assert model.quality(cut)["nll"] != exact


def test_tied_output_layers_change_together(tmp_path: Path, story: Path) -> None:
    _, tuned = saved("gpt2", tmp_path)
    model = LanguageModel.load(tuned)
    name = "transformer.wte.weight"
    assert model.model.lm_head.weight is model.model.transformer.wte.weight
    table = load_file(tuned / "model.safetensors")[name]
    model.replace({name: table.flip(0)})
    assert torch.equal(model.model.lm_head.weight, table.flip(0))


def test_wrong_weights_are_refused(llama: Folders) -> None:
    model = LanguageModel.load(llama[1])
    name = "model.layers.0.self_attn.q_proj.weight"
    with pytest.raises(TaskMismatchError, match=r"Parameter no\.such"):
        model.replace({"no.such": torch.zeros(2)})
    with pytest.raises(ShapeError, match=name):
        model.replace({name: torch.zeros(2)})


def test_experts_of_equal_weights_are_told_apart(tmp_path: Path, story: Path) -> None:
    base, tuned = saved("mixtral", tmp_path)
    stem = "model.layers.{}.block_sparse_moe.experts.{}.w{}.weight"
    alike = [stem.format(block, expert, part) for block in (0, 1) for expert in (0, 1, 2) for part in (1, 3)]
    tensors = load_file(tuned / "model.safetensors")
    tensors |= dict.fromkeys(alike, tensors[alike[0]])
    save_file({n: t.clone() for n, t in tensors.items()}, tuned / "model.safetensors", {"format": "pt"})
    model = LanguageModel.load(tuned)
    assert set(alike) <= set(model.pieces)
    assert len(set(model.pieces.values())) == len(model.pieces)
    model.replace(dict(stored_tensors(base)))
    cut = read_windows(base, story, window=16, limit=3)
    assert model.quality(cut)["nll"] == pytest.approx(by_transformers(base, cut.ids), rel=1e-5)
    with pytest.raises(ShapeError, match="experts"):
        model.replace({alike[0]: torch.zeros(2)})


def test_threads_are_given_back(llama: Folders, story: Path) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    cut = read_windows(llama[1], story, window=20, limit=2)
    LanguageModel.load(llama[1], threads=before + 1).quality(
        cut, progress=lambda *_: seen.append(torch.get_num_threads())
    )
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_tokens(llama: Folders) -> None:
    found = LanguageModel.load(llama[1]).tokens("a good film")
    wanted = AutoTokenizer.from_pretrained(llama[1])("a good film")["input_ids"]
    assert found.dtype == torch.int64
    assert found.tolist() == wanted


# --- windows ----------------------------------------------------------------------------------


def test_the_usual_window(llama: Folders, story: Path) -> None:
    assert usual_window(None) == 2048
    assert usual_window(1 << 17) == 2048
    assert usual_window(24) == 24
    cut = read_windows(llama[1], story)
    tokens = AutoTokenizer.from_pretrained(llama[1])(story.read_text())["input_ids"]
    assert isinstance(cut, Windows)
    assert tuple(cut.ids.shape) == (len(tokens) // POSITIONS, POSITIONS)
    assert cut.ids.flatten().tolist() == tokens[: cut.ids.numel()]
    assert cut.source == str(story)
    assert len(cut.sha256) == 64


def test_windows_that_cannot_be(llama: Folders, story: Path) -> None:
    with pytest.raises(WindowError, match="25 tokens; wanted 2 to 24"):
        read_windows(llama[1], story, window=25)
    with pytest.raises(WindowError, match="windows: 0"):
        read_windows(llama[1], story, limit=0)
    short = story.with_name("short.txt")
    short.write_text("a good film")
    with pytest.raises(TextTooShortError, match="tokens; wanted 24 or more"):
        read_windows(llama[1], short)
    with pytest.raises(TextError, match="no such file"):
        read_windows(llama[1], story.with_name("none.txt"))


def test_alibi_models_take_any_window(tmp_path: Path, story: Path) -> None:
    _, tuned = saved("bloom", tmp_path)
    cut = read_windows(tuned, story, window=200)
    assert tuple(cut.ids.shape) == (2, 200)
    found = LanguageModel.load(tuned).quality(cut)["nll"]
    assert found == pytest.approx(by_transformers(tuned, cut.ids), rel=1e-5)


def test_a_recipe_limits_the_windows(llama: Folders, story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore.data.text import Text
    from kencore.models import language

    text = Text(source="c4", text=story.read_text(), sha256="0", documents=1, windows=3)
    monkeypatch.setattr(language, "read_text", lambda source, *, part: text)
    assert len(read_windows(llama[1], "c4").ids) == 3
    assert len(read_windows(llama[1], "c4", limit=5).ids) == 5


# --- what is no language model ----------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(set(ARCHITECTURES) - set(LANGUAGE_MODELS)))
def test_other_models_are_refused(kind: str, tmp_path: Path) -> None:
    _, tuned = save_pair(kind, tmp_path)
    assert not is_language_model(tuned)
    with pytest.raises(NotALanguageModelError, match="For"):
        LanguageModel.load(tuned)


@pytest.mark.parametrize(
    ("config", "causal"),
    [
        ({"architectures": ["BertLMHeadModel"], "model_type": "bert"}, False),
        ({"architectures": ["BertLMHeadModel"], "model_type": "bert", "is_decoder": True}, True),
        ({"architectures": ["XLNetLMHeadModel"], "model_type": "xlnet"}, False),
        ({"architectures": ["XLMRobertaForCausalLM"], "model_type": "xlm-roberta"}, False),
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, True),
        ({"architectures": ["NewForCausalLM"], "model_type": "new"}, True),
        ({"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"}, False),
        ({"architectures": [], "model_type": "llama"}, False),
        ({"architectures": None, "model_type": "llama"}, False),
        ({"model_type": "llama"}, False),
    ],
)
def test_what_the_config_says(config: dict[str, object], causal: bool, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert is_language_model(tmp_path) is causal
    if not causal:
        with pytest.raises(NotALanguageModelError, match="causal language model"):
            check_language_task(tmp_path)


def test_damaged_folders(llama: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama[1], tmp_path / "model"))
    with pytest.raises(SourceNotFoundError):
        LanguageModel.load(tmp_path / "none")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-9])
    with pytest.raises(CorruptShardError):
        LanguageModel.load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(NoSafetensorsError):
        LanguageModel.load(folder)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(TaskMismatchError, match="tokenizer"):
        LanguageModel.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ConfigError):
        LanguageModel.load(folder)


def test_a_model_without_its_output_layer(llama: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama[1], tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(NotALanguageModelError, match="no weights for lm_head"):
        LanguageModel.load(folder)


def test_the_recorded_models(shared: Path) -> None:
    """Perplexities that the published code measured: 64 windows of 128 tokens, float32."""
    import numpy as np

    folder = shared / "golden" / "neuroal"
    test = torch.from_numpy(np.load(folder / "calib.npz")["test"].astype(np.int64)).flatten()
    for name in ("tiny-opt", "tiny-llama"):
        record = np.load(next(folder.glob(f"{name}__*.npz")))
        network = AutoModelForCausalLM.from_pretrained(folder / "models" / name, dtype=torch.float32).eval()
        from kencore.models.perplexity import perplexity, windows

        found = perplexity(network, windows(test, 128, limit=64), batch=8)
        assert found["perplexity"] == pytest.approx(float(record["ppl_before"]), rel=1e-4)


def test_positions_that_a_table_bounds() -> None:
    from kencore.models.loaded import stated_positions, usable_positions

    model = torch.nn.Module()
    model.position_embeddings = torch.nn.Embedding(20, 4, padding_idx=1)
    assert usable_positions(model, 20) == 18
    assert usable_positions(model, 9) == 9
    config = SimpleNamespace(max_seq_len=77)
    config.get_text_config = lambda decoder: config
    assert stated_positions(config) == 77


def test_every_window_begins_as_a_text_does(llama: Folders, story: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama[1])
    opening, *tokens = tokenizer(story.read_text())["input_ids"]
    assert tokenizer.convert_ids_to_tokens(opening) == "[CLS]"
    whole = read_windows(llama[1], story, window=20, bos=True)
    assert whole.ids.tolist() == [[opening, *tokens[start : start + 19]] for start in range(0, len(tokens) - 18, 19)]
    first = read_windows(llama[1], story, window=20, limit=3, bos=True)
    assert first.ids.tolist() == whole.ids[:3].tolist()
    assert (first.bos, first.notes) == (True, ())
    assert "[CLS]" in read_windows(llama[1], story, window=20).notes[0]
    found = LanguageModel.load(llama[1]).quality(first)
    assert found["nll"] == pytest.approx(by_transformers(llama[1], first.ids), rel=1e-5)
