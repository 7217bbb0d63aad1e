"""A tuned run on disk: what it says of itself, how it learned, and what goes wrong in words."""

from __future__ import annotations

import gc
import json
import math
import shutil
import weakref
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from kencore import Run, open_run
from kencore.cli.main import app
from kencore.data.examples import read_examples
from kencore.errors import (
    AdapterError,
    CheckpointChangedError,
    DataFileError,
    DivergedError,
    KencoreError,
    NonFiniteWeightError,
    NotALanguageModelError,
    OverlapError,
    RunExistsError,
    RunNotFoundError,
    SpecError,
    TaskMismatchError,
    TextTooShortError,
    WindowError,
)
from kencore.jobs.kinds import KINDS
from kencore.models.classifier import Classifier
from kencore.models.language import LanguageModel, read_windows
from kencore.quality.judge import judge
from kencore.recovery import RecoverSpec, recover
from kencore.recovery.data import keys, read_material
from kencore.recovery.gap import gap_of
from kencore.runs.shelf import list_runs, summarise
from tests.support.lost import check_lost
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import write_text
from tests.support.tuned_cases import WINDOW, make_run, tuned_run, write_data, write_sentences

runner = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuned")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return write_data(folder, "bert")


@pytest.fixture(scope="module")
def judged(folder: Path) -> Path:
    return write_sentences(folder / "judged.tsv", 60, seed=9)


@pytest.fixture(scope="module")
def run(folder: Path, judged: Path) -> Run:
    return make_run(folder / "bert", evaluation=str(judged), baselines=False)


@pytest.fixture(scope="module")
def points() -> list[dict[str, Any]]:
    return []


@pytest.fixture(scope="module")
def tuned(run: Run, data: Path, folder: Path, points: list[dict[str, Any]]) -> Run:
    asked = {"steps": 60, "batch": 16, "every": 20, "evaluation": "run", "cost": True, "sample": 40}
    return tuned_run(run, data, folder / "tuned", on_point=points.append, **asked)


@pytest.fixture(scope="module")
def text(folder: Path) -> Path:
    return write_text(folder / "text.txt", 150 * WINDOW)


@pytest.fixture(scope="module")
def language(folder: Path, text: Path) -> Run:
    return make_run(
        folder / "llama",
        "llama",
        restore="zero",
        method="wanda",
        calibration=str(text),
        sequences=4,
        evaluation=str(text),
        allocation="owl",
    )


# --- what it says of itself ---------------------------------------------------------------------


def test_it_learns_and_says_how(run: Run, tuned: Run, points: list[dict[str, Any]]) -> None:
    told = tuned.tuning
    assert told is not None
    assert told["curve"] == points
    assert [point["step"] for point in points] == list(range(61))
    checks = [point for point in points if "held_out_loss" in point]
    assert [point["step"] for point in checks] == [0, 20, 40, 60]
    assert all(0 <= point["held_out_accuracy"] <= 1 for point in checks)
    losses = [point["train_loss"] for point in points[1:]]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    assert checks[-1]["held_out_loss"] < 0.7 * checks[0]["held_out_loss"]
    best = min(checks, key=lambda point: point["held_out_loss"])
    assert (told["best_step"], told["best_held_out_loss"]) == (best["step"], best["held_out_loss"])
    assert (told["steps"], told["steps_asked"]) == (60, 60)
    assert told["parent"] == {"id": run.id, "folder": str(run.path.resolve())}
    assert told["train"]["count"] + told["held_out"]["count"] == 300
    assert RecoverSpec.from_dict(told["asked"]).run == str(run.path)
    assert RecoverSpec.from_dict(told["spec"]).batch == 16


def test_it_has_the_masks_and_tables_of_its_parent(run: Run, tuned: Run) -> None:
    for name in ("masks.safetensors", "spec.json"):
        assert (run.path / name).read_bytes() == (tuned.path / name).read_bytes()
    pd.testing.assert_frame_equal(*(one.matrices.drop(columns="diff_lost") for one in (run, tuned)))
    check_lost(run)
    check_lost(tuned)
    for name in run.pruned:
        assert run.rows(name).equals(tuned.rows(name))
    assert summarise(tuned.path).label == f"{summarise(run.path).label} · 60 steps of recovery"
    assert tuned.record["tuned"] == {"from": run.id, "steps": 60, "best_step": tuned.record["tuned"]["best_step"]}


