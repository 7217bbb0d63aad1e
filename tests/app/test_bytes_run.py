"""A run whose differences are coded: every page opens it, and the form asks for one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.frame import state
from kencore.report.build import build
from kencore.report.page import html
from kencore.runs.run import Run
from kencore.words.run import command
from tests.app.app_pages.test_prune import FakeJobs, start, store_of_jobs  # noqa: F401 - a fixture
from tests.app.conftest import OpenPage
from tests.pruning.test_by_bytes import coded

PAGES = ("overview", "story", "map", "matrix", "row", "layers", "sparsity", "tune", "compare", "recover", "tradeoff")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coded(tmp_path_factory.mktemp("bytes"), bits=14).path


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_it(page: str, made: Path, store: Run, open_page: OpenPage) -> None:
    shutil.copytree(made, store.path.parent / "coded")
    state.forget_runs()
    test = open_page(page, run="coded")
    assert not test.exception
    assert not test.error


def test_the_report_and_the_command_tell_of_it(made: Path) -> None:
    page = html(build(Run(made)))
    assert "Bytes: The smallest file" in page
    assert "14 bits per weight" in page
    assert "--bits 14" in command(Run(made).spec)


def test_the_form_asks_for_bits(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:  # noqa: F811
    test = open_page("prune", method="bytes", bits="0.5")
    assert not test.exception
    assert not start(test).exception
    asked = store_of_jobs.found["job0"].params
    assert (asked["method"], asked["bits"], asked["keep"], asked["k"]) == ("bytes", 0.5, None, None)
