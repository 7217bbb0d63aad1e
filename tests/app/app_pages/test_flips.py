"""The page Flips: what the run keeps, the job that computes it, the filter, links to Explain, two continuations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from kencore.runs.flips import Flips
from kencore.runs.run import Run
from tests.app.app_pages.test_overview import measure
from tests.app.app_pages.test_prune import button
from tests.app.conftest import OpenPage, make_all, put_beside
from tests.app.fake_jobs import FakeJobs

SENTENCES = ["a *good* film", "dull", "bright", "not very good", "a bad film"]


def made(**facts: object) -> Flips:
    """Five sentences: two go wrong, one comes right, two stay; one rule beside."""
    right = {"dense_right": [True, True, False, True, False], "pruned_right": [False, False, True, True, False]}
    names = np.array(["negative", "positive"])
    truth = np.array([1, 0, 1, 0, 0])
    table = pd.DataFrame(
        {
            "place": [4, 0, 2, 1, 3],
            "text": SENTENCES,
            "pair": "",
            "truth": names[truth],
            **{side: names[np.where(right[f"{side}_right"], truth, 1 - truth)] for side in ("dense", "pruned")},
            "dense_p": [0.9, 0.8, 0.7, 0.6, 0.55],
            "pruned_p": [0.6, 0.7, 0.8, 0.6, 0.5],
            **right,
            "nll_change": [1.0, 0.9, -0.5, 0.0, 0.0],
            "kl": [0.9, 0.7, 0.5, 0.01, 0.0],
            "magnitude": names[truth],
            "magnitude_p": [0.6, 0.7, 0.8, 0.6, 0.5],
        }
    )
    told = {
        "task": "classification",
        "data": "demo",
        "data_sha256": "1" * 64,
        "count": 5,
        "right_wrong": 2,
        "wrong_right": 1,
        "changed": 3,
        "dense_right": 3,
        "pruned_right": 2,
        "kl": 0.422,
        "nll_change": 0.28,
        "baselines": ["magnitude"],
    }
    return Flips(facts=told | facts, table=table)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path / "results").install(monkeypatch)


@pytest.fixture
def kept(store: Run) -> Run:
    """The run with changed answers to the data of its quality."""
    measure(store, data_sha256="1" * 64)
    made().save(store.path)
    return store


def words(test: AppTest) -> str:
    return " ".join(element.value for element in [*test.markdown, *test.caption]).replace("\xa0", " ")


def sentences(test: AppTest) -> list[str]:
    return list(test.dataframe[0].value["Sentence"])


def test_what_the_run_keeps_is_there_at_once(open_page: OpenPage, kept: Run, fake: FakeJobs) -> None:
    test = open_page("flips")
    assert not test.exception
    assert test.title[0].value == "2 sentences went wrong, 1 came right"
    assert [metric.value for metric in test.metric] == ["2", "1", "3", "0.422"]
    assert "3 of 5 answers changed; 1 fewer right: accuracy 60.0 → 40.0 %." in words(test)
    assert sentences(test) == SENTENCES[:3]
    assert list(test.dataframe[0].value["Tuned"]) == ["✓ positive", "✓ negative", "✗ negative"]
    assert list(test.dataframe[0].value.iloc[:, -1]) == ["positive", "negative", "positive"]
    assert "a \\*good\\* film" in words(test)
    assert not fake.found


@pytest.mark.parametrize(("which", "wanted"), [("right-wrong", [0, 1]), ("wrong-right", [2]), ("all", range(5))])
def test_the_filter_is_in_the_address(open_page: OpenPage, kept: Run, which: str, wanted: list[int]) -> None:
    test = open_page("flips", filter=which)
    assert sentences(test) == [SENTENCES[i] for i in wanted]
    test.segmented_control(key="choose_filter").set_value("changed").run()
    assert "filter" not in test.query_params
    assert not test.exception


def test_a_filter_that_is_none_is_a_message(open_page: OpenPage, kept: Run) -> None:
    test = open_page("flips", filter="worse")
    assert "right-wrong" in test.error[0].value
    assert not test.exception


def test_without_them_one_click_starts_the_job_that_finds_them(open_page: OpenPage, store: Run, fake: FakeJobs) -> None:
    measure(store, data_sha256="1" * 64)
    test = open_page("flips")
    button(test, "Find them on demo").click().run()
    assert [(job.kind, job.params) for job in fake.found.values()] == [("flips", {"run": "sample"})]
    assert test.query_params["job"] == "job0"
    (fake.results / "job0").mkdir(parents=True)
    made().save(fake.results / "job0")
    fake.change("job0", state="succeeded", started=1.0, finished=2.0)
    test.run()
    assert not test.exception
    assert test.title[0].value == "2 sentences went wrong, 1 came right"


def test_answers_to_other_data_than_its_quality_are_not_the_runs(open_page: OpenPage, kept: Run) -> None:
    measure(kept, data_sha256="2" * 64)
    assert open_page("flips").title[0].value == "Which answers pruning changed"
    assert "was not computed for this run yet" in words(open_page("overview"))


def test_the_overview_shows_the_worst_of_them(open_page: OpenPage, kept: Run) -> None:
    test = open_page("overview")
    assert not test.exception
    said = words(test)
    assert "**2 sentences went wrong, 1 came right**" in said
    assert said.index("good") < said.index("dull")
    assert "bright" not in said, "what came right is not what went wrong"


def test_explain_offers_the_sentences(open_page: OpenPage, kept: Run, fake: FakeJobs) -> None:
    test = open_page("explain", text="x")
    box = test.selectbox(key="explain_pick")
    assert len(box.options) == 3
    box.set_value(1).run()
    assert test.query_params["text"] == "dull"
    assert [job.params["text"] for job in fake.found.values()] == ["dull"]


def test_both_models_continue_a_text(
    open_page: OpenPage, store: Run, fake: FakeJobs, tmp_path_factory: pytest.TempPathFactory
) -> None:
    put_beside(store, make_all(tmp_path_factory, {"words": {}}))
    test = open_page("flips", run="words", text="A list of")
    assert not test.exception
    assert not fake.found  # an address alone starts nothing
    button(test, "Continue").click().run()
    assert fake.found["job0"].params["text"] == "A list of"
    answer = {"dense": [" <two", " items"], "pruned": [" <two", " words"], "departs": 1, "cut": 0}
    folder = fake.results / "job0"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(answer))
    fake.change("job0", state="succeeded", started=1.0, finished=2.0)
    test.run()
    assert not test.exception
    assert "The models part after 1 token" in words(test)
    shown = [element.proto.body for element in test.get("html")]
    assert any("> &lt;two<mark> items</mark></div>" in body for body in shown)
