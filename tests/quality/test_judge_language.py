"""Quality of runs of causal language models against transformers on the folders they save."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, Run, open_run, prune
from kencore.errors import NotALanguageModelError, TaskMismatchError, TextTooShortError, WindowError
from kencore.models.language import read_windows
from kencore.quality.judge import fitting_data, judge, read_data
from kencore.quality.states import baseline_state, pruned_state
from tests.quality.test_judge import with_state
from tests.support.classifiers import WORDS, save_tokenizer
from tests.support.tiny_models import save_pair

WINDOW = 16


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(base, tuned, text): a tiny LLaMA in bfloat16, a moved copy of it, and a text."""
    folder = tmp_path_factory.mktemp("language")
    base, tuned = save_pair("llama", folder, change=0.3, dtype=torch.bfloat16)
    for side in (base, tuned):
        save_tokenizer(side)
    words = torch.randint(len(WORDS), (300,), generator=torch.Generator().manual_seed(1))
    (folder / "text.txt").write_text(" ".join(WORDS[i] for i in words), "utf-8")
    return base, tuned, folder / "text.txt"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def reset(files: tuple[Path, Path, Path], store: Path) -> Run:
    base, tuned, text = files
    spec = PruneSpec(
        model=str(tuned),
        base=str(base),
        keep=0.4,
        method="ken",
        evaluation=str(text),
        baselines=True,
        seed=7,
        window=WINDOW,
    )
    return prune(spec, out=store / "reset")


@pytest.fixture(scope="module")
def zeroed(files: tuple[Path, Path, Path], store: Path) -> Run:
    _, tuned, text = files
    spec = PruneSpec(
        model=str(tuned),
        keep=0.37,
        method="random",
        evaluation=str(text),
        baselines=True,
        seed=7,
        window=WINDOW,
        windows=9,
    )
    return prune(spec, out=store / "zeroed")


