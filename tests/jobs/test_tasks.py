"""The jobs people start, on the demo, in processes forked from one that has torch loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kencore import PruneSpec, jobs, open_run, prune
from kencore.data.examples import read_examples
from kencore.errors import SpecError
from kencore.explain import ExplainSpec, explain, open_explanation
from kencore.jobs.kinds import KINDS
from kencore.models.classifier import Classifier
from kencore.runs.flips import read_flips
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer, write_text

from .conftest import settle_in
from .helpers import finished, half_written, until

DEMO = Path(__file__).parents[2] / "assets" / "demo"
TUNED = str(DEMO / "encoder" / "tuned")
SENTENCES = "sentence\tlabel\nA warm and funny film.\t1\nDull from start to end.\t0\n"


@pytest.fixture(scope="module")
def loaded_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store whose supervisor has torch loaded; it ends with the tests of this file."""
    folder = tmp_path_factory.mktemp("loaded-store")
    yield folder
    with pytest.MonkeyPatch.context() as monkeypatch:
        settle_in(monkeypatch, folder)
        jobs.shutdown()


@pytest.fixture
def loaded(loaded_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settle_in(monkeypatch, loaded_folder)
    monkeypatch.setenv("KENVIZ_PRELOAD", "1")
    return loaded_folder


def test_a_run_of_the_worker_is_a_run_of_the_library(loaded: Path, tmp_path: Path) -> None:
    spec = {"model": "demo", "keep": 0.25, "scope": ["attention"]}
    job = jobs.submit("prune", spec)
    seen = until(lambda: (s := jobs.status(job)).device and s, "the device")
    assert "cpu" in seen.device
    done = finished(job)
    assert done.state == "succeeded", jobs.log(job)
    assert jobs.result(job) == loaded / "runs" / job
    assert half_written(loaded) == []
    assert open_run(job).spec == PruneSpec.from_dict(spec)
    here = prune(PruneSpec.from_dict(spec), out=tmp_path / "here")
    assert (jobs.result(job) / "masks.safetensors").read_bytes() == (here.path / "masks.safetensors").read_bytes()


def test_a_sentence_is_explained_once_for_the_same_request(loaded: Path) -> None:
    asked = {"run": "demo", "text": "A warm and funny film."}
    job = jobs.submit("explain", asked, request_key="sentence")
    assert finished(job).state == "succeeded", jobs.log(job)
    assert jobs.submit("explain", asked, request_key="sentence") == job
    found = open_explanation(jobs.result(job))
    here = explain(ExplainSpec(**asked))
    assert found.facts["answers"] == [
        {name: value if isinstance(value, str) else pytest.approx(value, abs=1e-6) for name, value in answer.items()}
        for answer in here.facts["answers"]
    ]
    with pytest.raises(SpecError, match="a sentence"):
        jobs.submit("explain", asked | {"text": " "})


def test_changed_answers_and_continuations_are_those_of_the_library(loaded: Path) -> None:
    jobs_asked = {
        "flips": jobs.submit("flips", {"run": "demo", "baselines": False}),
        "continue": jobs.submit("continue", {"run": "demo-lm", "text": "The function returns", "tokens": 3}),
    }
    for job in jobs_asked.values():
        assert finished(job).state == "succeeded", jobs.log(job)
    found, shipped = (read_flips(folder) for folder in (jobs.result(jobs_asked["flips"]), open_run("demo").path))
    assert found is not None
    assert shipped is not None
    assert found.facts["right_wrong"] == shipped.facts["right_wrong"]
    assert set(found.table["text"]) == set(shipped.table["text"])
    told = json.loads((jobs.result(jobs_asked["continue"]) / "result.json").read_text())
    assert len(told["dense"]) == len(told["pruned"]) == 3


def test_a_model_is_inspected_and_measured(loaded: Path, tmp_path: Path) -> None:
    file = tmp_path / "examples.tsv"
    file.write_text(SENTENCES)
    look = jobs.submit("inspect", {"model": "demo", "base": "demo-base"})
    measure = jobs.submit("evaluate", {"model": TUNED, "examples": str(file)})
    assert finished(look).state == "succeeded", jobs.log(look)
    told = json.loads((jobs.result(look) / "result.json").read_text())
    assert told["blocks"] >= 1
    assert finished(measure).state == "succeeded", jobs.log(measure)
    quality = json.loads((jobs.result(measure) / "result.json").read_text())
    classifier = Classifier.load(DEMO / "encoder" / "tuned", device="cpu", threads=1)
    here = classifier.quality(read_examples(str(file)))
    assert quality["accuracy"] == here["accuracy"]
    assert quality["loss"] == pytest.approx(here["loss"], rel=1e-5)


def test_a_run_is_measured_and_keeps_the_result(loaded: Path, tmp_path: Path) -> None:
    file = tmp_path / "examples.tsv"
    file.write_text(SENTENCES)
    run = prune(PruneSpec(model="demo", keep=0.5))
    asked = {"model": run.id, "examples": str(file), "save": True, "baselines": True}
    done = finished(jobs.submit("evaluate", asked))
    assert done.state == "succeeded", jobs.log(done.id)
    told = json.loads((jobs.result(done.id) / "result.json").read_text())
    kept = open_run(run.id).metrics
    assert told == {"run": run.id, "method": "ken", **kept}
    assert set(kept["baselines"]) == {"random", "magnitude", "delta"}


def test_a_language_model_is_pruned_and_measured_by_the_worker(loaded: Path, tmp_path: Path) -> None:
    model = add_tokenizer(save_pair("llama", tmp_path)[1])
    text = str(write_text(tmp_path / "text.txt", 900))
    spec = {
        "model": str(model),
        "method": "wanda",
        "allocation": "neuroal",
        "keep": 0.3,
        "calibration": text,
        "sequences": 4,
        "search_sequences": 2,
        "window": 12,
        "fast": True,
    }
    job = jobs.submit("prune", spec)
    assert finished(job).state == "succeeded", jobs.log(job)
    run = open_run(job)
    assert run.spec == PruneSpec.from_dict(spec)
    assert run.totals["reset"] == int(0.7 * run.totals["pruned"] + 0.5)
    asked = {"model": job, "examples": text, "window": 10, "windows": 3, "save": True}
    measure = finished(jobs.submit("evaluate", asked))
    assert measure.state == "succeeded", jobs.log(measure.id)
    kept = open_run(job).metrics
    assert json.loads((jobs.result(measure.id) / "result.json").read_text()) == {"run": job, "method": "wanda", **kept}
    assert (kept["task"], kept["window"], kept["windows"]) == ("language", 10, 3)


def test_a_run_is_exported_in_every_form(loaded: Path) -> None:
    run = prune(PruneSpec(model="demo", keep=0.5, scope=("attention",)))
    for form, zstd, name in (
        ("folder", False, f"{run.id}-pruned"),
        ("subnetwork", True, f"{run.id}.subnetwork.safetensors.zst"),
        ("masks", False, f"{run.id}.masks.safetensors"),
    ):
        done = finished(jobs.submit("export", {"run": run.id, "form": form, "zstd": zstd}))
        assert done.state == "succeeded", jobs.log(done.id)
        told = json.loads((jobs.result(done.id) / "result.json").read_text())
        place = jobs.result(done.id) / told["folder" if form == "folder" else "file"]
        assert place.name == name
        files = list(place.iterdir()) if form == "folder" else [place]
        assert told["bytes"] == sum(file.stat().st_size for file in files) > 0
    assert half_written(loaded) == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "settings: no run"),
        ({"run": "r", "path": "/"}, "settings: unknown path"),
        ({"run": " "}, "run: nothing"),
        ({"run": "r", "zstd": 1}, "zstd: 1"),
        ({"run": "r", "form": "pickle"}, "pickle"),
        ({"run": "r", "zstd": True}, "zstd"),
    ],
)
def test_wrong_exports_are_told_before_a_worker_starts(params: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        KINDS["export"].check(params)
    KINDS["export"].check({"run": "r", "form": "subnetwork", "zstd": True})


@pytest.mark.parametrize(
    ("params", "subject"),
    [
        ({"window": 1}, "window"),
        ({"windows": 0}, "windows"),
        ({"windows": True}, "windows"),
        ({"window": "12"}, "window"),
        ({"widow": 12}, "settings"),
    ],
)
def test_wrong_windows_are_told_before_a_worker_starts(params: dict[str, object], subject: str) -> None:
    with pytest.raises(SpecError) as caught:
        KINDS["evaluate"].check({"model": "m", "examples": "pydoc"} | params)
    assert caught.value.subject == subject
    KINDS["evaluate"].check({"model": "m", "examples": "pydoc", "window": None, "windows": 4})


def test_a_mistake_of_the_spec_comes_back_from_the_worker(own: Path) -> None:
    failed = finished(jobs.submit("prune", {"model": str(own), "base": "demo-base", "k": 3}))
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["type"] in ("SourceNotFoundError", "ConfigError", "NoSafetensorsError")
    assert half_written(own) == []
