"""The list of runs that the pages share: held for a moment, never older than the store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.frame import state
from kencore.system.places import runs_folder
from tests.support.runs import make_run


@pytest.fixture(autouse=True)
def none_held() -> None:
    state.forget_runs()


def listed() -> set[str]:
    return {run.id for run in state.runs()}


def test_a_run_that_came_or_went_is_seen_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))
    assert "late" not in listed()  # held from here on
    half = runs_folder() / ".late"
    shutil.copytree(make_run(tmp_path / "made").path, half)
    half.rename(runs_folder() / "late")
    assert "late" in listed()
    shutil.rmtree(runs_folder() / "late")
    assert "late" not in listed()


def test_a_store_that_stayed_as_it_is_is_not_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_LIST_SECONDS", 60.0)
    assert state.runs() is state.runs()
