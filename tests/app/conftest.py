"""The app without a browser: a store with one small run, and pages run by AppTest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app.frame import state
from kencore.runs.run import Run
from tests.support.runs import make_lm_run, make_run

ROOT = Path(__file__).resolve().parents[2]
OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="session", autouse=True)
def packages_read_once() -> Iterator[None]:
    """Each `AppTest` looks for components in every installed package, which takes longer than most pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True)
def made_ready(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pages had a worker load its libraries for, by the store; none is started for it."""
    asked: list[str] = []
    monkeypatch.setattr("kencore.jobs.warm", lambda: asked.append("worker"))
    return asked


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished run, made once."""
    return make_run(tmp_path_factory.mktemp("sample")).path


@pytest.fixture
def store(home: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The test's own store, holding the run ``sample`` and no demo."""
    monkeypatch.setenv("KENVIZ_ASSETS", str(tmp_path / "no assets"))
    folder = home / "runs" / "sample"
    shutil.copytree(sample, folder)
    state.forget_runs()
    return Run(folder)


def make_all(factory: pytest.TempPathFactory, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
    """Made-up runs of a language model, each in a folder of its own."""
    return {name: make_lm_run(factory.mktemp(name), **own).path for name, own in settings.items()}


class Beside(Mapping[str, Run]):
    """Runs of the test's store by name, each opened once, when it is asked for."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._open = cache(lambda name: Run(folder / name))

    def __getitem__(self, name: str) -> Run:
        if name not in self._names:
            raise KeyError(name)
        return self._open(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def put_beside(store: Run, made: Mapping[str, Path]) -> Beside:
    """Copies of runs in the test's store, beside the run ``sample`` of an encoder, which is among them by that name."""
    for name, path in made.items():
        shutil.copytree(path, store.path.parent / name)
    state.forget_runs()
    return Beside(store.path.parent, ("sample", *made))


@pytest.fixture
def open_page(store: Run) -> OpenPage:
    """``open_page("matrix", matrix=..., r0=3)``: the page after its first run."""

    def opened(page: str, **query: object) -> AppTest:
        test = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=30)
        if page != "overview":
            # as a browser that opens the page's own address; `switch_page` knows that address only
            # after a first run, which would be one of all of Overview
            test._page_hash = calc_hash(page)
        for name, value in query.items():
            test.query_params[name] = str(value)
        return test.run()

    return opened
