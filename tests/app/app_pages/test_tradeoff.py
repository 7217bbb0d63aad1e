"""The trade-off page: no sweep, a whole one, one under way, links good and bad, the form."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.forms import sweep as tradeoff_form
from app.frame import state
from kencore.errors import SpecError
from kencore.runs.run import Run
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.shelf import Sweep, open_sweep
from kencore.system.places import runs_folder
from tests.app.app_pages.test_sparsity import figure, numbers
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs
from tests.support.sweeps import make_sweep

FIGURE = "Lines of accuracy over"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store's folder with a sweep of 9 points, one failed and one missing, made once."""
    home = tmp_path_factory.mktemp("sweep-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KENVIZ_HOME", str(home))
        found = make_sweep(
            tmp_path_factory.mktemp("pair"), methods=("delta", "random"), keeps=(0.5, 0.25, 0.1), seeds=(0, 1)
        )
    return home, found.id


@pytest.fixture
def sweep(store: Run, home: Path, made: tuple[Path, str]) -> Sweep:
    """A copy of it in the test's store, beside the run ``sample``."""
    shutil.copytree(made[0], home, dirs_exist_ok=True)
    state.forget_runs()
    return open_sweep(made[1])


@pytest.fixture(autouse=True)
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path).install(monkeypatch)


def words(test: AppTest) -> str:
    parts = (*test.title, *test.caption, *test.markdown, *test.info, *test.warning)
    return " ".join(part.value for part in parts).replace("\xa0", " ")


def test_what_points_note_is_said_once(open_page: OpenPage, sweep: Sweep) -> None:
    for name in sweep.points.loc[sweep.points["state"] == "done", "run"]:
        path = runs_folder() / name / "metrics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"data_notes": ["Labels: label 1 = class 'good'."]}))
    test = open_page("tradeoff", sweep=sweep.id)
    assert not test.exception
    notes = [text.value for text in test.caption if text.value.startswith(":material/info:")]
    assert notes == [":material/info: Labels: label 1 = class 'good'."]


def test_a_sweep_of_another_model_says_so(open_page: OpenPage, sweep: Sweep) -> None:
    own = open_page("tradeoff", sweep=sweep.id, run=point(sweep, "delta", 0.5))
    assert "the run in the sidebar is of" not in words(own)
    other = open_page("tradeoff", sweep=sweep.id, run="sample")
    assert "the run in the sidebar is of" in words(other)
    assert not own.exception
    assert not other.exception


def point(sweep: Sweep, method: str, keep: float, seed: int = 0) -> str:
    return f"sweep-{sweep.id}-{method}-{keep}-s{seed}"


# --- no sweep -----------------------------------------------------------------------------------


def test_without_a_sweep_one_click_starts_one(open_page: OpenPage, store_of_jobs: FakeJobs, store: Run) -> None:
    test = open_page("tradeoff")
    assert not test.exception
    assert "prunes one model in several ways" in words(test)
    test.button(key="tradeoff-demo").click().run()
    assert not test.exception
    assert not test.error
    (job,) = store_of_jobs.found.values()
    assert job.kind == "sweep"
    spec = SweepSpec.from_dict(job.params)
    assert (spec.model, spec.base, spec.evaluation) == ("demo", "demo-base", "demo")
    assert test.query_params["sweep"] == spec.id
    assert any(button.key == "cancel-job0" for button in test.button)


# --- results ------------------------------------------------------------------------------------


def test_the_newest_sweep_is_shown_with_its_own_numbers(open_page: OpenPage, sweep: Sweep) -> None:
    test = open_page("tradeoff")
    assert not test.exception
    assert not test.error
    lines = {trace["name"]: trace for trace in figure(test, FIGURE)["data"]}
    table = sweep.points
    delta = table[table["method"] == "delta"].sort_values("keep")
    assert list(numbers(lines["Largest difference"]["y"])) == pytest.approx(list(100 * delta["quality"]))
    assert list(numbers(lines["Largest difference"]["x"])) == pytest.approx(list(delta["kept_share"]))
    assert lines["Largest difference"]["customdata"] == list(delta["run"])
    assert "Largest magnitude" in lines  # a baseline
    assert "Largest difference keeps accuracy within the interval" in words(test)
    assert "7 of 9 points done · 1 failed · 1 missing" in words(test)


