"""The compare page: numbers of the page against the masks, links good and bad, one click to other
rules, and the routes that feed the picture."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from app.data.routes import routes
from app.frame import state
from kencore.runs.run import Run
from kencore.views.compare.masks import compare, row_overlap
from kencore.views.compare.quality import Difference
from kencore.words import compare as compare_words
from tests.app.app_pages.test_sparsity import figure, numbers, words
from tests.app.conftest import Beside, OpenPage, put_beside
from tests.app.data.test_answers import decode
from tests.app.fake_jobs import FakeJobs
from tests.support.runs import make_lm_run, make_run

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
MAP = {"run": "sample", "other": "delta"}


@pytest.fixture(scope="session")
def made(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Other rules on the models of ``sample``, and a language model."""
    folder = sample.parent  # where the models are
    return {
        "delta": make_run(folder, "delta").path,
        "random": make_run(folder, "random", keep=0.25).path,
        "lm": make_lm_run(tmp_path_factory.mktemp("lm")).path,
    }


@pytest.fixture
def runs(store: Run, made: dict[str, Path]) -> Beside:
    return put_beside(store, made)


@pytest.fixture
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path).install(monkeypatch)


def headings(test: AppTest) -> list[str]:
    return [heading.value for heading in test.header]


def test_the_headline_and_the_counts_are_those_of_the_masks(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("compare", **MAP)
    assert not test.exception
    assert not test.error
    whole = compare([runs["sample"], runs["delta"]]).overall()
    title = test.title[0].value.replace("\xa0", " ")
    assert title.startswith(f"KEN and Largest difference agree on {100 * whole.jaccard:.1f} % of the weights")
    said = words(test)
    assert f"both keep {whole.both:,}" in said
    assert f"only KEN {whole.only_a:,}, only Largest difference {whole.only_b:,}" in said
    settings = next(table for table in test.table if "Rule" in table.value.index)
    assert settings.value.loc["Rule"].tolist() == ["KEN", "Largest difference"]
    assert "neither was measured" in said


def test_bars_map_and_rows_show_the_same_counts(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("compare", **MAP, matrix=UP, by="block", rows="overlap")
    a, b = runs["sample"], runs["delta"]
    bars = figure(test, "Bars by block")["data"]
    table = compare([a, b]).pair()
    outside = table[table["block"].isna()]
    assert numbers(bars[0]["x"])[0] == pytest.approx(outside["both"].sum() / outside["params"].sum())
    shown = numbers(figure(test, "Overlap of the two runs in each row")["data"][1]["y"])
    wanted = row_overlap(a, b, UP)["jaccard"].sort_values(ascending=False)
    np.testing.assert_allclose(shown, wanted, rtol=1e-6)
    line = table.set_index("name").loc[UP]
    assert f"the two differ on {100 * (line.only_a + line.only_b) / line.params:.1f} %" in words(test)


def test_swapping_turns_everything_round(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("compare", **MAP, **{"with": "random"})
    press(test, "Swap A and B")
    assert not test.exception
    assert test.query_params["run"] == "delta"
    assert test.query_params["other"] == "sample"
    assert test.query_params["with"] == "random"
    assert test.title[0].value.startswith("Largest difference and KEN agree")


def press(test: AppTest, label: str) -> None:
    next(found for found in test.button if found.label == label).click().run()


def test_three_runs_have_an_index_for_each_two(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("compare", **MAP, **{"with": "random"})
    assert "All of these runs" in headings(test)
    trio = [runs[name] for name in ("sample", "delta", "random")]
    found = compare(trio)
    grid = numbers(figure(test, "Map of runs by runs")["data"][0]["z"]).reshape(3, 3)
    assert grid[2, 0] == pytest.approx(found.overall(0, 2).jaccard, rel=1e-6)
    assert f"of {found.matrices['params'].sum():,})" in words(test)
    open_page("compare", **MAP)  # and two have none
    assert "All of these runs" not in headings(open_page("compare", **MAP))


def test_choosing_another_run_goes_into_the_address(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("compare", run="sample")
    assert test.query_params["other"] in {"delta", "random"}  # one at the same budget, where nobody chose
    test.selectbox(key="compare_b").set_value("random").run()
    assert test.query_params["other"] == "random"
    assert test.title[0].value.startswith("KEN")
    test.multiselect(key="compare_more").set_value(["delta"]).run()
    assert test.query_params["with"] == "delta"


@pytest.mark.parametrize("answer", [None, "the run's former name"])
def test_a_box_whose_names_changed_drops_no_run(
    open_page: OpenPage, runs: Beside, answer: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = open_page("compare", **MAP, **{"with": "random"})

    def sent(box: Selectbox[Any]) -> WidgetState:  # as a browser does whose text is no option any more
        state = WidgetState(id=box.id)
        if answer is not None and box.key == "compare_b":
            state.string_value = answer
        return state

    with monkeypatch.context() as patch:
        patch.setattr(Selectbox, "_widget_state", property(sent))
        test.run()
    assert not test.exception
    assert (test.query_params["other"], test.query_params["with"]) == ("delta", "random")
    assert test.selectbox(key="compare_b").value == "delta"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"other": "gone"}, "no such run"),
        ({"with": "../sample"}, "not the id of a run"),
        ({"other": "delta", "by": "colour"}, "one of role, block"),
        ({"other": "delta", "layer": "colour"}, "overlap"),
        ({"other": "delta", "matrix": "no.such"}, "no matrix"),
        ({"other": "lm"}, "no matrix that all of them pruned"),
    ],
)
def test_a_bad_link_says_what_is_wrong_and_the_page_offers_what_there_is(
    open_page: OpenPage, runs: Beside, address: dict[str, str], said: str
) -> None:
    test = open_page("compare", run="sample", **address)
    assert not test.exception
    assert any(said in error.value.replace("\\", "") for error in test.error)
    assert test.selectbox(key="compare_b").options


def test_the_run_itself_beside_it_is_no_other_run(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("compare", run="sample", other="sample")
    assert not test.exception
    assert test.query_params["other"] != "sample"


def test_seven_runs_are_too_many(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("compare", run="sample", **{"with": "a,b,c,d,e,f"})
    assert any("at most 6" in error.value for error in test.error)


# --- one click ---------------------------------------------------------------------------------


def test_one_click_takes_what_the_store_has_and_makes_the_rest(
    open_page: OpenPage, runs: Beside, store_of_jobs: FakeJobs
) -> None:
    test = open_page("compare", run="sample")
    label = "Compare with Largest difference, Largest magnitude and Random"
    press(test, label)
    assert not test.exception
    jobs = store_of_jobs.list_jobs()
    assert sorted(job.params["method"] for job in jobs) == ["magnitude", "random"]
    own = runs["sample"].spec
    for job in jobs:
        assert (job.params["keep"], job.params["base"], job.params["model"]) == (own.keep, own.base, own.model)
    assert test.query_params["other"] == "delta"  # at this budget the store has it
    assert test.query_params["with"] == "job0,job1"
    assert "2 runs in progress" in words(test)
    press(test, label)
    assert len(store_of_jobs.list_jobs()) == 2  # the same click again is the same jobs


def test_a_failed_job_is_shown_beside_what_can_be_compared(
    open_page: OpenPage, runs: Beside, store_of_jobs: FakeJobs
) -> None:
    job = store_of_jobs.submit("prune", json.loads(runs["sample"].spec.to_json()))
    store_of_jobs.change(job, state="failed", finished=1.0, error={"type": "MemoryError", "message": "no memory"})
    test = open_page("compare", **MAP, **{"with": job})
    assert any("no memory" in error.value for error in test.error)
    assert test.title[0].value.startswith("KEN and Largest difference")


def test_the_overview_offers_the_same_click(open_page: OpenPage, runs: Beside, store_of_jobs: FakeJobs) -> None:
    test = open_page("overview", run="lm", open="rules")
    assert not test.exception
    assert "KEN: it needs the base model" in words(test)
    press(test, "Compare with Wanda, every block alike, Largest magnitude and Random")
    asked = {(job.params["method"], job.params["allocation"]) for job in store_of_jobs.list_jobs()}
    assert asked == {("wanda", "uniform"), ("magnitude", "uniform"), ("random", "uniform")}


# --- words -------------------------------------------------------------------------------------


def difference(**fields: Any) -> Difference:
    return Difference(
        **{"measure": "accuracy", "first": 0.75, "second": 0.8, "low": 0.01, "high": 0.09, "paired": True} | fields
    )


def test_quality_in_words() -> None:
    names = ("KEN", "Random")
    text = compare_words.quality(difference(lost=3, won=20, p=0.0004), names)
    assert text == (
        "Random has 5.0 points more accuracy than KEN (95 % interval: 1.0 to 9.0 more): it lost 3 "
        "examples and won 20, p\xa0<\xa0.001, more than chance."
    )
    text = compare_words.quality(difference(low=-0.1, paired=False), names)
    assert "could be chance. Outcomes per example are not stored" in text
    nats = difference(measure="nll", first=3, second=2.9, high=-0.05, low=-0.2)
    text = compare_words.quality(nats, names)
    assert text.startswith("Random needs 0.100 nats per token less than KEN (less is better; 95 % interval: 0.050 to")
    alike = difference(second=0.75, low=-0.01, high=0.01, lost=0, won=0, p=1.0)
    assert compare_words.quality(alike, names) == "Random and KEN get the same examples right."
    assert compare_words.quality("other data", names) == "Quality cannot be compared: other data."


# --- routes ------------------------------------------------------------------------------------


@pytest.fixture
def client(runs: Beside) -> TestClient:
    return TestClient(Starlette(routes=routes()))


def test_the_picture_of_single_weights_says_who_keeps_them(client: TestClient, runs: Beside) -> None:
    query = {**MAP, "matrix": UP, "layer": "overlap", "r0": 3, "r1": 40, "c0": 5, "c1": 29}
    header, planes = decode(client.get("/kenviz/window", params=query).content)
    assert (header["layer"], header["cell"]) == ("overlap", [1, 1])
    part = slice(*header["rows"]), slice(*header["cols"])
    np.testing.assert_array_equal(planes["kept"], runs["sample"].keep(UP)[part])
    np.testing.assert_array_equal(planes["other"], runs["delta"].keep(UP)[part])
    other = {**query, "layer": "kept"}  # exact windows serve all layers
    assert "other" in decode(client.get("/kenviz/window", params=other).content)[1]


def test_larger_cells_have_the_share_of_each(client: TestClient, runs: Beside) -> None:
    query = {**MAP, "matrix": UP, "layer": "overlap", "h": 8, "w": 4}
    header, planes = decode(client.get("/kenviz/window", params=query).content)
    high, wide = header["cell"]
    assert (high, wide) == (8, 4)
    a, b = (runs[name].keep(UP) for name in ("sample", "delta"))
    blocks = (a != b).reshape(96 // high, high, 48 // wide, wide).mean((1, 3))
    np.testing.assert_allclose(planes["data"], blocks, atol=1e-6)
    np.testing.assert_allclose(planes["only_a"] + planes["only_b"], blocks, atol=1e-6)


def test_the_table_of_a_window_names_the_other_run_too(client: TestClient, runs: Beside) -> None:
    query = {**MAP, "matrix": UP, "r0": 0, "r1": 2, "c0": 0, "c1": 9}
    lines = list(csv.DictReader(io.StringIO(client.get("/kenviz/window.csv", params=query).text)))
    wanted = runs["delta"].keep(UP)[:2, :9].ravel().astype(int)
    assert [int(line["kept_by_other"]) for line in lines] == wanted.tolist()


@pytest.mark.parametrize(("other", "status"), [("gone", 404), ("../sample", 404), ("lm", 404), (None, 400)])
def test_refusals(client: TestClient, other: str | None, status: int) -> None:
    query = {"run": "sample", "matrix": UP, "layer": "overlap"} | ({} if other is None else {"other": other})
    answer = client.get("/kenviz/window", params=query)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_a_change_of_either_run_makes_a_kept_answer_stale(client: TestClient, runs: Beside) -> None:
    query: dict[str, Any] = {**MAP, "matrix": UP, "layer": "overlap"}
    stamp = "+".join(state.stamp(runs[name].path) for name in ("sample", "delta"))
    fresh = client.get("/kenviz/window", params=query | {"v": stamp})
    assert "immutable" in fresh.headers["cache-control"]
    old = client.get("/kenviz/window", params=query | {"v": state.stamp(runs["sample"].path)})
    assert "immutable" not in old.headers["cache-control"]


def test_a_store_of_one_run_offers_other_rules_alone(open_page: OpenPage, store: Run) -> None:
    test = open_page("compare", run="sample")
    assert not test.exception
    assert "No other run yet." in words(test)
    assert any(found.label.startswith("Compare with") for found in test.button)


def test_a_matrix_that_only_one_run_pruned_is_said(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("compare", **MAP, matrix="classifier.weight")
    assert not test.exception
    assert "classifier.weight is not pruned in all of these runs" in words(test)
