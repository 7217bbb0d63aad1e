"""The page Runs: the table, and what is done with the runs that are chosen in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.app_pages.runs import parts
from app.frame import state
from kencore.quality.judge import save_metrics
from kencore.runs.run import Run
from kencore.runs.shelf import list_runs, relabel_run
from tests.app.conftest import OpenPage


@pytest.fixture
def second(store: Run) -> str:
    shutil.copytree(store.path, store.path.with_name("second"))
    state.forget_runs()
    return "second"


@pytest.fixture
def chosen(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """``chosen("second")``: the page where these runs are chosen in the table, which a test cannot click on."""

    def opened(*names: str) -> AppTest:
        monkeypatch.setattr(parts, "table", lambda lines: [line for line in lines if line.found.id in names])
        test = open_page("runs")
        assert not test.exception
        return test

    return opened


def test_the_table_says_rule_share_quality_verdict_and_date(store: Run, second: str, open_page: OpenPage) -> None:
    relabel_run(second, name="mine", add=["paper"])
    measured = {"dense": {"accuracy": 0.9}, "pruned": {"accuracy": 0.4, "accuracy_low": 0.3, "accuracy_high": 0.5}}
    save_metrics(store.path.with_name(second), measured)
    state.forget_runs()
    test = open_page("runs")
    assert not test.exception
    assert test.title[0].value == "2 runs: 1 ruined"
    table: pd.DataFrame = test.dataframe[0].value
    line = table[table["Run"] == "mine"].iloc[0]
    assert (line["Method"], line["Kept"], list(line["Tags"])) == ("ken", 50.0, ["paper"])
    assert (line["Accuracy"], line["Verdict"]) == (40.0, "ruined")
    assert line["Made"] == pd.Timestamp(store.record["created"]).tz_convert("UTC")
    assert line["Open"].endswith("run=second")


def test_a_phone_s_table_says_all_beside_the_name(store: Run, second: str, open_page: OpenPage) -> None:
    relabel_run(second, name="mine")
    measured = {"dense": {"accuracy": 0.9}, "pruned": {"accuracy": 0.4, "accuracy_low": 0.3, "accuracy_high": 0.5}}
    save_metrics(store.path.with_name(second), measured)
    state.forget_runs()
    wide, narrow = (frame.value for frame in open_page("runs").dataframe)
    assert list(narrow["Run"]) == list(wide["Run"])
    told = {name: said.replace("\xa0", " ") for name, said in zip(narrow["Run"], narrow["Result"], strict=True)}
    assert told.pop("mine") == "ruined · accuracy 40.0 % · 50 % kept · ken"
    assert set(told.values()) == {"50 % kept · ken"}  # not measured


def test_a_tag_narrows_the_table_and_is_a_link(second: str, open_page: OpenPage) -> None:
    relabel_run(second, add=["paper"])
    state.forget_runs()
    assert len(open_page("runs").dataframe[0].value) == 2
    assert len(open_page("runs", tag="paper").dataframe[0].value) == 1


def test_a_run_is_renamed_and_tagged(store: Run, second: str, chosen: Callable[..., AppTest]) -> None:
    before = {path.name: path.read_bytes() for path in store.path.with_name(second).iterdir()}
    test = chosen(second)
    test.text_input[0].set_value("the second").run()
    test.multiselect[0].set_value(["paper"]).run()
    assert not test.exception
    found = {run.id: run for run in list_runs()}[second]
    assert (found.label, found.name, found.tags) == ("the second", "the second", ("paper",))
    after = {path.name: path.read_bytes() for path in store.path.with_name(second).iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"label.json"}


def test_several_are_deleted_at_once_and_others_stay(store: Run, second: str, chosen: Callable[..., AppTest]) -> None:
    shutil.copytree(store.path, store.path.with_name("third"))
    test = chosen("second", "third")
    next(one for one in test.button if one.label == "Delete these 2 runs").click().run()
    assert not test.exception
    assert [run.id for run in list_runs()] == ["sample"]


def test_a_broken_run_is_listed_with_its_problem_and_can_go(store: Run, open_page: OpenPage) -> None:
    store.path.with_name("broken").mkdir()
    test = open_page("runs")
    assert not test.exception
    assert any("no spec.json" in caption.value for caption in test.caption)
    test.button(key="broken-broken").click().run()
    assert not store.path.with_name("broken").exists()


def test_an_empty_store_says_so(store: Run, open_page: OpenPage) -> None:
    shutil.rmtree(store.path)
    state.forget_runs()
    test = open_page("runs")
    assert not test.exception
    assert test.title[0].value == "0 runs"
