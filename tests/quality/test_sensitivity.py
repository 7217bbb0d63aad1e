"""What each matrix costs by itself: against transformers on files of our own, and shared out among processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from kencore import PruneSpec, Run, prune
from kencore.checkpoint.tensors import open_tensors
from kencore.cli.main import app
from kencore.errors import SpecError
from kencore.exports.export import export
from kencore.models.language import LanguageModel
from kencore.quality.sensitivity import sensitivity
from kencore.system.shard import Shard
from tests.support.classifiers import WORDS, save_tokenizer
from tests.support.tiny_models import save_pair

WINDOW, COUNT = 16, 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run of a tiny language model, and a text."""
    folder = tmp_path_factory.mktemp("sensitivity")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KENVIZ_HOME", str(folder / "home"))
        base, tuned = save_pair("llama", folder, change=0.3)
        for side in (base, tuned):
            save_tokenizer(side)
        words = torch.randint(len(WORDS), (300,), generator=torch.Generator().manual_seed(1))
        (folder / "text.txt").write_text(" ".join(WORDS[i] for i in words), "utf-8")
        spec = PruneSpec(model=str(tuned), base=str(base), keep=0.2, method="delta", window=WINDOW, windows=COUNT)
        return prune(spec, out=folder / "run"), folder / "text.txt"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))


def nll(network: Any, folder: Path, text: Path) -> float:
    tokens = AutoTokenizer.from_pretrained(folder)(text.read_text())["input_ids"]
    rows = [torch.tensor([tokens[i * WINDOW : (i + 1) * WINDOW]]) for i in range(COUNT)]
    with torch.no_grad():
        return float(np.mean([float(network(input_ids=row, labels=row).loss) for row in rows]))


def untimed(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: untimed(value) for name, value in found.items() if name != "seconds"}
    return [untimed(one) for one in found] if isinstance(found, list) else found


def test_one_matrix_is_pruned_and_all_others_are_dense(made: tuple[Run, Path], tmp_path: Path) -> None:
    run, text = made
    found = sensitivity(run, str(text), threads=1)
    assert [line["name"] for line in found["matrices"]] == list(run.pruned)
    assert (found["windows"], found["window"]) == (COUNT, WINDOW)
    folder = Path(run.spec.model)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    dense = nll(network, folder, text)
    assert found["dense"]["nll"] == pytest.approx(dense, abs=1e-5)
    export(str(run.path), tmp_path / "exported")
    pruned = load_file(tmp_path / "exported" / "model.safetensors")
    with open_tensors(folder) as tensors:
        original = {name: torch.from_numpy(tensors.raw(name).copy()).view(torch.float32) for name in run.pruned}
    parameters = dict(network.named_parameters())
    changed = 0
    for line in found["matrices"]:
        name = line["name"]
        with torch.no_grad():
            parameters[name].copy_(pruned[name])
        alone = nll(network, folder, text)
        with torch.no_grad():
            parameters[name].copy_(original[name].reshape(parameters[name].shape))
        assert line["nll_change"] == pytest.approx(alone - dense, abs=2e-5), name
        assert line["nll_change_low"] <= line["nll_change"] <= line["nll_change_high"]
        assert (line["kept"], line["params"]) == (run.matrix(name)["kept"], run.matrix(name)["params"])
        changed += abs(line["nll_change"]) > 1e-4
    assert changed > 3


def test_shards_make_it_together_and_nothing_is_measured_twice(
    made: tuple[Run, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, text = made
    alone = sensitivity(run, str(text), threads=1)
    passes: list[int] = []
    part = LanguageModel.part

    def counted(self: Any, *given: Any, **more: Any) -> Any:
        passes.append(1)
        return part(self, *given, **more)

    monkeypatch.setattr(LanguageModel, "part", counted)
    shared = tmp_path / "shared"
    shared.mkdir()
    for i in range(3):
        sensitivity(run, str(text), threads=1, shard=Shard(index=i, count=3), shared=shared)
    assert len(passes) == len(run.pruned) + 3  # and the dense model by each
    passes.clear()
    sensitivity(run, str(text), threads=1, shard=Shard(index=1, count=3), shared=shared)
    whole = sensitivity(run, str(text), threads=1, shared=shared)
    assert passes == []
    assert untimed(whole) == untimed(json.loads(json.dumps(alone)))
    next(iter(sorted(shared.glob("*.json")))).write_text("{")  # damaged: measured again
    assert untimed(sensitivity(run, str(text), threads=1, shared=shared)) == untimed(whole)
    assert len(passes) in (1, 2)
    sensitivity(run, str(text), windows=2, threads=1, shared=shared)  # other data are other work
    assert len(passes) > len(run.pruned)


def test_the_command_says_what_costs_most_first(made: tuple[Run, Path]) -> None:
    run, text = made
    told = CliRunner().invoke(app, ["sensitivity", str(run.path), "--data", str(text), "--windows", "3"])
    assert told.exit_code == 0, told.output
    rows = [line.split() for line in told.output.splitlines() if line.startswith("model.")]
    changes = [float(row[2]) for row in rows]
    assert changes == sorted(changes, reverse=True)
    assert {row[0] for row in rows} <= set(run.pruned)
    said = CliRunner().invoke(app, ["sensitivity", str(run.path), "--data", str(text), "--windows", "3", "--json"])
    worst = max(json.loads(said.stdout)["matrices"], key=lambda line: line["nll_change"])
    assert rows[0][0] == worst["name"]


def test_a_classifier_and_a_run_that_was_never_measured(made: tuple[Run, Path]) -> None:
    found = sensitivity("demo", "demo", threads=1, shard=Shard(index=0, count=12))
    assert {"accuracy_change", "mcnemar_p", "kl"} <= found["matrices"][0].keys()
    with pytest.raises(SpecError, match="was not measured"):
        sensitivity(made[0])
