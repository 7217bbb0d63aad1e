"""Two stores for tests of the worker: one shared with its supervisor, and the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kencore import jobs
from kencore.jobs.kinds import added

PLUGIN = Path(__file__).with_name("plugin")
SETTINGS = {
    "KENVIZ_WORKERS": "2",
    "KENVIZ_IDLE_SECONDS": "60",
    # forking from a process that has little loaded is as real as from one that has torch
    "KENVIZ_PRELOAD": "selftest_job",
}


def settle_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make ``folder`` the store, with the tests' settings."""
    monkeypatch.setenv("KENVIZ_HOME", str(folder))
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def selftest(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kind ``selftest`` is there, here and in every process that is started: as of an installed package."""
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=os.pathsep)
    added.cache_clear()
    yield
    added.cache_clear()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the shared store; its supervisor ends with the last test."""
    folder = tmp_path_factory.mktemp("shared-store")
    yield folder
    with pytest.MonkeyPatch.context() as monkeypatch:
        settle_in(monkeypatch, folder)
        jobs.shutdown()


@pytest.fixture
def store(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared store, with a supervisor that has been up since its first job."""
    settle_in(monkeypatch, shared_folder)
    return shared_folder


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of the test's own, for tests that break something."""
    settle_in(monkeypatch, home)
    yield home
    jobs.shutdown()
