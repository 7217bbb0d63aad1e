"""The Map page without a browser: what an address opens, and what it refuses in words."""

from __future__ import annotations

import shutil

import pytest

from app import viewer
from app.app_pages.map import parts as map_parts
from app.frame import state
from kencore.runs.run import Run
from tests.app.conftest import OpenPage

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48


def test_the_whole_model(open_page: OpenPage, store: Run) -> None:
    page = open_page("map", run="sample")
    assert not page.exception
    assert page.title[0].value.startswith("50\u00a0% of 86.4\u00a0k weights kept")
    assert "Zoom in or click a matrix" in page.caption[0].value


def test_a_matrix_and_a_weight(open_page: OpenPage, store: Run) -> None:
    page = open_page("map", run="sample", at=UP, r0=3, r1=9, c0=-2.5, c1=7, row=5, col=6)
    assert not page.exception
    said = [text.value for text in page.markdown]
    assert any("Block 1 feed-forward, first" in text for text in said)
    assert any("Row 5, column 6" in text for text in said)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"at": "nothing"}, "no matrix 'nothing'"),
        ({"at": UP, "r0": "x", "r1": 3, "c0": 0, "c1": 4}, "a number such as 12 or -3.5"),
        ({"at": UP, "r0": 5, "r1": 5, "c0": 0, "c1": 4}, "r0 below r1"),
        ({"at": UP, "row": 96, "col": 0}, "a whole number, 0 to 95"),
        ({"layer": "blue"}, "one of lost, kept"),
        ({"range": "wide"}, "one of present, full"),
        ({"other": "none"}, "none"),
    ],
)
def test_what_is_wrong_is_said_and_the_map_is_there(open_page: OpenPage, query: dict[str, object], words: str) -> None:
    page = open_page("map", run="sample", **query)
    assert not page.exception
    assert words in page.error[0].value.replace("\\", "")
    assert page.title[0].value.endswith("on one map")


def test_another_run_beside_it(open_page: OpenPage, store: Run) -> None:
    shutil.copytree(store.path, store.path.parent / "twin")
    state.forget_runs()
    page = open_page("map", run="sample", other="twin")
    assert not page.exception
    assert not page.error
    assert page.selectbox(key="map_other").value == "twin"
    page.selectbox(key="map_other").select("").run()
    assert "other" not in page.query_params


def test_what_a_view_holds() -> None:
    assert map_parts.in_view(viewer.View()) == (None, None)
    assert map_parts.in_view(viewer.View(at=UP, row=3, col=4)) == (UP, (3, 4))
    assert map_parts.in_view(viewer.View(at=UP)) == (UP, None)
