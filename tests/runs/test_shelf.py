"""Names of runs in lists."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from kencore.errors import RunNotFoundError
from kencore.runs.naming import describe
from kencore.runs.run import open_run
from kencore.runs.shelf import delete_run, find_run, find_stored_run, is_shipped, list_runs, sweep_leftovers
from kencore.system.places import runs_folder
from tests.support.runs import make_lm_run


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ({"model": "demo", "method": "ken", "keep": 0.5}, "demo encoder · ken 50 %"),
        ({"model": "/data/bert-sst2", "method": "delta", "k": 40}, "bert-sst2 · delta k = 40"),
        (
            {"model": "/data/bert/tuned", "method": "random", "keep": 0.25, "scope": ["q", "down"]},
            "bert/tuned · random 25 % · q + down",
        ),
        (
            {"model": "demo-lm", "method": "wanda", "keep": 0.3, "allocation": "neuroal"},
            "demo LM · wanda + neuroal 30 %",
        ),
        ({"model": "demo-lm", "base": None, "method": "wanda", "keep": 0.3}, "demo LM · wanda 70 % sparse"),
        (
            {"model": "org/lm", "method": "magnitude", "keep": 0.3, "allocation": "uniform", "refine": "dsnot"},
            "lm · magnitude + dsnot 30 %",
        ),
        ({"model": "tuned", "method": "ken", "keep": 1}, "tuned · ken 100 %"),
        ({"model": "org/name", "method": "ken", "k": 1, "scope": ["all"]}, "name · ken k = 1"),
    ],
)
def test_labels_say_model_method_and_budget(spec: dict[str, object], label: str) -> None:
    assert describe(spec) == label


def test_both_shipped_runs_come_first_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_ASSETS", str(tmp_path / "assets"))
    made = make_lm_run(tmp_path / "made")
    make_lm_run(runs_folder(), seed=1)
    demo = tmp_path / "assets" / "demo"
    assert not {"demo", "demo-lm"} & {run.id for run in list_runs()}
    with pytest.raises(RunNotFoundError):
        find_run("demo-lm")
    for name in ("run", "run-lm"):
        shutil.copytree(made.path, demo / name)
    listed = [run.id for run in list_runs()]
    assert listed[:2] == ["demo", "demo-lm"]
    assert len(listed) > 2
    for run, folder in (("demo", "run"), ("demo-lm", "run-lm")):
        assert find_run(run) == find_stored_run(run) == demo / folder
        assert open_run(run).id == run
        assert is_shipped(demo / folder)
        with pytest.raises(RunNotFoundError, match="ships with the project"):
            delete_run(run)
    assert not is_shipped(made.path)
    assert open_run(demo / "run-lm").id == "run-lm"


def test_a_name_no_folder_can_have_is_no_run() -> None:
    for find in (find_run, find_stored_run):
        with pytest.raises(RunNotFoundError):
            find("x" * 300)


def test_a_record_of_wrong_values_hides_no_other_run() -> None:
    for name, created in (("broken", "null"), ("other", '"2026"')):
        folder = runs_folder() / name
        folder.mkdir()
        spec = '{"spec": {"model": "m", "method": "ken", "k": 1}}'
        (folder / "spec.json").write_text(spec, "utf-8")
        (folder / "record.json").write_text(f'{{"created": {created}}}', "utf-8")
    assert {run.id for run in list_runs()} >= {"broken", "other"}


def test_what_killed_processes_left_is_swept_and_nothing_else(home: Path) -> None:
    folders = {}
    for name in (".run-abc", ".deleted-run", ".young-run", "run"):
        folders[name] = runs_folder() / name
        folders[name].mkdir()
        (folders[name] / "masks.safetensors").write_bytes(b"x")
    long_ago = time.time() - 2 * 86_400
    for name in (".run-abc", ".deleted-run", "run"):
        for path in (folders[name] / "masks.safetensors", folders[name]):
            os.utime(path, (long_ago, long_ago))
    os.utime(folders[".young-run"], (long_ago, long_ago))  # but a file in it is new
    sweep_leftovers()
    assert sorted(path.name for path in runs_folder().iterdir()) == [".young-run", "run"]