def test_every_point_has_a_line_and_a_link_and_failures_their_reason(open_page: OpenPage, sweep: Sweep) -> None:
    test = open_page("tradeoff", sweep=sweep.id)
    table = next(found.value for found in test.dataframe if "Way" in found.value)
    assert len(table) == 8  # seven are done, one failed
    first = table.iloc[0]
    assert (first["Way"], first["Kept"], first["Open"]) == (
        "Largest difference",
        50.0,
        f"./?run={point(sweep, 'delta', 0.5)}",
    )
    assert first["Accuracy"] == pytest.approx(100 * sweep.points["quality"].iloc[0])
    failed = table[table["State"] == "failed"]
    assert failed["Open"].isna().all()
    assert "random at 10 %, seed 0: encoder.weight, rescaled: infinity in row 3" in words(test)


def test_the_best_for_each_budget_and_ties(open_page: OpenPage, sweep: Sweep) -> None:
    test = open_page("tradeoff", sweep=sweep.id)
    best = test.table[0].value.map(lambda text: str(text).replace("\xa0", " "))
    assert best["Budget"].tolist() == ["50 %", "25 %", "10 %"]
    assert set(best["Best"]) == {"Largest difference"}
    accuracy = sweep.points.loc[sweep.points["method"] == "delta", "quality"]
    assert best["Accuracy"].tolist() == [f"{100 * value:.1f} %" for value in accuracy]
    assert best["Tied with it"].iloc[2] == "none"


def test_views_are_links(open_page: OpenPage, sweep: Sweep) -> None:
    test = open_page("tradeoff", sweep=sweep.id, measure="loss", size="bytes", scale="log", show_baselines="off")
    assert not test.exception
    assert not test.error
    drawn = figure(test, "Lines of loss over size of the subnetwork file")
    assert drawn["layout"]["xaxis"]["type"] == "log"
    assert "Largest magnitude" not in {trace["name"] for trace in drawn["data"]}
    from kencore.exports.subnetwork.plan import subnetwork_bytes

    smallest = subnetwork_bytes(Run(runs_folder() / point(sweep, "delta", 0.1)))
    delta = next(trace for trace in drawn["data"] if trace["name"] == "Largest difference")
    assert min(numbers(delta["x"])) == smallest
    test.get_by_key("choose_measure").set_value("f1").run()
    assert test.query_params["measure"] == "f1"
    assert figure(test, "Lines of macro F1")


def test_files_whose_checkpoints_are_gone_have_an_estimated_size(open_page: OpenPage, sweep: Sweep) -> None:
    for run in sweep.points["run"]:
        path = runs_folder() / run / "record.json"
        if path.is_file():
            record = json.loads(path.read_text())
            record["sources"]["tuned"]["text"] = "/no/such/folder"
            record["created"] = "2026-11-22T00:00:00+00:00"
            path.write_text(json.dumps(record, indent=2))
    test = open_page("tradeoff", sweep=sweep.id, size="bytes")
    assert not test.exception
    delta = next(trace for trace in figure(test, FIGURE)["data"] if trace["name"] == "Largest difference")
    assert min(numbers(delta["x"])) == sweep.points["bytes_stored"].min()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"sweep": "0123456789ab"}, "no such sweep"),
        ({"sweep": "../runs"}, "not the id of a sweep"),
        ({"measure": "beauty"}, "'beauty'"),
        ({"size": "7"}, "'7'"),
        ({"view": "x"}, "'x'"),
        ({"show_baselines": "maybe"}, "'maybe'"),
    ],
)
def test_bad_links_are_said(open_page: OpenPage, sweep: Sweep, query: dict[str, str], said: str) -> None:
    test = open_page("tradeoff", **query)
    assert not test.exception
    assert said in test.error[0].value
    if "sweep" in query:  # another one can be chosen
        test.get_by_key("sweep_choice").set_value(sweep.id).run()
        assert not test.error
        assert test.query_params["sweep"] == sweep.id


def test_the_note_says_what_was_measured(open_page: OpenPage, sweep: Sweep) -> None:
    said = words(open_page("tradeoff", sweep=sweep.id))
    for part in ("1,000 labeled sentences (demo)", "Seeds 0, 1;", "95 %", "partly luck", "Kneedle"):
        assert part in said


def test_a_sweep_that_measured_nothing_has_no_curve_but_its_runs(open_page: OpenPage, sweep: Sweep) -> None:
    for run in sweep.points.loc[sweep.points["state"] == "done", "run"]:
        (runs_folder() / run / "metrics.json").write_text("{}")
    test = open_page("tradeoff", sweep=sweep.id)
    assert not test.exception
    assert "No point is measured yet" in words(test)
    assert not test.get("plotly_chart")
    assert len(test.dataframe[0].value) == 8


