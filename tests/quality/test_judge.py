"""Quality of a run against transformers itself on the folder that the run saves."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, Run, open_run, prune, select
from kencore.errors import (
    CheckpointChangedError,
    NonFiniteWeightError,
    RunExistsError,
    RunNotFoundError,
    SourceNotFoundError,
    TaskMismatchError,
)
from kencore.quality.judge import judge, save_metrics
from tests.support.classifiers import NAMES, WORDS, build, save_tokenizer


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(base, tuned, data): a tiny classifier, a moved copy of it, and labelled sentences."""
    folder = tmp_path_factory.mktemp("quality")
    model = build("bert", NAMES)
    for side in ("base", "tuned"):
        model.save_pretrained(folder / side)
        save_tokenizer(folder / side)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.4 * torch.randn(parameter.shape, generator=torch.Generator())
    words = torch.randint(len(WORDS), (80, 6), generator=torch.Generator().manual_seed(1))
    lines = [f"{' '.join(WORDS[i] for i in row)}\t{int(row[0]) % 2}" for row in words]
    (folder / "data.tsv").write_text("\n".join(lines), "utf-8")
    return folder / "base", folder / "tuned", folder / "data.tsv"


def accuracy(model: Path, data: Path) -> float:
    """By transformers alone."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network = AutoModelForSequenceClassification.from_pretrained(model).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    pairs = [line.split("\t") for line in data.read_text("utf-8").splitlines()]
    inputs = tokenizer([text for text, _ in pairs], padding=True, return_tensors="pt")
    with torch.inference_mode():
        found = network(**inputs).logits.argmax(1)
    return float((found == torch.tensor([int(label) for _, label in pairs])).float().mean())


def with_state(state: dict[str, torch.Tensor], like: Path, folder: Path) -> Path:
    shutil.copytree(like, folder)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def run(files: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    base, tuned, data = files
    spec = PruneSpec(model=str(tuned), base=str(base), keep=0.4, evaluation=str(data), baselines=True, seed=7)
    return prune(spec, out=tmp_path_factory.mktemp("runs") / "run")


def test_dense_pruned_and_base(run: Run, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, data = files
    metrics = run.metrics
    assert metrics["examples"] == 80
    assert len({metrics[which]["loss"] for which in ("dense", "pruned", "base")}) == 3
    assert metrics["dense"]["accuracy"] == pytest.approx(accuracy(tuned, data))
    pruned = run.save_pretrained(tmp_path / "pruned")
    assert metrics["pruned"]["accuracy"] == pytest.approx(accuracy(pruned, data))
    old = load_file(base / "model.safetensors") | {
        name: tensor for name, tensor in load_file(tuned / "model.safetensors").items() if run.owner(name) is None
    }
    reset = with_state(old, tuned, tmp_path / "reset")
    assert metrics["base"]["accuracy"] == pytest.approx(accuracy(reset, data))


def test_baselines_have_the_same_budget(run: Run, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, data = files
    assert set(run.metrics["baselines"]) == {"random", "magnitude", "delta"}
    new, old = load_file(tuned / "model.safetensors"), load_file(base / "model.safetensors")
    for rule in ("magnitude", "delta"):
        state = {}
        for name, weight in new.items():
            k = int(run.matrix(name)["k"])
            keep = select(weight, k, rule=rule, base=old[name])
            state[name] = torch.where(keep, weight, old[name])
        folder = with_state(state, tuned, tmp_path / rule)
        assert run.metrics["baselines"][rule]["accuracy"] == pytest.approx(accuracy(folder, data))


def test_the_random_baseline_is_the_random_run_of_the_same_seed(
    run: Run, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, data = files
    spec = PruneSpec(
        model=str(tuned), base=str(base), keep=0.4, method="random", seed=7, cost=False, evaluation=str(data)
    )
    other = prune(spec, out=tmp_path / "random")
    for figure in ("accuracy", "f1_macro", "loss"):
        assert run.metrics["baselines"]["random"][figure] == pytest.approx(other.metrics["pruned"][figure])


def test_a_run_can_be_measured_later_and_keeps_the_result(
    files: tuple[Path, Path, Path], run: Run, tmp_path: Path
) -> None:
    base, tuned, data = files
    spec = PruneSpec(model=str(tuned), base=str(base), keep=0.4)
    later = prune(spec, out=tmp_path / "later")
    assert later.metrics == {}
    found = judge(str(later.path), str(data), cost=False)
    assert open_run(later.path).metrics == {}
    judge(str(later.path), str(data), save=True)
    kept = open_run(later.path).metrics
    assert kept["pruned"]["accuracy"] == found["pruned"]["accuracy"]
    assert kept["pruned"]["accuracy"] == run.metrics["pruned"]["accuracy"]
    json.dumps(found, allow_nan=False)


def test_the_shipped_run_is_not_written_to() -> None:
    with pytest.raises(RunExistsError, match="It ships, or is shared"):
        judge("demo", "demo", save=True)


def test_labels_are_checked_before_anything_is_pruned(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, _ = files
    (tmp_path / "odd.tsv").write_text("a good film\t0\na bad film\t7\n")
    spec = PruneSpec(model=str(tuned), base=str(base), keep=0.4, evaluation=str(tmp_path / "odd.tsv"))
    said: list[str] = []
    with pytest.raises(TaskMismatchError, match="7 at example 2"):
        prune(spec, progress=lambda done, total, message: said.append(message))
    assert not any(message.startswith("Pruning") for message in said)


def test_pictures_of_a_changed_checkpoint_are_refused(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, _ = files
    moved = shutil.copytree(tuned, tmp_path / "tuned")
    run = prune(PruneSpec(model=str(moved), base=str(base), keep=0.4), out=tmp_path / "run")
    name = "bert.pooler.dense.weight"
    assert run.values(name).shape == run.shape(name)
    tensors = load_file(moved / "model.safetensors")
    tensors[name][0, 0] += 1
    save_file(tensors, moved / "model.safetensors", {"format": "pt"})
    again = open_run(run.path)
    with pytest.raises(CheckpointChangedError, match="other weights"):
        again.values(name)
    assert again.values("classifier.weight").shape == again.shape("classifier.weight")


def test_a_model_alone(files: tuple[Path, Path, Path]) -> None:
    _, tuned, data = files
    assert judge(str(tuned), str(data), cost=False)["accuracy"] == pytest.approx(accuracy(tuned, data))
    with pytest.raises((RunNotFoundError, SourceNotFoundError)):
        judge("./no-such-thing", str(data))


def test_a_base_too_large_for_the_tuned_dtype(tmp_path: Path) -> None:
    from tests.support.tiny_models import save_pair

    base, _ = save_pair("bert", tmp_path / "a", dtype=torch.bfloat16)
    _, tuned = save_pair("bert", tmp_path / "b", dtype=torch.float16)
    tensors = load_file(base / "model.safetensors")
    tensors["bert.pooler.dense.weight"][2, 1] = 1e6  # beyond float16
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(NonFiniteWeightError, match="row 2"):
        prune(PruneSpec(model=str(tuned), base=str(base), keep=0.5))


def test_a_run_of_other_weights_is_not_measured(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, data = files
    model = shutil.copytree(tuned, tmp_path / "tuned")
    run = prune(PruneSpec(model=str(model), base=str(base), keep=0.4), out=tmp_path / "run")
    shutil.copy(base / "model.safetensors", model / "model.safetensors")
    with pytest.raises(CheckpointChangedError):
        judge(str(run.path), str(data))


def test_measurements_saved_at_once_are_each_whole(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}", "utf-8")
    contents = [{str(i): "x" * 100_000} for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda metrics: save_metrics(tmp_path, metrics), contents * 4))
    assert json.loads((tmp_path / "metrics.json").read_text("utf-8")) in contents
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
