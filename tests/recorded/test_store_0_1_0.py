"""A store that version 0.1.0 made opens unchanged; its models are gone.

``store_0_1_0`` was written by `tests.recorded.make_store`; what stands here was read from it by
version 0.1.0.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from kencore import Run, jobs, open_run
from kencore.cli.main import app
from kencore.errors import KencoreError, RunNotFoundError, SweepNotFoundError
from kencore.explain import open_explanation
from kencore.jobs.tasks import keep_run
from kencore.report import report
from kencore.runs.shelf import delete_run, list_runs
from kencore.sweeps.shelf import delete_sweep, list_sweeps, open_sweep

SWEEP = "adba9622c357"
POINTS = [f"sweep-{SWEEP}-ken-0.5-s0", f"sweep-{SWEEP}-delta-0.5-s0"]
# name here -> id, kind, state, number of events
JOBS = {
    "inspect": ("20261128-221518-pcjbtv", "inspect", "succeeded", 3),
    "ken": ("20261128-221522-u4h7me", "prune", "succeeded", 3),
    "neuroal": ("20261128-221523-xrrvzs", "prune", "succeeded", 3),
    "retune": ("20261128-221524-bzr34v", "retune", "succeeded", 3),
    "tune": ("20261128-221526-d9arb7", "tune", "succeeded", 10),
    "sweep": ("20261128-221531-anfe3a", "sweep", "succeeded", 4),
    "evaluate": ("20261128-221533-m6ndq9", "evaluate", "succeeded", 3),
    "export": ("20261128-221535-h2579f", "export", "succeeded", 3),
    "report": ("20261128-221535-njn49r", "report", "succeeded", 3),
    "explain": ("20261128-221536-zfn5bw", "explain", "succeeded", 3),
    "failed": ("20261128-221536-gue8cu", "prune", "failed", 3),
    "cancelled": ("20261128-221536-vvu9s6", "selftest", "cancelled", 5),
}
RUNS = [JOBS[name][0] for name in ("tune", "neuroal", "ken")]  # newest first
ENCODER = {"params": 5122, "bytes_dense": 20488}
# run -> totals, start of the SHA-256 of its masks, its settings, measured figures
KEPT: dict[str, tuple[dict[str, int], str, dict[str, Any], dict[str, float]]] = {
    JOBS["ken"][0]: (
        ENCODER | {"pruned": 4736, "kept": 2368, "reset": 2368, "bytes_stored": 11608},
        "0e5bfe5ee5df881e",
        {"method": "ken", "keep": 0.5, "base": "/home/user/models/encoder/base", "vectors": False},
        {"accuracy": 0.5, "f1_macro": 0.3333333333333333, "loss": 0.7626082221564492},
    ),
    JOBS["tune"][0]: (
        ENCODER | {"pruned": 4736, "kept": 2368, "reset": 2368, "bytes_stored": 11608},
        "0e5bfe5ee5df881e",
        {"method": "ken", "keep": 0.5, "base": "/home/user/models/encoder/base", "vectors": False},
        {"accuracy": 0.42857142857142855, "f1_macro": 0.3, "loss": 0.844568427716416},
    ),
    JOBS["neuroal"][0]: (
        {"params": 5712, "pruned": 4352, "kept": 2176, "reset": 2176, "bytes_dense": 22848, "bytes_stored": 14688},
        "260679b01a708f59",
        {
            "method": "wanda",
            "keep": 0.5,
            "base": None,
            "allocation": "neuroal",
            "window": 12,
            "fast": True,
            "sequences": 4,
        },
        {"perplexity": 42.46802396454749, "nll": 3.7487514154477553},
    ),
    POINTS[0]: (
        ENCODER | {"pruned": 512, "kept": 256, "reset": 256, "bytes_stored": 19528},
        "bdda17d6a1c28600",
        {"method": "ken", "keep": 0.5, "scope": ("q",), "baselines": False},
        {"accuracy": 0.5, "loss": 0.7867354092480416},
    ),
    POINTS[1]: (
        ENCODER | {"pruned": 512, "kept": 256, "reset": 256, "bytes_stored": 19528},
        "e16acefadf4b8f54",
        {"method": "delta", "keep": 0.5, "scope": ("q",), "baselines": False},
        {"accuracy": 0.5, "loss": 0.7865445133297981},
    ),
}


# --- runs -------------------------------------------------------------------------------------


def test_the_shelf_lists_the_runs_newest_first() -> None:
    found = [run for run in list_runs() if run.path.parent.name == "runs"]
    assert [run.id for run in found] == RUNS
    assert {run.problem for run in list_runs(points=True)} == {None}
    points = {run.id: run.sweep for run in list_runs(points=True) if run.sweep}
    assert points == dict.fromkeys(POINTS, SWEEP)
    assert [run.created[:19] for run in found] == ["2026-11-28T22:15:31", "2026-11-28T22:15:24", "2026-11-28T22:15:23"]


@pytest.mark.parametrize("name", list(KEPT))
def test_a_run_is_what_it_was(name: str) -> None:
    totals, masks, settings, figures = KEPT[name]
    run = open_run(name)
    assert run.totals == totals
    assert _masks(run) == masks
    assert {field: getattr(run.spec, field) for field in settings} == settings
    assert {field: run.metrics["pruned"][field] for field in figures} == figures
    assert run.versions["kencore"] == "0.1.0"
    for matrix in run.pruned:  # as small as these are, a cell of the overview is one weight
        np.testing.assert_array_equal(run.overview(matrix), run.keep(matrix))
        assert run.rows(matrix)["kept"].sum() == run.matrix(matrix)["kept"]


def test_what_only_some_runs_have_is_there() -> None:
    searched, tuned = open_run(JOBS["neuroal"][0]), open_run(JOBS["tune"][0])
    assert searched.trace is not None
    assert len(searched.trace["block_search"]["lambdas"]) == len(searched.trace["block_search"]["costs"])
    assert searched.activation_norms(searched.pruned[0]) is not None
    assert tuned.tuning is not None
    assert tuned.tuning["parent"]["id"] == JOBS["ken"][0]
    assert (tuned.tuning["steps"], tuned.record["tuned"]["from"]) == (6, JOBS["ken"][0])
    assert tuned.kept_values is not None
    assert "bert.encoder.layer.1.output.LayerNorm.bias" in tuned.changed_names


@pytest.mark.parametrize("name", RUNS)
def test_pictures_and_words_need_no_model(name: str, tmp_path: Path) -> None:
    found = report(name, tmp_path / "report.html", figures=tmp_path / "figures")
    share = "50" if name == JOBS["neuroal"][0] else "53.8"
    assert share in found["title"]
    assert found["files"] == len(list((tmp_path / "figures").iterdir())) > 5
    assert (tmp_path / "report.html").read_text("utf-8").count("<svg") > 3


def test_values_say_which_model_is_missing() -> None:
    run = open_run(JOBS["ken"][0])
    with pytest.raises(KencoreError, match="/home/user/models/encoder/tuned"):
        run.values(run.pruned[0])


def test_a_run_is_deleted() -> None:
    delete_run(RUNS[0])
    assert [run.id for run in list_runs() if run.path.parent.name == "runs"] == RUNS[1:]
    with pytest.raises(RunNotFoundError):
        open_run(RUNS[0])


# --- sweeps -----------------------------------------------------------------------------------


def test_the_sweep_opens_with_its_points() -> None:
    [listed] = list_sweeps()
    assert (listed.id, listed.planned, listed.done, listed.failed) == (SWEEP, 2, 2, 0)
    assert (listed.problem, listed.running) == (None, False)
    sweep = open_sweep(SWEEP)
    assert sweep.spec.methods == ("ken", "delta")
    assert list(sweep.points["run"]) == POINTS
    assert list(sweep.points["kept"]) == [256, 256]
    assert list(sweep.points["loss"]) == [0.7867354092480416, 0.7865445133297981]
    assert sorted((entry["point"], entry["event"]) for entry in sweep.journal) == [
        (point, event) for point in sorted(POINTS) for event in ("began", "finished")
    ]
    assert sweep.dense is not None
    assert sweep.dense["loss"] == 0.7864740816981279


def test_the_sweep_is_deleted_with_its_points(store: Path) -> None:
    delete_sweep(SWEEP)
    assert list_sweeps() == []
    assert not any((store / "runs" / point).exists() for point in POINTS)
    with pytest.raises(SweepNotFoundError):
        open_sweep(SWEEP)


# --- jobs -------------------------------------------------------------------------------------


def test_every_job_is_listed_with_its_kind_and_state() -> None:
    found = {job.id: (job.id, job.kind, job.state) for job in jobs.list_jobs()}
    assert list(found) == [job for job, *_ in reversed(JOBS.values())]
    assert set(found.values()) == {(job, kind, state) for job, kind, state, _ in JOBS.values()}
    for job, _, state, events in JOBS.values():
        happened = jobs.events(job)
        assert len(happened) == events
        assert (happened[0].kind, happened[-1].kind) == ("submitted", state)


def test_results_are_found_or_known_to_be_gone() -> None:
    for name, (job, _, state, _) in JOBS.items():
        if state != "succeeded" or name == "report":  # its folder was removed before recording
            with pytest.raises(RunNotFoundError):
                jobs.result(job)
        elif jobs.status(job).kind in ("prune", "tune"):
            assert Run(jobs.result(job)).id == job
        else:
            assert json.loads((jobs.result(job) / "result.json").read_text("utf-8"))
    explained = open_explanation(jobs.result(JOBS["explain"][0]))
    assert explained.facts["run"] == JOBS["ken"][0]
    assert (jobs.result(JOBS["export"][0]) / f"{JOBS['ken'][0]}.masks.safetensors").is_file()


def test_the_failed_job_tells_why() -> None:
    failed = jobs.status(JOBS["failed"][0])
    assert failed.error is not None
    assert failed.error["type"] == "SourceNotFoundError"
    assert failed.error["got"] == "no such folder"
    assert "SourceNotFoundError" in jobs.log(failed.id)


def test_a_retuned_run_is_put_on_the_shelf() -> None:
    name = keep_run(JOBS["retune"][0])
    assert open_run(name).spec.keep == 0.4
    assert name in [run.id for run in list_runs()]


def test_the_same_request_is_the_same_job_and_a_new_one_is_cancelled() -> None:
    old = jobs.status(JOBS["ken"][0])
    assert jobs.submit(old.kind, old.params, request_key="first") == old.id
    new = jobs.submit(old.kind, old.params, request_key="second")
    assert jobs.list_jobs()[0].id == new
    jobs.cancel(new)
    assert jobs.status(new).state == "cancelled"
    assert len(jobs.list_jobs()) == len(JOBS) + 1


def test_the_command_line_lists_runs_and_sweeps() -> None:
    listed = CliRunner().invoke(app, ["runs", "--json"])
    assert listed.exit_code == 0
    stored = [run["id"] for run in json.loads(listed.stdout)["runs"] if "home" in run["folder"]]
    assert stored == RUNS
    listed = CliRunner().invoke(app, ["sweeps", "--json"])
    assert listed.exit_code == 0
    assert [sweep["id"] for sweep in json.loads(listed.stdout)["sweeps"]] == [SWEEP]


def _masks(run: Run) -> str:
    found = hashlib.sha256()
    for name in run.pruned:
        found.update(name.encode())
        found.update(run.mask_bits(name).tobytes())
    return found.hexdigest()[:16]