# --- going on, deleting -------------------------------------------------------------------------


def test_what_is_missing_goes_on_with_the_same_settings(
    open_page: OpenPage, store_of_jobs: FakeJobs, sweep: Sweep
) -> None:
    test = open_page("tradeoff", sweep=sweep.id)
    test.button(key="tradeoff-go-on").click().run()
    assert not test.exception
    (job,) = store_of_jobs.found.values()
    assert SweepSpec.from_dict(job.params) == sweep.spec
    assert test.query_params["sweep"] == sweep.id
    assert "tradeoff-go-on" not in {button.key for button in test.button}  # it is under way
    assert "points appear as they finish" in words(test)
    store_of_jobs.change("job0", state="cancelled", finished=time.time())
    assert "tradeoff-go-on" in {button.key for button in open_page("tradeoff", sweep=sweep.id).button}


def test_points_appear_while_it_runs(
    open_page: OpenPage, store_of_jobs: FakeJobs, sweep: Sweep, tmp_path: Path
) -> None:
    last = point(sweep, "delta", 0.1)
    (runs_folder() / last).rename(tmp_path / last)
    store_of_jobs.submit("sweep", json.loads(sweep.spec.to_json()))
    store_of_jobs.change("job0", state="running", done=6, total=9, message="delta", started=time.time())
    test = open_page("tradeoff", sweep=sweep.id)
    delta = next(t for t in figure(test, FIGURE)["data"] if t["name"] == "Largest difference")
    assert len(numbers(delta["y"])) == 2
    (tmp_path / last).rename(runs_folder() / last)
    test.run()
    delta = next(t for t in figure(test, FIGURE)["data"] if t["name"] == "Largest difference")
    assert len(numbers(delta["y"])) == 3


def test_a_failed_job_says_why_beside_what_is_finished(
    open_page: OpenPage, store_of_jobs: FakeJobs, sweep: Sweep
) -> None:
    store_of_jobs.submit("sweep", json.loads(sweep.spec.to_json()))
    error = {
        "type": "CheckpointChangedError",
        "message": "",
        "subject": "/models/tuned",
        "got": "other weights",
        "wanted": "the same",
        "remedy": "Start a new one.",
    }
    store_of_jobs.change("job0", state="failed", error=error, finished=time.time())
    test = open_page("tradeoff", sweep=sweep.id)
    assert "other weights" in test.error[0].value
    assert figure(test, FIGURE)


def test_deleting_takes_the_runs_along(open_page: OpenPage, sweep: Sweep, store: Run) -> None:
    run = point(sweep, "delta", 0.5)
    test = open_page("tradeoff", sweep=sweep.id, run=run)
    test.button(key=f"delete-sweep-{sweep.id}").click().run()
    assert not test.exception
    assert not list(runs_folder().glob(f"sweep-{sweep.id}-*"))
    assert store.path.is_dir()
    assert "sweep" not in test.query_params
    assert "run" not in test.query_params
    assert "prunes one model in several ways" in words(test)  # there is none now


# --- points among the runs ----------------------------------------------------------------------


def test_points_do_not_flood_the_list_of_runs_but_can_be_looked_at(open_page: OpenPage, sweep: Sweep) -> None:
    assert len(open_page("overview").selectbox(key="run_choice").options) == 1
    run = point(sweep, "random", 0.25, 1)
    test = open_page("overview", run=run)
    assert not test.exception
    assert not test.error
    assert test.selectbox(key="run_choice").value == run
    assert len(test.selectbox(key="run_choice").options) == 2
    link = next(found for found in test.sidebar.page_link if "sweep" in found.value.lower())
    assert sweep.id in str(link.proto)
    test.selectbox(key="run_choice").set_value("sample").run()
    assert test.query_params["run"] == "sample"
    assert len(test.selectbox(key="run_choice").options) == 1


def test_a_sweep_is_named_among_the_jobs(open_page: OpenPage, store_of_jobs: FakeJobs, sweep: Sweep) -> None:
    store_of_jobs.submit("sweep", json.loads(sweep.spec.to_json()))
    store_of_jobs.change("job0", state="succeeded", started=1.0, finished=9.0)
    test = open_page("prune", job="job0")
    assert not test.exception
    assert f"Sweep of {sweep.label}" in words(test)
    assert "Open the sweep" in [link.value for link in test.page_link]


# --- the form -----------------------------------------------------------------------------------


