"""What a run costs, against the files that it writes and the zeros in the model that it saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kencore import PruneSpec, Run, prune
from kencore.exports.subnetwork.write import write_subnetwork
from kencore.models.classifier import Classifier
from kencore.models.language import LanguageModel, read_windows
from kencore.quality.cost import NO_FASTER, Once, cost_of, cost_of_model
from kencore.quality.cost_probe import Probe
from kencore.quality.judge import fitting_data, judge
from kencore.quality.paired import accuracy_change, nll_change
from kencore.quality.states import pruned_state
from tests.support.classifiers import NAMES, WORDS, build, save_tokenizer
from tests.support.tiny_models import save_pair

WINDOW = 16


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(base, tuned, text): a tiny LLaMA, a moved copy of it, and a text."""
    folder = tmp_path_factory.mktemp("language")
    base, tuned = save_pair("llama", folder, change=0.3, dtype=torch.bfloat16)
    for side in (base, tuned):
        save_tokenizer(side)
    words = torch.randint(len(WORDS), (200,), generator=torch.Generator().manual_seed(1))
    (folder / "text.txt").write_text(" ".join(WORDS[i] for i in words), "utf-8")
    return base, tuned, folder / "text.txt"


@pytest.fixture(scope="module")
def zeroed(language: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    _, tuned, _ = language
    spec = PruneSpec(model=str(tuned), keep=0.3, method="magnitude", scope=("all", "embedding"), vectors=False)
    return prune(spec, out=tmp_path_factory.mktemp("runs") / "zeroed")


def nonzero_operations(folder: Path, ids: torch.Tensor) -> int:
    """Two for each weight that is not zero and each vector, plus attention's own products."""
    model = LanguageModel.load(folder).model
    total = [0]

    def count(module: torch.nn.Linear, args: tuple[torch.Tensor, ...]) -> None:
        vectors = args[0].numel() // args[0].shape[-1]
        total[0] += 2 * vectors * int((module.weight != 0).sum())

    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        model(input_ids=ids)
    config, tokens = model.config, ids.shape[1]
    return total[0] + 4 * tokens * tokens * config.hidden_size * config.num_hidden_layers


def test_effective_operations_are_those_with_weights_that_are_not_zero(
    zeroed: Run, language: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, tuned, text = language
    windows = read_windows(tuned, text, window=WINDOW)
    found = cost_of(zeroed, LanguageModel.load(tuned), windows, repeats=1)["flops"]
    assert found["dense"] == nonzero_operations(tuned, windows.ids[:1])
    pruned = zeroed.save_pretrained(tmp_path / "pruned")
    # a kept weight may itself be zero, though not in this model
    assert found["effective"] == nonzero_operations(pruned, windows.ids[:1])
    assert found["effective"] < 0.7 * found["dense"]
    assert (found["tokens"], found["tokens_from"]) == (WINDOW, "one window")


def test_what_goes_back_to_the_base_spares_nothing(language: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, text = language
    run = prune(PruneSpec(model=str(tuned), base=str(base), keep=0.3), out=tmp_path / "run")
    windows = read_windows(tuned, text, window=WINDOW)
    found = cost_of(run, LanguageModel.load(tuned), windows, repeats=1)
    assert found["flops"]["effective"] == found["flops"]["dense"]
    assert "not to zero" in found["flops"]["note"]
    written = tmp_path / "run.safetensors"
    write_subnetwork(run, written)
    assert found["bytes"]["subnetwork"] == written.stat().st_size
    assert found["bytes"]["dense"] == (tuned / "model.safetensors").stat().st_size
    totals = run.totals
    assert found["parameters"] == {
        "total": totals["params"],
        "in_pruned_tensors": totals["pruned"],
        "kept": totals["kept"],
        "reset": totals["reset"],
    }


def test_both_models_are_timed_and_the_pruned_one_is_left(zeroed: Run, language: tuple[Path, Path, Path]) -> None:
    _, tuned, text = language
    model = LanguageModel.load(tuned)
    said: list[tuple[float, str]] = []
    found = cost_of(
        zeroed,
        model,
        read_windows(tuned, text, window=WINDOW),
        repeats=4,
        progress=lambda done, total, message: said.append((done / total, message)),
    )
    assert [line["batch"] for line in found["latency"]] == [1, 12]
    for line in found["latency"]:
        for which in ("dense", "pruned"):
            assert 0 < line[which]["low"] <= line[which]["median"] <= line[which]["high"]
            assert line[which]["repeats"] >= 4
    assert found["memory"] == {"reason": found["memory"]["reason"]}
    assert "only CUDA" in found["memory"]["reason"]
    assert found["note"] == NO_FASTER
    assert [done for done, _ in said] == sorted(done for done, _ in said)
    state = model.model.state_dict()
    for name, tensor in pruned_state(zeroed):
        assert torch.equal(state[name], tensor.float())
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(("a_token", "timed"), [(0.008, [(1, 16)]), (0.003, [(1, 24), (2, 24)]), (1.0, [])])
def test_a_slow_model_is_timed_on_fewer_tokens_or_not_at_all(
    zeroed: Run, language: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, a_token: float, timed: list[Any]
) -> None:
    """By a clock of the test's own, which each pass moves on."""
    _, tuned, text = language
    model, now = LanguageModel.load(tuned), [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def took(module: torch.nn.Module, args: tuple[()], kwargs: dict[str, torch.Tensor], out: Any) -> None:
        if kwargs["input_ids"].device.type == "cpu":
            now[0] += a_token * kwargs["input_ids"].numel()

    model.model.register_forward_hook(took, with_kwargs=True)
    found = cost_of(zeroed, model, read_windows(tuned, text, window=24))
    assert [(line["batch"], line["tokens"]) for line in found["latency"]] == timed
    assert now[0] < (5 if timed else 40)  # seconds on its clock
    assert found["flops"]["tokens"] == 24  # counted without a pass


def test_what_no_mask_changes_is_measured_once(zeroed: Run, language: tuple[Path, Path, Path]) -> None:
    _, tuned, text = language
    model, once, passes = LanguageModel.load(tuned), Once(), [0]
    windows = read_windows(tuned, text, window=WINDOW)
    first = cost_of(zeroed, model, windows, once=once)
    model.model.register_forward_hook(lambda *_: passes.__setitem__(0, passes[0] + 1))
    again = cost_of(zeroed, model, windows, once=once)
    assert passes == [0]
    assert again | {"seconds": 0} == first | {"seconds": 0}


def test_a_cut_input_keeps_its_last_token(language: tuple[Path, Path, Path]) -> None:
    probe = Probe(one={"input_ids": torch.arange(9)[None], "use_cache": False}, tokens=9, batch=2, what="one window")
    short = probe.cut(4)
    assert short.of(2)["input_ids"].tolist() == [[0, 1, 2, 8]] * 2
    assert (short.tokens, short.what, short.one["use_cache"]) == (4, "4 tokens of one window", False)
    assert probe.cut(9) is probe


def test_progress_may_stop_it(zeroed: Run, language: tuple[Path, Path, Path]) -> None:
    def stop(done: float, total: float, message: str) -> None:
        raise InterruptedError(message)

    _, tuned, text = language
    with pytest.raises(InterruptedError):
        cost_of(zeroed, LanguageModel.load(tuned), read_windows(tuned, text), progress=stop)


# --- inside a measurement ---------------------------------------------------------------------


def test_a_measured_run_holds_its_cost_and_its_changes(zeroed: Run, language: tuple[Path, Path, Path]) -> None:
    _, tuned, text = language
    found = judge(str(zeroed.path), str(text), window=WINDOW, baselines=True)
    model, data = LanguageModel.load(tuned), fitting_data(tuned, str(text), window=WINDOW)
    dense = model.quality(data).outcomes
    for name, tensor in pruned_state(zeroed):
        model.replace({name: tensor})
    versus = dict(found["pruned"]["versus_dense"])
    assert versus.pop("kl") > 0
    assert 0 <= versus.pop("same_answer") < 1
    assert versus == nll_change(dense, model.quality(data).outcomes)
    change = found["pruned"]["nll"] - found["dense"]["nll"]
    assert found["pruned"]["versus_dense"]["nll_change"] == pytest.approx(change)
    random = found["baselines"]["random"]["versus_dense"]
    assert random["nll_change_low"] < random["nll_change"] < random["nll_change_high"]
    assert found["cost"]["flops"]["effective"] < found["cost"]["flops"]["dense"]
    assert len(json.dumps(found)) < 12_000


def test_cost_may_be_left_out(zeroed: Run, language: tuple[Path, Path, Path]) -> None:
    _, tuned, text = language
    found = judge(str(zeroed.path), str(text), window=WINDOW, cost=False)
    assert found["dense"]["perplexity"] > 1
    assert "cost" not in found
    assert "cost" not in judge(str(tuned), str(text), window=WINDOW, cost=False)


def test_a_classifier(tmp_path: Path) -> None:
    model = build("bert", NAMES)
    for side in ("base", "tuned"):
        model.save_pretrained(tmp_path / side)
        save_tokenizer(tmp_path / side)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.4 * torch.randn(parameter.shape, generator=torch.Generator())
    words = torch.randint(len(WORDS), (40, 8), generator=torch.Generator().manual_seed(1))
    lines = [f"{' '.join(WORDS[i] for i in row[: 3 + n % 4])}\t{n % 2}" for n, row in enumerate(words)]
    (tmp_path / "data.tsv").write_text("\n".join(lines), "utf-8")
    base, tuned, data = (str(tmp_path / name) for name in ("base", "tuned", "data.tsv"))
    spec = PruneSpec(model=tuned, base=base, keep=0.2, evaluation=data)
    run = prune(spec, out=tmp_path / "run")
    # 3 to 6 words and two marks: 6.5 tokens on average
    flops = run.metrics["cost"]["flops"]
    assert (flops["tokens"], flops["tokens_from"]) == (6, "the mean of 40 sentences is 6.5")
    assert [line["batch"] for line in run.metrics["cost"]["latency"]] == [1, 32]
    examples = fitting_data(Path(tuned), data)
    judges = [Classifier.load(tuned), Classifier.load(run.save_pretrained(tmp_path / "pruned"))]
    dense, pruned = (classifier.predict(examples).correct for classifier in judges)
    assert accuracy_change(dense, pruned).items() <= run.metrics["pruned"]["versus_dense"].items()
    alone = cost_of_model(judges[0], examples, repeats=1)
    assert alone["flops"]["dense"] == flops["dense"]
    assert alone["parameters"]["total"] == run.totals["params"]
    assert judge(tuned, data)["cost"]["bytes"] == {"dense": run.metrics["cost"]["bytes"]["dense"]}