def test_quality_before_and_after_is_that_of_the_weights(run: Run, tuned: Run, judged: Path, tmp_path: Path) -> None:
    metrics = tuned.metrics
    for step, source in (("untuned", run), ("pruned", tuned)):
        model = Classifier.load(source.save_pretrained(tmp_path / step), threads=1)
        found = model.quality(read_examples(judged))
        assert metrics[step]["loss"] == pytest.approx(found["loss"], rel=1e-5)
        assert metrics[step]["accuracy"] == found["accuracy"]
        assert "versus_dense" in metrics[step]
    assert metrics["untuned"]["loss"] == pytest.approx(run.metrics["pruned"]["loss"], rel=1e-5)
    assert metrics["pruned"]["loss"] < metrics["untuned"]["loss"]
    assert {"dense", "base"} <= metrics.keys()
    assert set(metrics["baselines"]) == {"random", "delta"}


def test_the_gap_is_measured_on_the_weights_before_and_after(run: Run, tuned: Run, data: Path, tmp_path: Path) -> None:
    told = tuned.tuning
    assert told is not None
    material = read_material(run, RecoverSpec.from_dict(told["asked"]))
    assert set(keys(material.train)).isdisjoint(keys(material.held_out))
    assert material.facts() == {side: told[side] for side in ("train", "held_out")}
    folders = {
        "dense": Path(run.tuned_tensors.folder),
        "untuned": run.save_pretrained(tmp_path / "untuned"),
        "tuned": tuned.save_pretrained(tmp_path / "tuned"),
    }
    for step, folder in folders.items():
        found = Classifier.load(folder, threads=1).quality(material.held_out)  # type: ignore[arg-type]
        assert told["gap"][step]["held_out"]["examples"] == 30  # all of them: below the sample
        assert told["gap"][step]["held_out"]["loss"] == pytest.approx(found["loss"], rel=1e-5)
        assert told["gap"][step]["train"]["examples"] == 40
        sides = (told["gap"][step][side] for side in ("train", "held_out"))
        assert gap_of(*sides).items() <= told["gap"][step].items()


def test_measuring_again_keeps_what_was_before_tuning(tuned: Run, judged: Path, data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tuned.path, tmp_path / "copy"))
    judge(str(copy), str(judged), cost=False, save=True, threads=1)
    assert open_run(copy).metrics["untuned"] == tuned.metrics["untuned"]
    assert open_run(copy).metrics["baselines"] == tuned.metrics["baselines"]
    judge(str(copy), str(data), cost=False, save=True, threads=1)
    assert "untuned" not in open_run(copy).metrics


def test_a_language_model_learns_and_is_judged_on_windows_that_it_has_not_read(
    language: Run, text: Path, tmp_path: Path
) -> None:
    tuned = tuned_run(language, text, tmp_path / "out", steps=40, batch=8, evaluation="run")
    told = tuned.tuning
    assert told is not None
    assert told["task"] == "language"
    assert (told["train"]["count"], told["held_out"]["count"]) == (135, 15)
    assert told["train"]["window"] == WINDOW
    assert "135 of 150 windows" in tuned.record["notes"][-2]
    assert "Input norms" in tuned.record["notes"][-1]
    metrics = tuned.metrics
    assert metrics["windows"] == 15
    assert metrics["pruned"]["nll"] < metrics["untuned"]["nll"]
    gap = told["gap"]["tuned"]
    assert gap["gap"] == pytest.approx(gap["held_out"]["nll"] - gap["train"]["nll"])
    model = LanguageModel.load(tuned.save_pretrained(tmp_path / "model"), threads=1)
    found = model.quality(read_windows(tmp_path / "model", text, window=WINDOW, limit=12))
    assert math.isfinite(found["nll"])
    assert "held_out_perplexity" in told["curve"][0]


def test_how_the_data_were_read_is_said_and_recorded(run: Run, language: Run, data: Path, folder: Path) -> None:
    """Of what is learned from, of what is held out where it differs, and of what it is judged on."""
    wide = folder / "wide.tsv"
    wide.write_bytes(data.read_text("utf-8").encode("utf-16"))
    text = folder / "wide.txt"
    text.write_bytes((folder / "text.txt").read_text("utf-8").encode("utf-16"))
    found = read_material(run, RecoverSpec(run=str(run.path), data=str(wide), evaluation=None))
    assert [note for note in found.notes if "UTF-16" in note] == ["Training data: Read as UTF-16-LE."]
    assert sum(note.startswith("Training data: Labels: label 0 = class") for note in found.notes) == 1
    assert not any(note.startswith("Held-out") for note in found.notes)
    apart = RecoverSpec(run=str(run.path), data=str(data), held_out=str(wide), evaluation=str(wide))
    with pytest.raises(OverlapError):
        read_material(run, apart)
    windows = RecoverSpec(run=str(language.path), data=str(text), window=WINDOW, evaluation=str(text))
    found = read_material(language, windows)
    assert "Training data: Read as UTF-16-LE." in found.notes
    assert found.evaluation is not None
    assert found.evaluation.notes == ("Read as UTF-16-LE.",)


