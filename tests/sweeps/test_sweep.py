"""Sweeps against separate prunings: the same bits and figures, and each thing done once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from kencore.errors import (
    CheckpointChangedError,
    DataFileError,
    RunNotFoundError,
    StoreNotWritableError,
    SweepBusyError,
    SweepNotFoundError,
)
from kencore.models.classifier import Classifier
from kencore.models.language import LanguageModel
from kencore.pruning.prune import prune
from kencore.quality.cost import cost_of
from kencore.runs.run import Run, open_run
from kencore.runs.shelf import find_stored_run, list_runs
from kencore.settings.demo import SHIPPED
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.journal import NAME, note, read
from kencore.sweeps.places import lock_file
from kencore.sweeps.shelf import Sweep, delete_sweep, list_sweeps, open_sweep
from kencore.sweeps.sweep import sweep
from kencore.system.locks import FileLock
from kencore.system.places import runs_folder, sweeps_folder
from kencore.views.tradeoff import best_per_budget, curve
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer, write_text

SAME = ("masks", "overview", "values", "activations")
TIMES = {"seconds", "latency", "memory", "forward_share"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny classifier and a tiny language model, with bases, and what to judge them on."""
    where = tmp_path_factory.mktemp("sweep")
    for family in ("bert", "llama"):
        base, tuned = save_pair(family, where / family, change=0.05)
        add_tokenizer(base)
        add_tokenizer(tuned)
    rng = np.random.default_rng(1)
    lines = [f"{' '.join(f'w{i}' for i in rng.integers(3, 99, 8))}\t{i % 2}" for i in range(24)]
    (where / "examples.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    write_text(where / "text.txt", 800)
    return where


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes once: what they take is not what is tested."""
    monkeypatch.setattr("kencore.quality.judge_model.cost_of", partial(cost_of, repeats=1))


def encoder(folder: Path, **settings: Any) -> SweepSpec:
    usual: dict[str, Any] = {
        "model": str(folder / "bert/tuned"),
        "base": str(folder / "bert/base"),
        "methods": ("delta", "ken"),
        "keeps": (0.6, 0.3),
        "evaluation": str(folder / "examples.tsv"),
        "device": "cpu",
    }
    return SweepSpec(**(usual | settings))


def language(folder: Path, **settings: Any) -> SweepSpec:
    usual: dict[str, Any] = {
        "model": str(folder / "llama/tuned"),
        "methods": ("wanda", "sparsegpt"),
        "keeps": (0.6, 0.3),
        "calibration": str(folder / "text.txt"),
        "sequences": 3,
        "search_sequences": 2,
        "window": 12,
        "windows": 4,
        "evaluation": str(folder / "text.txt"),
        "device": "cpu",
    }
    return SweepSpec(**(usual | settings))


def untimed(data: Any) -> Any:
    """The same tree without what a clock said."""
    if isinstance(data, dict):
        return {key: untimed(value) for key, value in data.items() if key not in TIMES}
    return [untimed(value) for value in data] if isinstance(data, list) else data


def check_equal(own: Run, other: Run) -> None:
    """Two runs are the same but for their names and the time they took."""
    for name in SAME:
        files = [run.path / f"{name}.safetensors" for run in (own, other)]
        assert files[0].exists() == files[1].exists(), name
        assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes(), name
    for name in ("matrices.parquet", "rows.parquet", "spec.json"):
        assert (own.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert untimed(own.metrics) == untimed(other.metrics)
    assert untimed(own.trace or {}) == untimed(other.trace or {})
    one, two = (
        {k: v for k, v in untimed(run.record).items() if k not in ("created", "seconds_by_matrix", "sweep", "totals")}
        for run in (own, other)
    )
    assert one == two


def check_separately(found: Sweep, out: Path, every: int = 1) -> None:
    """Every point, or every so manieth, is what `prune` makes of its spec."""
    assert found.progress["done"] == len(found.plan)
    for name, point in list(found.plan.items())[::every]:
        check_equal(open_run(name), prune(point, out=out / name, threads=1))


# --- the same as one by one -------------------------------------------------------------------


def test_points_of_an_encoder_are_what_prune_makes_of_them(folder: Path, tmp_path: Path) -> None:
    asked = encoder(folder, methods=("delta", "ken", "random"), rescales=("none", "share"))
    found = sweep(asked, threads=1)
    assert len(found.plan) == 12
    check_separately(found, tmp_path, every=2)  # each method, rescaled and not
    assert found.points["state"].eq("done").all()
    for line in found.points.to_dict("records"):
        run = open_run(line["run"])
        assert line["kept"] == run.totals["kept"]
        assert line["kept_share"] == run.totals["kept"] / run.totals["pruned"]
        assert line["quality"] == run.metrics["pruned"]["accuracy"]
        assert (run.record["sweep"], run.record["totals"]) == (found.id, run.totals)


def test_points_that_set_to_zero_are_what_prune_makes_of_them(folder: Path, tmp_path: Path) -> None:
    asked = encoder(folder, base=None, methods=("magnitude", "random"), keeps=(0.4,), seeds=(0, 5))
    found = sweep(asked, threads=1)
    assert len(found.plan) == 1 + 2
    check_separately(found, tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"methods": ("wanda", "sparsegpt", "magnitude"), "allocations": ("uniform", "owl")},
        {"methods": ("wanda",), "seeds": (0, 3), "keeps": (0.5,)},
        {
            "methods": ("delta", "wanda"),
            "base": True,
            "allocations": ("uniform", "neuroal"),
            "fast": True,
            "keeps": (0.5,),
            "rescales": ("none", "share"),
        },
    ],
)
def test_points_of_a_language_model_are_what_prune_makes_of_them(
    folder: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    if "base" in settings:
        settings = settings | {"base": str(folder / "llama/base")}
    check_separately(sweep(language(folder, **settings), threads=1), tmp_path)


# --- each thing once --------------------------------------------------------------------------


def test_no_state_of_a_classifier_is_measured_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, measured = _count(monkeypatch, Classifier)
    found = sweep(encoder(folder, methods=("delta", "ken", "random")), threads=1)
    # dense and base; of each budget delta, ken, random and magnitude, which only baselines are
    assert (len(loaded), len(measured)) == (1, 2 + 2 * 4)
    by_point = found.points.set_index(["method", "keep"])["loss"]
    for name, point in found.plan.items():
        for rule, figures in open_run(name).metrics["baselines"].items():
            if rule != "magnitude":
                assert figures["loss"] == by_point[rule, point.keep]


def test_no_state_of_a_language_model_is_measured_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore.pruning.workbench import Workbench

    captured: list[int] = []
    capture = Workbench.capture
    monkeypatch.setattr(Workbench, "capture", lambda bench, ids: (captured.append(len(ids)), capture(bench, ids))[1])
    loaded, measured = _count(monkeypatch, LanguageModel)
    asked = language(folder, methods=("wanda", "multiflow"), allocations=("uniform", "owl"))
    sweep(asked, threads=1)
    assert len(loaded) == 1
    assert captured == [3]  # once: nothing is searched
    # dense; of each budget both methods with both allocations, random and magnitude
    assert len(measured) == 1 + 2 * (4 + 2)


def _count(monkeypatch: pytest.MonkeyPatch, kind: Any) -> tuple[list[int], list[int]]:
    loaded: list[int] = []
    measured: list[int] = []
    load, quality = kind.load, kind.quality
    monkeypatch.setattr(kind, "load", lambda *a, **k: (loaded.append(1), load(*a, **k))[1])
    monkeypatch.setattr(kind, "quality", lambda *a, **k: (measured.append(1), quality(*a, **k))[1])
    return loaded, measured


# --- going on, failing, refusing --------------------------------------------------------------


def test_a_cancelled_sweep_goes_on_where_it_stopped(folder: Path) -> None:
    asked = encoder(folder, methods=("delta",), baselines=False)

    def stop(done: float, total: float, message: str) -> None:
        if any(entry["event"] == "finished" for entry in read(sweeps_folder() / asked.id)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(asked, progress=stop, threads=1)
    found = open_sweep(asked.id)
    assert found.progress == {"planned": 2, "done": 1, "failed": 0, "missing": 1}
    assert list(runs_folder().glob(".*")) == []
    first = found.points["run"][0]
    before = stamps(first)
    again = sweep(asked, threads=1)
    assert again.progress["done"] == 2
    assert stamps(first) == before
    began = [entry["point"] for entry in read(found.path) if entry["event"] == "began"]
    assert began.count(first) == 1


def stamps(point: str) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file of a point."""
    files = sorted((runs_folder() / point).iterdir())
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def test_a_point_that_fails_stops_no_other_and_is_tried_again(folder: Path, tmp_path: Path) -> None:
    import torch

    base, tuned = save_pair("bert", tmp_path / "pair", change=0.05, dtype=torch.float16)
    tensors = load_file(tuned / "model.safetensors")
    # two differences of 40,000: kept ones, divided by a small share, leave half precision
    tensors["bert.encoder.layer.0.output.dense.weight"][3, :2] = 40_000
    save_file(tensors, tuned / "model.safetensors", {"format": "pt"})
    asked = SweepSpec(
        model=str(tuned),
        base=str(base),
        methods=("delta", "magnitude"),
        keeps=(0.9, 0.1),
        rescales=("none", "share"),
        device="cpu",
    )
    found = sweep(asked, threads=1)
    points = found.points.set_index("run")
    failed = points[points["state"] == "failed"]
    assert {(p.method, p.rescale, p.keep) for p in failed.itertuples()} == {
        ("delta", "share", 0.1),
        ("magnitude", "share", 0.1),
    }
    assert failed["reason"].str.contains("infinity in row 3").all()
    assert (points["state"] == "done").sum() == 6
    done = {name: stamps(name) for name in points.index[points["state"] == "done"]}
    again = sweep(asked, threads=1)
    assert again.progress == {"planned": 8, "done": 6, "failed": 2, "missing": 0}
    assert {name: stamps(name) for name in done} == done
    tried = [entry["point"] for entry in read(found.path) if entry["event"] == "failed"]
    assert sorted(tried) == sorted([*failed.index, *failed.index])


def test_what_fails_for_all_with_activations_fails_them_alone(folder: Path) -> None:
    asked = encoder(folder, methods=("delta", "wanda"), keeps=(0.5,), evaluation=None)
    points = sweep(asked, threads=1).points.set_index("method")
    assert points["state"].to_dict() == {"delta": "done", "wanda": "failed"}
    assert "causal language model" in points["reason"]["wanda"]


def test_a_checkpoint_that_was_trained_again_is_refused(tmp_path: Path) -> None:
    base, tuned = save_pair("bert", tmp_path / "pair")
    asked = SweepSpec(model=str(tuned), base=str(base), keeps=(0.5,), device="cpu")
    first = sweep(asked, threads=1)
    for side in (tuned, base):
        file = side / "model.safetensors"
        before = file.read_bytes()
        tensors = load_file(file)
        tensors["bert.pooler.dense.weight"][0, 0] += 1
        save_file(tensors, file, {"format": "pt"})
        with pytest.raises(CheckpointChangedError, match=f"delete sweep {first.id}"):
            sweep(asked, threads=1)
        file.write_bytes(before)
    assert sweep(asked, threads=1).progress["done"] == 1


def test_other_evaluation_data_are_refused(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "examples.tsv"
    text = (folder / "examples.tsv").read_text()
    data.write_text(text)
    asked = encoder(folder, methods=("delta",), keeps=(0.5,), evaluation=str(data), baselines=False)
    sweep(asked, threads=1)
    data.write_text(text + "w5 w6\t1\n")
    with pytest.raises(DataFileError, match="as when sweep"):
        sweep(asked, threads=1)


def test_two_at_once_are_refused_with_a_remedy(folder: Path) -> None:
    asked = encoder(folder, evaluation=None)
    sweeps_folder()
    lock = FileLock(lock_file(asked.id))
    assert lock.acquire()
    try:
        with pytest.raises(SweepBusyError, match="Wait until it ends"):
            sweep(asked, threads=1, patience=0.1)
        assert list(runs_folder().iterdir()) == []
    finally:
        lock.release()
    assert sweep(asked, threads=1, patience=0).progress["done"] == 4


def test_a_torn_journal_is_read_and_goes_on(folder: Path) -> None:
    asked = encoder(folder, methods=("delta",), keeps=(0.5,), evaluation=None)
    found = sweep(asked, threads=1)
    journal = found.path / NAME
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"event": "failed", "po')
    assert open_sweep(asked.id).journal == found.journal
    note(found.path, "began", "another")
    events = [(entry["event"], entry["point"]) for entry in read(found.path)]
    assert events == [*((e["event"], e["point"]) for e in found.journal), ("began", "another")]


def test_a_journal_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(StoreNotWritableError, match="Free some space"):
        note(tmp_path, "began", "point")


def test_points_are_runs_that_do_not_flood_the_list(folder: Path) -> None:
    asked = encoder(folder, methods=("delta",), evaluation=None)
    found = sweep(asked, threads=1)
    assert {run.id for run in list_runs()} <= set(SHIPPED)
    listed = {run.id: run.sweep for run in list_runs(points=True) if run.sweep}
    assert listed == dict.fromkeys(found.plan, found.id)
    for name in found.plan:
        assert find_stored_run(name) == open_run(name).path
    (summary,) = list_sweeps()
    assert (summary.id, summary.planned, summary.done) == (found.id, 2, 2)
    (found.path.parent / "broken").mkdir()
    assert {s.id: bool(s.problem) for s in list_sweeps()} == {found.id: False, "broken": True}


def test_deleting_a_sweep_takes_its_points_along(folder: Path) -> None:
    kept = sweep(encoder(folder, methods=("ken",), evaluation=None), threads=1)
    gone = sweep(encoder(folder, methods=("delta",), evaluation=None), threads=1)
    lock = FileLock(lock_file(gone.id))
    assert lock.acquire()
    with pytest.raises(SweepBusyError):
        delete_sweep(gone.id)
    lock.release()
    delete_sweep(gone.id)
    assert {path.name for path in runs_folder().iterdir()} == set(kept.plan)
    with pytest.raises(SweepNotFoundError):
        open_sweep(gone.id)
    with pytest.raises(RunNotFoundError):
        open_run(next(iter(gone.plan)))
    with pytest.raises(SweepNotFoundError):
        delete_sweep("../runs")


def test_coded_points_are_those_of_a_pruning_and_stand_on_the_curve(folder: Path, tmp_path: Path) -> None:
    spec = encoder(folder, methods=("delta", "bytes"), keeps=(0.5,), bits=(14,))
    found = sweep(spec)
    assert found.progress["done"] == 2
    name, point = next((name, point) for name, point in found.plan.items() if point.bits == 14)
    own, other = Run(runs_folder() / name), prune(point, out=tmp_path / "other")
    check_equal(own, other)
    assert (own.path / "codes.safetensors").read_bytes() == (other.path / "codes.safetensors").read_bytes()
    lines = curve(found.points, found.baselines)
    coded = lines[lines["name"] == "bytes"]
    assert list(coded["bits"]) == [14]
    assert [line.bits for line in best_per_budget(lines).itertuples() if line.best == "bytes"] == [14]