def nll(model: Path, text: Path, limit: int | None = None) -> float:
    """By transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(model)(text.read_text())["input_ids"]
    parts = [tokens[i : i + WINDOW] for i in range(0, len(tokens), WINDOW)]
    rows = [torch.tensor([part]) for part in parts if len(part) == WINDOW][:limit]
    with torch.no_grad():
        return float(np.mean([float(network(input_ids=r, labels=r).loss) for r in rows]))


def magnitude(run: Run, name: str, weight: torch.Tensor) -> torch.Tensor:
    """Largest entries of each row, by a plain sort: as many as the run kept."""
    kept = run.rows(name)["kept"].to_numpy()
    order = np.argsort(-weight.float().abs().numpy(), axis=1, kind="stable")
    keep = np.zeros(weight.shape, bool)
    for row, count in enumerate(kept):
        keep[row, order[row, :count]] = True
    return torch.from_numpy(keep)


# --- runs -------------------------------------------------------------------------------------


def test_a_run_that_goes_back_to_its_base(reset: Run, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, text = files
    metrics = reset.metrics
    assert (metrics["task"], metrics["data"]) == ("language", str(text))
    count = len(read_windows(tuned, text, window=WINDOW).ids)
    for figures in (metrics, metrics["dense"], metrics["base"], metrics["pruned"]):
        assert (figures["windows"], figures["window"]) == (count, WINDOW)
        assert figures["tokens"] == count * (WINDOW - 1)
    assert metrics["device"] == "cpu"
    assert set(metrics["dense"]) == {
        "perplexity",
        "perplexity_low",
        "perplexity_high",
        "guess",
        "nll",
        "seconds",
        "tokens",
        "windows",
        "window",
    }
    assert metrics["dense"]["nll"] == pytest.approx(nll(tuned, text), rel=1e-5)
    pruned = reset.save_pretrained(tmp_path / "pruned")
    assert metrics["pruned"]["nll"] == pytest.approx(nll(pruned, text), rel=1e-5)
    assert metrics["pruned"]["perplexity"] == pytest.approx(math.exp(metrics["pruned"]["nll"]))
    assert metrics["base"]["nll"] == pytest.approx(nll(base, text), rel=1e-5)
    assert set(metrics["baselines"]) == {"random", "magnitude", "delta"}
    assert len({f["nll"] for f in metrics["baselines"].values()}) == 3


def test_a_run_that_sets_to_zero(zeroed: Run, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, tuned, text = files
    metrics = zeroed.metrics
    assert "base" not in metrics
    assert metrics["windows"] == 9
    assert metrics["dense"]["nll"] == pytest.approx(nll(tuned, text, 9), rel=1e-5)
    pruned = zeroed.save_pretrained(tmp_path / "pruned")
    assert metrics["pruned"]["nll"] == pytest.approx(nll(pruned, text, 9), rel=1e-5)
    assert set(metrics["baselines"]) == {"magnitude"}  # random is the run itself
    state = load_file(tuned / "model.safetensors")
    for name in zeroed.pruned:
        state[name] = torch.where(magnitude(zeroed, name, state[name]), state[name], 0)
    other = with_state(state, tuned, tmp_path / "magnitude")
    assert metrics["baselines"]["magnitude"]["nll"] == pytest.approx(nll(other, text, 9), rel=1e-5)


@pytest.mark.parametrize("rule", ["random", "magnitude", "delta"])
def test_baselines_keep_as_many_of_each_row(reset: Run, zeroed: Run, rule: str) -> None:
    for run in (reset, zeroed):
        if run is zeroed and rule == "delta":
            continue  # there is nothing to differ from
        found = dict(baseline_state(run, rule, 1))
        assert tuple(found) == run.pruned
        for name, weight in found.items():
            window, shape = run.values(name, "base"), run.shape(name)
            apart = run.values(name) != window
            kept = weight.float().numpy().reshape(shape) != window
            assert apart.mean() > 0.9  # few weights are the base's to begin with, in bfloat16
            counts = run.rows(name)["kept"].to_numpy()
            assert (kept.sum(axis=1) <= counts).all()
            assert (kept.sum(axis=1) >= counts - (~apart).sum(axis=1)).all()


def test_rows_of_which_nothing_is_kept(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, tuned, _ = files
    run = prune(PruneSpec(model=str(tuned), keep=0.001, method="magnitude"), out=tmp_path / "run")
    kept = {name: run.rows(name)["kept"].to_numpy() for name in run.pruned}
    assert any((counts == 0).any() for counts in kept.values())
    for rule in ("magnitude", "random"):
        for name, weight in baseline_state(run, rule, 1):
            assert (weight != 0).sum(dim=1).tolist() == kept[name].tolist()
    for name, weight in pruned_state(run):
        assert (weight != 0).sum(dim=1).tolist() == kept[name].tolist()


def test_stored_transposed(tmp_path: Path, files: tuple[Path, Path, Path]) -> None:
    """GPT-2 stores inputs x outputs."""
    _, tuned = save_pair("gpt2", tmp_path, change=0.3)
    save_tokenizer(tuned)
    spec = PruneSpec(model=str(tuned), keep=0.5, method="magnitude", evaluation=str(files[2]), window=WINDOW)
    run = prune(spec, out=tmp_path / "run")
    pruned = run.save_pretrained(tmp_path / "pruned")
    assert run.metrics["pruned"]["nll"] == pytest.approx(nll(pruned, files[2]), rel=1e-5)
    assert run.metrics["pruned"]["nll"] != pytest.approx(run.metrics["dense"]["nll"], rel=1e-4)
    own = dict(pruned_state(run))
    for name, weight in baseline_state(run, "magnitude", 1):
        assert torch.equal(weight, own[name])


def test_changed_values_are_the_ones_that_are_measured(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, tuned, text = files
    spec = PruneSpec(
        model=str(tuned),
        keep=0.5,
        method="sparsegpt",
        calibration=str(text),
        sequences=4,
        window=WINDOW,
        evaluation=str(text),
    )
    run = prune(spec, out=tmp_path / "run")
    pruned = run.save_pretrained(tmp_path / "pruned")
    dense = load_file(tuned / "model.safetensors")
    changed = [
        name for name, weight in pruned_state(run) if not torch.equal(weight[weight != 0], dense[name][weight != 0])
    ]
    assert changed
    found = judge(str(run.path), str(text), cost=False)
    assert found["pruned"]["nll"] == pytest.approx(nll(pruned, text), rel=1e-5)
    assert found["pruned"]["nll"] != pytest.approx(found["dense"]["nll"], rel=1e-4)


def test_tied_weights(tmp_path: Path, files: tuple[Path, Path, Path]) -> None:
    """The table of tokens is the output layer too."""
    _, tuned = save_pair("opt", tmp_path, change=0.3)
    save_tokenizer(tuned)
    spec = PruneSpec(model=str(tuned), keep=0.5, method="magnitude", scope=("embedding",), window=WINDOW)
    run = prune(spec, out=tmp_path / "run")
    assert "model.decoder.embed_tokens.weight" in run.pruned
    pruned = run.save_pretrained(tmp_path / "pruned")
    found = judge(str(run.path), str(files[2]), cost=False)
    assert found["pruned"]["nll"] == pytest.approx(nll(pruned, files[2]), rel=1e-5)


# --- measuring later --------------------------------------------------------------------------


def test_judging_again_gives_the_same(reset: Run, files: tuple[Path, Path, Path]) -> None:
    said: list[str] = []
    found = judge(
        str(reset.path),
        str(files[2]),
        baselines=True,
        cost=False,
        progress=lambda done, total, message: said.append(message),
    )
    assert found["run"] == reset.id
    assert any(message.startswith("Measuring pruned: ") for message in said)
    for step in ("dense", "base", "pruned"):
        assert found[step]["nll"] == reset.metrics[step]["nll"]
    for rule, figures in reset.metrics["baselines"].items():
        assert found["baselines"][rule]["nll"] == figures["nll"]
    json.dumps(found, allow_nan=False)


def test_the_window_and_the_number_of_windows_are_the_runs_own(zeroed: Run, files: tuple[Path, Path, Path]) -> None:
    found = judge(str(zeroed.path), str(files[2]), cost=False)
    assert (found["window"], found["windows"]) == (WINDOW, 9)
    assert found["pruned"]["nll"] == zeroed.metrics["pruned"]["nll"]


def test_another_window(reset: Run, files: tuple[Path, Path, Path]) -> None:
    found = judge(str(reset.path), str(files[2]), window=8, windows=3, cost=False)
    assert (found["window"], found["windows"], found["tokens"]) == (8, 3, 21)
    assert found["dense"]["nll"] != reset.metrics["dense"]["nll"]


def test_the_result_is_kept(zeroed: Run, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(zeroed.path, tmp_path / "copy"))
    judge(str(copy), str(files[2]), windows=2, save=True)
    kept = open_run(copy).metrics
    assert (kept["windows"], kept["task"], kept["baselines"]) == (2, "language", {})
    assert "base" not in kept


def test_windows_that_begin_as_a_text_does(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, tuned, text = files
    asked = {"keep": 0.4, "method": "random", "evaluation": str(text), "baselines": False, "cost": False}
    run = prune(PruneSpec(model=str(tuned), window=WINDOW, bos=True, **asked), out=tmp_path / "run")
    opening, *tokens = AutoTokenizer.from_pretrained(tuned)(text.read_text())["input_ids"]
    inside = WINDOW - 1
    rows = [[opening, *tokens[i : i + inside]] for i in range(0, len(tokens) - inside + 1, inside)]
    network = AutoModelForCausalLM.from_pretrained(tuned, dtype=torch.float32).eval()
    with torch.no_grad():
        losses = [float(network(input_ids=r, labels=r).loss) for r in torch.tensor(rows)[:, None]]
    assert run.metrics["dense"]["nll"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert run.metrics["bos"] is True
    again = judge(str(run.path), str(text), cost=False)  # as the run was measured
    assert again["pruned"]["nll"] == run.metrics["pruned"]["nll"]
    other = judge(str(run.path), str(text), bos=False, cost=False)
    assert "bos" not in other
    assert other["dense"]["nll"] == pytest.approx(nll(tuned, text), rel=1e-5)


def test_a_model_alone(files: tuple[Path, Path, Path]) -> None:
    _, tuned, text = files
    found = judge(str(tuned), str(text), window=WINDOW)
    assert found["nll"] == pytest.approx(nll(tuned, text), rel=1e-5)
    assert (found["model"], found["task"], found["data"]) == (str(tuned), "language", str(text))
    assert found["data_sha256"] == read_windows(tuned, text).sha256


def test_the_usual_text_is_held_out(files: tuple[Path, Path, Path]) -> None:
    from kencore.data.text import read_text

    found = judge(str(files[1]), "pydoc", windows=5, cost=False)
    assert found["data_sha256"] == read_text("pydoc", part="evaluation").sha256
    assert (found["window"], found["windows"]) == (24, 5)


# --- data that do not fit ---------------------------------------------------------------------


def no_run(spec: PruneSpec, kind: type[Exception], said: str) -> None:
    """The mistake is told before anything is pruned."""
    messages: list[str] = []
    with pytest.raises(kind, match=said):
        prune(spec, progress=lambda done, total, message: messages.append(message))
    assert not any(message.startswith("Pruning") for message in messages)


def test_labelled_sentences_are_no_text(files: tuple[Path, Path, Path]) -> None:
    base, tuned, _ = files
    with pytest.raises(TaskMismatchError, match="Choose pydoc"):
        judge(str(tuned), "demo")
    no_run(
        PruneSpec(model=str(tuned), base=str(base), keep=0.4, evaluation="demo"), TaskMismatchError, "labeled sentences"
    )


@pytest.mark.parametrize("data", ["pydoc", "wikitext2", "c4", "ptb", "story.txt", "a.md"])
def test_texts_are_no_labelled_sentences(tmp_path: Path, data: str) -> None:
    _, tuned = save_pair("bert", tmp_path)
    save_tokenizer(tuned)
    with pytest.raises(NotALanguageModelError, match="Choose demo"):
        judge(str(tuned), data)


@pytest.mark.parametrize("kind", ["t5", "vit"])
def test_models_that_nothing_judges(tmp_path: Path, kind: str) -> None:
    _, tuned = save_pair(kind, tmp_path)
    for data in ("pydoc", "demo"):
        with pytest.raises(TaskMismatchError, match="Model"):
            judge(str(tuned), data)


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("xlnet", "XLNetLMHeadModel", "reads both sides"),
        ("gemma3", "Gemma3ForConditionalGeneration", "causal language"),
    ],
)
def test_with_a_text_others_are_told_that_they_continue_none(tmp_path: Path, kind: str, name: str, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "architectures": [name]}), "utf-8")
    with pytest.raises(NotALanguageModelError, match=f"{name}.*{said}"):
        fitting_data(tmp_path, "pydoc")


def test_texts_and_windows_that_do_not_fit(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, tuned, text = files
    spec = PruneSpec(model=str(tuned), keep=0.4, method="magnitude", evaluation=str(text))
    assert read_data(tuned, PruneSpec(model=str(tuned), keep=0.4, method="magnitude")) is None
    no_run(PruneSpec.from_dict(json.loads(spec.to_json()) | {"window": 25}), WindowError, "25 tokens; wanted 2 to 24")
    (tmp_path / "short.txt").write_text("a good film")
    short = json.loads(spec.to_json()) | {"evaluation": str(tmp_path / "short.txt")}
    no_run(PruneSpec.from_dict(short), TextTooShortError, "wanted 24 or more")


def test_models_without_a_position_limit(tmp_path: Path, files: tuple[Path, Path, Path]) -> None:
    _, tuned = save_pair("bloom", tmp_path)
    save_tokenizer(tuned)
    with pytest.raises(TextTooShortError, match="wanted 2,048 or more"):
        fitting_data(tuned, str(files[2]))
    assert judge(str(tuned), str(files[2]), window=100, cost=False)["windows"] == 3


def test_a_nan_in_the_weights(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    import shutil

    from kencore.errors import NonFiniteActivationError

    folder = Path(shutil.copytree(files[1], tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"][0, 0] = math.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(NonFiniteActivationError, match="window 1 of"):
        judge(str(folder), str(files[2]))