def test_baselines_of_pruning_are_taken_over_where_the_data_are_the_same(
    language: Run, text: Path, tmp_path: Path
) -> None:
    other = write_text(tmp_path / "other.txt", 60 * WINDOW, seed=4)
    assert "uniform" in language.metrics["baselines"]  # takes the calibration streams
    spec = {"steps": 2, "evaluation": "run", "batch": 2}
    tuned = tuned_run(language, other, tmp_path / "out", **spec)
    assert tuned.metrics["data_sha256"] == language.metrics["data_sha256"]
    assert tuned.metrics["baselines"].keys() == language.metrics["baselines"].keys()
    assert tuned.metrics["baselines"]["uniform"] == language.metrics["baselines"]["uniform"]
    assert "trace.json" in {path.name for path in tuned.path.iterdir()}


def test_patience_stops_early_and_the_best_weights_are_kept(run: Run, folder: Path) -> None:
    noise = folder / "noise.tsv"
    lines = write_sentences(folder / "plain.tsv", 40, seed=3).read_text().splitlines()
    noise.write_text("\n".join(f"{line[:-1]}{(i * 7) % 2}" for i, line in enumerate(lines)))
    tuned = tuned_run(run, noise, folder / "early", steps=400, every=5, patience=3, schedule="constant")
    told = tuned.tuning
    assert told is not None
    assert told["stopped_early"]
    assert told["steps"] == told["best_step"] + 15 < 400
    checks = [point for point in told["curve"] if "held_out_loss" in point]
    assert min(point["held_out_loss"] for point in checks) == told["best_held_out_loss"]
    measured = told["gap"]["tuned"]["held_out"]["loss"]
    assert measured == pytest.approx(told["best_held_out_loss"], rel=1e-5)


def test_one_model_is_in_memory_at_a_time(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[torch.nn.Parameter]] = []
    alive: list[int] = []
    load = Classifier.load

    def watched(*args: Any, **settings: Any) -> Classifier:
        gc.collect()
        alive.append(sum(parameter() is not None for parameter in loaded))
        found = load(*args, **settings)
        loaded.extend(weakref.ref(parameter) for parameter in found.model.parameters())
        return found

    monkeypatch.setattr(Classifier, "load", watched)
    tuned_run(run, data, tmp_path / "run", steps=2, evaluation="run", baselines=False)
    assert alive == [0, 0]  # to tune it, and to judge what came of it


