"""Zero-shot tasks before and after pruning, and from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kencore import PruneSpec, Run, open_run, prune
from kencore.cli.main import app
from kencore.errors import RunExistsError, SpecError, TaskMismatchError
from kencore.models.language import LanguageModel
from kencore.quality.judge import judge
from kencore.quality.paired import accuracy_change
from kencore.quality.zero_shot import judge_all, judge_zero_shot, opened, zero_shot
from tests.quality.test_zero_shot import write_task
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer, write_text

runner = CliRunner()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, str]:
    """(run without quality, text, task file) of a tiny LLaMA pruned to zero."""
    folder = tmp_path_factory.mktemp("zero-shot")
    model = add_tokenizer(save_pair("llama", folder, change=0.5)[1])
    run = prune(PruneSpec(model=str(model), keep=0.2, method="magnitude"), out=folder / "runs" / "run")
    text = write_text(folder / "text.txt", 200)
    (folder / "task").mkdir()
    return run, text, str(write_task(folder / "task"))


def measured(folder: Path, task: str) -> Any:
    with opened([task]) as tasks:
        return zero_shot(LanguageModel.load(folder), tasks)["film"]


def test_dense_and_pruned_on_the_same_examples(made: tuple[Run, Path, str], tmp_path: Path) -> None:
    run, _, task = made
    said: list[float] = []
    found = judge_zero_shot(str(run.path), [task], progress=lambda done, total, message: said.append(done / total))
    dense = measured(Path(run.tuned_tensors.folder), task)
    pruned = measured(run.save_pretrained(tmp_path / "pruned"), task)
    assert found["dense"]["film"]["acc"] == dense["acc"]
    assert found["pruned"]["film"]["acc"] == pruned["acc"]
    change = accuracy_change(dense.outcomes, pruned.outcomes)
    assert found["pruned"]["film"]["versus_dense"] == change
    assert change["lost"] + change["won"] > 0
    assert (found["tasks"], found["limit"], found["run"]) == (["film"], None, run.id)
    assert said == sorted(said)
    json.dumps(found, allow_nan=False)


def test_a_model_alone(made: tuple[Run, Path, str]) -> None:
    run, _, task = made
    model = str(run.tuned_tensors.folder)
    found = judge_zero_shot(model, [task], limit=5)
    assert found["model"] == model
    assert found["dense"]["film"]["examples"] == 5
    assert "pruned" not in found


def test_what_is_kept_in_a_run(made: tuple[Run, Path, str], tmp_path: Path) -> None:
    run, text, task = made
    copy = Path(shutil.copytree(run.path, tmp_path / "run"))
    with pytest.raises(TaskMismatchError, match="no quality measured yet"):
        judge_zero_shot(str(copy), [task], limit=4, save=True)
    judge_all(str(copy), str(text), [task], limit=4, save=True, windows=2)
    kept = open_run(copy).metrics
    assert kept["zero_shot"]["dense"]["film"]["examples"] == 4
    assert kept["windows"] == 2
    judge(str(copy), str(text), windows=3, save=True)  # another text does not change the tasks
    again = open_run(copy).metrics
    assert (again["windows"], again["zero_shot"]) == (3, kept["zero_shot"])
    judge_zero_shot(str(copy), [task], limit=6, save=True)
    last = open_run(copy).metrics
    assert (last["zero_shot"]["limit"], last["pruned"]) == (6, again["pruned"])
    with pytest.raises(RunExistsError, match="It ships, or is shared"):
        judge_zero_shot("demo-lm", [task], save=True)
    with pytest.raises(TaskMismatchError, match="a model"):
        judge_zero_shot(str(run.tuned_tensors.folder), [task], save=True)


def test_what_cannot_be_asked(made: tuple[Run, Path, str]) -> None:
    run, _, task = made
    with pytest.raises(SpecError, match="neither"):
        judge_all(str(run.path), None, [])
    with pytest.raises(SpecError, match="1 or more"):
        judge_zero_shot(str(run.path), [task], limit=0)
    with pytest.raises(TaskMismatchError, match="a causal language model"):
        judge_zero_shot("demo", [task])


# --- the command line -------------------------------------------------------------------------


def told(*arguments: str) -> str:
    done = runner.invoke(app, list(arguments))
    assert done.exit_code == 0, (done.stdout, done.stderr)
    return done.stdout


def test_tasks_from_the_command_line(made: tuple[Run, Path, str]) -> None:
    run, text, task = made
    asked = ("evaluate", str(run.path), "--tasks", task, "--limit", "8")
    found = json.loads(told(*asked, "--json"))
    shown = told(*asked)
    assert set(found) == {"run", "zero_shot"}
    assert "the first 8 examples of each" in shown
    for state in ("dense", "pruned"):
        acc = found["zero_shot"][state]["film"]["acc"]
        assert f"film           {state:<7} acc {acc:.2%} (" in shown
    assert "points against dense" in shown
    both = told(*asked, "--data", str(text), "--windows", "3")
    assert "Perplexity on 3 windows" in both
    assert "Zero-shot, lm-evaluation-harness 0.4" in both


def test_quality_and_cost_from_the_command_line(made: tuple[Run, Path, str]) -> None:
    run, text, _ = made
    asked = ("evaluate", str(run.path), "--data", str(text), "--windows", "4")
    found = json.loads(told(*asked, "--json"))
    shown = told(*asked)
    low, high = (found["pruned"][f"perplexity_{end}"] for end in ("low", "high"))
    assert f"({low:,.2f} to {high:,.2f})" in shown
    assert f"{found['pruned']['versus_dense']['nll_change']:+.4f} nats against dense" in shown
    size, count = found["cost"]["bytes"], found["cost"]["parameters"]
    assert f"{size['dense']:,} bytes dense, {size['subnetwork']:,} as a subnetwork file" in shown
    assert f"{count['kept']:,} of {count['in_pruned_tensors']:,} in pruned tensors kept" in shown
    assert "a pass     batch 1: dense" in shown
    assert "do not speed up dense kernels" in shown


def test_a_run_from_before_there_were_costs(tmp_path: Path) -> None:
    """The demo runs as they ship, or as they were: no costs, few intervals."""
    from kencore.cli.prune import pruned, run_facts

    old = {
        "dense": {"perplexity": 23.3, "nll": 3.15, "tokens": 100},
        "baselines": {},
        "pruned": {"perplexity": 33.3, "nll": 3.5, "tokens": 100},
        "task": "language",
        "window": 256,
        "windows": 103,
        "data": "pydoc",
    }
    shown = pruned(run_facts(open_run("demo-lm")) | {"metrics": old})
    assert "dense      perplexity 23.30  3.1500 nats" in shown
    assert "Cost" not in shown