def test_every_setting_of_the_form_arrives(open_page: OpenPage, store_of_jobs: FakeJobs, sweep: Sweep) -> None:
    test = open_page("tradeoff", view="new")
    test.multiselect(key="tradeoff_methods_demo_base").set_value(["ken", "magnitude"])
    test.multiselect(key="tradeoff_rescales_demo_base").set_value(["none", "share"])
    test.multiselect(key="tradeoff_keeps").set_value(["50 %", "33.3", "12,5 %"])
    test.multiselect(key="tradeoff_seeds").set_value(["0", "17"])
    test.multiselect(key="prune_scope").set_value(["attention"])
    test.selectbox(key="prune_device").set_value("cpu").run()
    assert "12 prunings" in words(test)  # no seed changes them
    test.button(key="tradeoff-start").click().run()
    assert not test.exception
    assert not test.error
    params = store_of_jobs.found["job0"].params
    assert {name: params[name] for name in ("methods", "rescales", "keeps", "seeds", "scope")} == {
        "methods": ["ken", "magnitude"],
        "rescales": ["none", "share"],
        "keeps": [0.5, 0.333, 0.125],
        "seeds": [0, 17],
        "scope": ["attention"],
    }
    assert (params["evaluation"], params["device"], params["model"]) == ("demo", "cpu", "demo")
    assert test.query_params["sweep"] == SweepSpec.from_dict(params).id
    assert "view" not in test.query_params


def test_what_cannot_be_is_said_before(open_page: OpenPage, sweep: Sweep) -> None:
    test = open_page("tradeoff", view="new")
    test.get_by_key("prune_which").set_value("My own models").run()
    test.text_input(key="prune_model").set_value("/models/tuned")
    test.text_input(key="prune_base").set_value("/models/base")
    test.multiselect(key="tradeoff_methods_own_base").set_value(["delta", "wanda"])
    test.multiselect(key="tradeoff_keeps").set_value(["100 %", "50 %"]).run()
    assert not test.exception
    assert "3 prunings" in words(test)
    assert "1 combination cannot be" in words(test)
    (skipped,) = (found.value for found in test.dataframe)
    assert skipped["Method"].tolist() == ["Wanda"]
    assert "nothing would be pruned" in skipped["Why"].iloc[0]


def test_a_language_model_has_allocations_and_calibration(
    open_page: OpenPage, store_of_jobs: FakeJobs, sweep: Sweep
) -> None:
    test = open_page("tradeoff", view="new")
    test.get_by_key("prune_which").set_value("Demo language model").run()
    test.multiselect(key="tradeoff_allocations_demo-lm_zero").set_value(["uniform", "owl"]).run()
    assert "18 prunings" not in words(test)
    test.button(key="tradeoff-start").click().run()
    assert not test.exception
    params = store_of_jobs.found["job0"].params
    assert params["methods"] == ["wanda", "magnitude", "random"]
    assert (params["base"], params["sequences"], params["calibration"]) == (None, 32, "pydoc")
    assert params["allocations"] == ["uniform", "owl"]
    assert params["evaluation"] == "pydoc"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tradeoff_keeps", [], "keeps"),
        ("tradeoff_keeps", ["half"], "'half'"),
        ("tradeoff_keeps", ["120 %"], "1.2"),
        ("tradeoff_seeds", ["x"], "'x'"),
        ("tradeoff_methods_demo_base", [], "methods"),
    ],
)
def test_a_mistake_in_the_form_is_said_and_starts_nothing(
    open_page: OpenPage, store_of_jobs: FakeJobs, sweep: Sweep, key: str, value: Any, said: str
) -> None:
    test = open_page("tradeoff", view="new")
    test.multiselect(key=key).set_value(value).run()
    assert not test.exception
    assert said in test.error[0].value
    assert test.button(key="tradeoff-not-yet").disabled
    assert not store_of_jobs.found


def test_without_data_there_is_no_curve_to_start(open_page: OpenPage, sweep: Sweep) -> None:
    test = open_page("tradeoff", view="new")
    test.selectbox(key="prune_data_demo").set_value("Do not measure").run()
    assert test.button(key="tradeoff-start").disabled
    assert "without it there is no curve" in words(test)


def test_shares_are_exact() -> None:
    assert tradeoff_form.shares(["33.3 %", "12,5", "100%"]) == (0.333, 0.125, 1.0)
    with pytest.raises(SpecError, match="half"):
        tradeoff_form.shares(["half"])


def test_the_ready_sweep_is_small_and_can_be() -> None:
    spec = SweepSpec.from_dict(tradeoff_form.DEMO)
    assert len(spec.points()) == 15
    assert spec.skipped() == ()
    assert pd.Series(spec.keeps).is_monotonic_decreasing