def test_the_same_settings_are_the_same_bytes(run: Run, data: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    runs = [tuned_run(run, data, tmp_path / name, steps=6) for name in "ab"]
    assert torch.equal(torch.random.get_rng_state(), before)  # the caller's own is as it was
    for name in ("values.safetensors", "masks.safetensors"):
        assert (runs[0].path / name).read_bytes() == (runs[1].path / name).read_bytes()
    other = tuned_run(run, data, tmp_path / "c", steps=6, seed=1)
    assert runs[0].path.joinpath("values.safetensors").read_bytes() != (other.path / "values.safetensors").read_bytes()


# --- by the command line and by the worker ------------------------------------------------------


def test_the_command_line(run: Run, data: Path, judged: Path, home: Path) -> None:
    asked = [
        "recover",
        str(run.path),
        "--data",
        str(data),
        "--steps",
        "6",
        "--batch",
        "8",
        "--lr",
        "1e-3",
        "--sample",
        "20",
        "--no-baselines",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    done = runner.invoke(app, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    tuned = open_run(facts["run"])
    assert facts["run"].startswith("tuned-magnitude-0.4-")
    assert facts["tuning"] == tuned.tuning
    assert facts["metrics"] == tuned.metrics
    assert facts["run"] in [line.id for line in list_runs()]
    assert not list((home / "tuning").glob("*"))
    plain = runner.invoke(app, asked)
    assert "for 6 steps of 6; kept step" in plain.stdout
    assert "pruned values are unchanged, bit for bit" in plain.stdout
    assert "  tuned " in plain.stdout
    assert "Recovery won back" in plain.stdout
    assert "  untuned " in plain.stdout


def test_the_worker_tells_points_as_they_come(run: Run, data: Path) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    class Told:
        threads = 1

        def __init__(self, out: Path) -> None:
            self.out = out
            out.mkdir()

        def set_device(self, device: str) -> None:
            seen.append(("device", {"is": device}))

        def progress(self, done: float, total: float, message: str) -> None:
            assert 0 <= done <= total

        def event(self, kind: str, data: dict[str, Any]) -> None:
            seen.append((kind, json.loads(json.dumps(data, allow_nan=False))))

    params = {"run": str(run.path), "data": str(data), "steps": 3, "evaluation": None, "sample": 10, "device": "cpu"}
    kind = KINDS["tune"]
    kind.check(params)
    with pytest.raises(SpecError):
        kind.check({**params, "colour": "red"})
    told = Told(run.path.parent / "job")
    kind.load()(params, told)  # type: ignore[arg-type]
    tuned = open_run(told.out)
    assert tuned.tuning is not None
    assert [data for kind, data in seen if kind == "point"] == tuned.tuning["curve"]


def test_help_names_every_setting() -> None:
    from dataclasses import fields

    from typer.main import get_command

    command = get_command(app).commands["recover"]  # type: ignore[attr-defined]
    options = {option.lstrip("-") for parameter in command.params for option in parameter.opts}
    assert {field.name.replace("_", "-") for field in fields(RecoverSpec)} - options == set()


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"run": "no-such-run"}, RunNotFoundError, "no such run"),
        ({"data": "pydoc"}, NotALanguageModelError, "text without labels"),
        ({"data": "no.tsv"}, DataFileError, "no.tsv"),
        ({"data": "ONE"}, DataFileError, "at least two that differ"),
        ({"data": "LABELS"}, TaskMismatchError, "'blue'"),
        ({"held_out": "DATA"}, OverlapError, "held-out data"),
        ({"evaluation": "INNER", "data": "DATA", "held_out": "JUDGED"}, OverlapError, "evaluation"),
        ({"evaluation": "no.tsv"}, DataFileError, "no.tsv"),
        ({"lr": 1.0, "clip": None, "steps": 60, "weight_decay": 0.9}, DivergedError, "Step "),
    ],
)
def test_each_mistake_has_its_message_and_leaves_nothing(
    settings: dict[str, Any],
    error: type[KencoreError],
    words: str,
    run: Run,
    data: Path,
    judged: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {"DATA": data, "JUDGED": judged}
    for name, content in (
        ("ONE", "w5\t1\nw5 \t0"),
        ("LABELS", "w4\tblue\nw5\tred"),
        ("INNER", "\n".join(data.read_text().splitlines()[:3])),
    ):
        files[name] = tmp_path / f"{name}.tsv"
        files[name].write_text(content)
    asked = {
        key: str(files.get(str(value), value)) if isinstance(value, str) else value for key, value in settings.items()
    }
    if error is DivergedError:
        from kencore.recovery.tasks import Sentences

        losses = Sentences.losses
        monkeypatch.setattr(
            Sentences, "losses", lambda self, batch: (part * 1e38 * 1e38 for part in losses(self, batch))
        )
        asked["save_every"] = 1
    with pytest.raises(error, match=words):
        tuned_run(run, data, tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()
    assert [path for path in tmp_path.iterdir() if path.suffix != ".tsv"] == []
    assert [path for path in home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"data": "demo"}, TaskMismatchError, "labeled sentences"),
        ({"data": "no.txt"}, DataFileError, "no.txt"),
        ({"data": "SHORT"}, TextTooShortError, "tokens"),
        ({"window": 999}, WindowError, "999 tokens"),
        ({"held_out": "TEXT"}, OverlapError, "100% of its lines"),
        ({"data": "OTHER", "held_out": "TEXT", "evaluation": "OTHER", "window": 10}, OverlapError, "evaluation"),
    ],
)
def test_each_mistake_with_a_text_too(
    settings: dict[str, Any], error: type[KencoreError], words: str, language: Run, text: Path, tmp_path: Path
) -> None:
    files = {
        "TEXT": text,
        "SHORT": write_text(tmp_path / "short.txt", 5),
        "OTHER": write_text(tmp_path / "other.txt", 300, seed=8),
    }
    asked = {
        key: str(files.get(str(value), value)) if isinstance(value, str) else value for key, value in settings.items()
    }
    with pytest.raises(error, match=words):
        tuned_run(language, text, tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()


def test_an_adapter_is_no_run(tmp_path: Path, data: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(AdapterError, match="undo the mask"):
        recover(RecoverSpec(run=str(tmp_path), data=str(data)))


def test_a_place_that_is_taken_is_told_before_anything_is_loaded(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("mine")
    monkeypatch.setattr(Classifier, "load", None)
    with pytest.raises(RunExistsError):
        tuned_run(run, data, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def test_a_checkpoint_that_changed_is_refused(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    save_pair("bert", tmp_path, seed=7)
    with pytest.raises(CheckpointChangedError):
        tuned_run(open_run(run.path), data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_values_beyond_the_dtype_on_disk_are_refused(data: Path, tmp_path: Path) -> None:
    from kencore.quality.states import pruned_state
    from kencore.recovery.hold import Hold

    run = make_run(tmp_path, dtype=torch.float16)
    model = Classifier.load(run.tuned_tensors.folder, threads=1)
    for name, tensor in pruned_state(run):
        model.replace({name: tensor})
    hold = Hold(model, run, "all")
    name = run.pruned[0]
    hold.trained[hold.places[name].parameter].data.fill_(70_000.0)
    with pytest.raises(NonFiniteWeightError, match="F16"):
        hold.stored(name)
