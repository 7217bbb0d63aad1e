"""Fixtures for every test: where real data is, and a store of the test's own."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has one core: threads would fight for them
    os.environ.setdefault("OMP_NUM_THREADS", "1")

LONG = (
    "tests/browser/",
    "tests/jobs/",
    "tests/sweeps/test_killed.py",
    "tests/pruning/test_by_blocks.py",
    "tests/recovery/",
    "tests/models/test_classifier.py",
)
# files of browser tests whose app has runs made for them; that of the others has the demo and a worker
RUNS_MADE = ("compare", "copy_link", "map", "matrix", "pages", "sparsity", "tradeoff")
ROOT = Path(__file__).resolve().parent.parent
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")  # how fast a machine is proves nothing


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and recorded outputs, outside the project."""
    folder = Path(os.environ.get("KENVIZ_SHARED", ROOT.parent / "shared")).resolve()
    if not (folder / "golden").is_dir():
        pytest.skip(f"no real data at {folder}: set KENVIZ_SHARED to the folder that holds it")
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store for each test, so that no test sees another's runs or the user's own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KENVIZ_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("KENVIZ_GALLERY", str(folder / "no gallery"))  # tests of lists know what is in them
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported stays: nothing looks for garbage in it, neither now nor while tests run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of one file go to one worker, so do those of one app in the browser: it is started once.

    By address, not by xdist's own groups: these rest on a field that pytest 9.2 no longer has.
    """
    from xdist.scheduler import LoadScopeScheduling

    class FilesTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            if file.startswith("tests/browser/"):
                return "runs made" if Path(file).stem.removeprefix("test_") in RUNS_MADE else "the demo"
            return file

    config.option.loadscopereorder = False  # the order is that of the collection
    return FilesTogether(config, log)
