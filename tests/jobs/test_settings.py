"""The worker's settings, its kinds, and that its interface is light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kencore import jobs
from kencore.errors import JobKindError, SpecError
from kencore.jobs import folders
from kencore.jobs.kinds import KINDS, find_kind, kinds_on
from kencore.jobs.settings import HEAVY, WorkerSettings
from kencore.jobs.worker.interpreter import environment


def test_without_variables_there_is_a_default_for_each() -> None:
    settings = WorkerSettings.from_environment({})
    assert 1 <= settings.workers <= 4
    assert (settings.idle_seconds, settings.results_kept) == (300, 200)
    assert settings.gpus >= 0
    assert settings.preload == (HEAVY if sys.platform == "linux" else ())


def test_variables_are_read() -> None:
    given = {
        "KENVIZ_WORKERS": "7",
        "KENVIZ_IDLE_SECONDS": "1.5",
        "KENVIZ_PRELOAD": "json, csv",
        "KENVIZ_GPUS": "2",
        "KENVIZ_RESULTS": "9",
    }
    assert WorkerSettings.from_environment(given) == WorkerSettings(
        workers=7, idle_seconds=1.5, preload=("json", "csv"), gpus=2, results_kept=9
    )
    assert WorkerSettings.from_environment({"KENVIZ_PRELOAD": "0"}).preload == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KENVIZ_WORKERS", "0"),
        ("KENVIZ_WORKERS", "many"),
        ("KENVIZ_IDLE_SECONDS", "-1"),
        ("KENVIZ_IDLE_SECONDS", "nan"),
        ("KENVIZ_GPUS", "inf"),
        ("KENVIZ_RESULTS", "0"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SpecError, match=name):
        WorkerSettings.from_environment({name: value})


def test_every_kind_can_be_loaded() -> None:
    made, asked = {"prune", "retune", "tune", "sweep"}, {"inspect", "evaluate", "flips", "explain", "continue"}
    assert set(KINDS) == made | asked | {"export", "report", "sensitivity"}
    assert KINDS["prune"].shelf == KINDS["tune"].shelf == "runs"
    for kind in KINDS.values():
        assert callable(kind.load())
    with pytest.raises(JobKindError, match="prune"):
        find_kind("os:system")


def test_another_package_adds_a_kind_and_a_broken_one_is_none() -> None:
    assert callable(find_kind("selftest").load())
    assert "selftest" in kinds_on("results")
    assert "selftest" not in kinds_on("runs")
    with pytest.raises(JobKindError, match=r"selftest, broken.*can be imported"):
        find_kind("broken")
    assert folders.result_folder("job", "broken").parent.name == "results"


def test_a_job_of_a_kind_that_is_no_more_is_still_found(home: Path) -> None:
    assert folders.result_folder("job", "former") == home / "results" / "job"


def test_importing_the_interface_loads_no_model_library() -> None:
    script = "import sys, kencore.jobs; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment()
    ).stdout.split()
    assert not {"torch", "transformers", "numba", "scipy", "sklearn", "streamlit"} & set(loaded)


def test_the_supervisor_loads_next_to_nothing(tmp_path: Path) -> None:
    run = "import runpy, sys; runpy.run_module('kencore.jobs.worker.supervisor', run_name='__main__')"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", f"{run}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env=environment() | {"KENVIZ_IDLE_SECONDS": "0", "KENVIZ_PRELOAD": "0"},
    ).stdout.split()
    assert "kencore.jobs.worker.scheduler" in loaded
    assert not {"torch", "pandas", "pyarrow", "numpy", "numba"} & set(loaded)


def test_the_interface_is_what_is_promised() -> None:
    assert {"submit", "status", "events", "cancel", "result", "log", "list_jobs"} < set(jobs.__all__)
    assert all(callable(getattr(jobs, name)) for name in jobs.__all__)
