"""The row page: any row by link, another k as what-if, other rules, and links that lead nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.frame import state
from kencore.methods.ken.explained import explain_row
from kencore.runs.run import Run
from tests.app.conftest import OpenPage
from tests.support.hostile import read
from tests.support.runs import make_run

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
BIAS = "bert.encoder.layer.2.attention.self.query.bias"  # 1 x 48


def headings(test: AppTest) -> list[str]:
    return [read(text.value.strip("*")) for text in test.markdown]


def test_a_row_by_link(open_page: OpenPage) -> None:
    test = open_page("row", matrix=UP, row=17)
    assert not test.exception
    assert test.title[0].value == "Row 17 of block 1 feed-forward, first"
    assert test.number_input(key="row_number").value == 17
    assert "24 of 48 weights keep their tuned value (50\xa0%)" in headings(test)
    assert len(test.get("plotly_chart")) == 3
    assert not test.warning


def test_without_a_row_it_is_the_first(open_page: OpenPage) -> None:
    test = open_page("row", matrix=UP)
    assert test.number_input(key="row_number").value == 0


def test_steps_go_into_the_address(open_page: OpenPage) -> None:
    test = open_page("row", matrix=UP, row=17)
    test.number_input(key="row_number").set_value(18).run()
    assert test.query_params["row"] == "18"
    assert test.title[0].value.startswith("Row 18 ")


def test_another_k_is_exact_and_marked_as_what_if(open_page: OpenPage, store: Run) -> None:
    test = open_page("row", matrix=UP, row=17)
    test.slider(key="row_k").set_value(10).run()
    assert not test.exception
    assert test.query_params["k"] == "10"
    assert "10 of 48 weights keep their tuned value (20.8\xa0%)" in headings(test)
    values = store.values(UP, "tuned", slice(17, 18))[0]
    own, other = store.keep(UP, slice(17, 18))[0], explain_row(values, 10).keep
    shared = (own & other).sum() / (own | other).sum()
    assert f"{100 * shared:.0f}\xa0%" in test.warning[0].value
    test.slider(key="row_k").set_value(24).run()
    assert "k" not in test.query_params
    assert not test.warning


def test_the_run_kept_what_the_explanation_keeps(store: Run) -> None:
    for row in range(0, 96, 7):
        values = store.values(UP, "tuned", slice(row, row + 1))[0]
        np.testing.assert_array_equal(store.keep(UP, slice(row, row + 1))[0], explain_row(values, 24).keep)


def test_a_vector_is_one_row(open_page: OpenPage) -> None:
    test = open_page("row", matrix=BIAS)
    assert not test.exception
    assert test.number_input(key="row_number").disabled


@pytest.mark.parametrize("method", ["magnitude", "ken-density"])
def test_runs_of_other_rules(open_page: OpenPage, home: Path, tmp_path: Path, method: str) -> None:
    made = make_run(tmp_path, method)
    shutil.copytree(made.path, home / "runs" / "other")
    state.forget_runs()
    test = open_page("row", run="other", matrix=UP, row=3)
    assert not test.exception
    sliders = [slider.key for slider in test.slider]
    if method == "magnitude":
        assert not sliders
        assert "The 24 weights of largest |weight| are kept" in headings(test)
        assert not any("Bandwidth" in html.value for html in test.html)
    else:
        assert sliders == ["row_k"]
        assert any("highest density" in text for text in headings(test))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"matrix": UP, "row": 96}, "0 to 95"),
        ({"matrix": UP, "row": "last"}, "'last'"),
        ({"matrix": UP, "k": 49}, "1 to 48"),
        ({"matrix": UP, "k": 0}, "1 to 48"),
        ({"matrix": UP, "order": "beauty"}, "beauty"),
        ({"matrix": "nobody"}, "nobody"),
        ({"run": "nobody"}, "no such run"),
    ],
)
def test_bad_links_are_messages(open_page: OpenPage, query: dict[str, object], said: str) -> None:
    test = open_page("row", **query)
    assert not test.exception
    assert said in test.error[0].value


@pytest.mark.parametrize("query", [{"row": 999_999}, {"k": 0}, {"order": "beauty", "row": 3}])
@pytest.mark.parametrize("row", [17, 0])
def test_a_bad_link_has_a_row_input_to_go_on_with(open_page: OpenPage, query: dict[str, object], row: int) -> None:
    test = open_page("row", matrix=UP, **query)
    assert test.selectbox(key="matrix_name").value == UP
    test.number_input(key="row_number").set_value(row).run()
    assert not test.exception
    assert not test.error
    assert test.title[0].value.startswith(f"Row {row} ")
    assert {"row", "k", "order"} & set(test.query_params) == {"row"}


def test_a_bad_link_of_a_vector_leads_to_its_only_row(open_page: OpenPage) -> None:
    test = open_page("row", matrix=BIAS, row=1)
    assert test.error
    next(button for button in test.button if button.label == "Open row 0").click().run()
    assert not test.exception
    assert not test.error
    assert test.query_params["row"] == "0"


def test_a_matrix_that_was_not_pruned(open_page: OpenPage) -> None:
    test = open_page("row", matrix="classifier.weight")
    assert not test.exception
    assert "was not pruned" in test.info[0].value


def test_the_order_follows_the_address(open_page: OpenPage) -> None:
    test = open_page("row", matrix=UP, order="index")
    assert test.get_by_key("choose_order").value == "index"
    assert not test.exception
