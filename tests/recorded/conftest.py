"""A copy of the recorded store, as the store of the test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kencore.jobs.worker import spawn


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What version 0.1.0 left; no worker is started."""
    home = tmp_path / "home"
    shutil.copytree(Path(__file__).with_name("store_0_1_0"), home)
    monkeypatch.setenv("KENVIZ_HOME", str(home))
    monkeypatch.setattr(spawn, "start", lambda: None)
    return home
