"""The prune page against a job store in memory: forms, states of a job, lists, mistakes."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from kencore.runs.naming import describe
from kencore.settings.prune import PruneSpec
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs


@pytest.fixture
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path).install(monkeypatch)


def button(test: AppTest, label: str) -> Any:
    return next(found for found in test.button if found.label == label)


def start(test: AppTest) -> AppTest:
    return button(test, "Start pruning").click().run()


def changed(store_of_jobs: FakeJobs, job: str = "job0") -> dict[str, Any]:
    """What was asked of a job where it is not as usual."""
    usual = json.loads(PruneSpec(model="?", method="random", keep=0.123).to_json())
    asked = store_of_jobs.found[job].params
    usual |= {"keep": None, "method": None}
    return {name: value for name, value in asked.items() if value != usual[name]}


def own_models(test: AppTest, tuned: str, base: str) -> AppTest:
    test.get_by_key("prune_which").set_value("My own models").run()
    test.text_input(key="prune_model").set_value(tuned)
    test.text_input(key="prune_base").set_value(base)
    return test


def test_the_demo_starts_with_one_click(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = start(open_page("prune"))
    assert not test.exception
    assert test.query_params["job"] == "job0"
    params = store_of_jobs.found["job0"].params
    assert params["model"] == "demo"
    assert params["base"] == "demo-base"
    assert (params["method"], params["keep"], params["k"]) == ("ken", 0.5, None)
    assert (params["evaluation"], params["baselines"]) == ("demo", True)
    assert params["scope"] == ["all"]


def test_every_setting_arrives(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = own_models(open_page("prune"), " /models/tuned ", "org/base")
    test.text_input(key="prune_model_at").set_value("v1")
    test.radio(key="prune_method_own_base").set_value("delta")
    test.get_by_key("prune_unit").set_value("Weights per row (k)").run()
    test.number_input(key="prune_k").set_value(12)
    test.multiselect(key="prune_scope").set_value(["attention", "down"])
    test.checkbox(key="prune_embeddings").uncheck()
    test.checkbox(key="prune_vectors").uncheck()
    test.checkbox(key="prune_head").uncheck()
    test.selectbox(key="prune_data_either").set_value("Demo sentences").run()
    test.checkbox(key="prune_baselines").uncheck()
    test.selectbox(key="prune_rescale").set_value("energy")
    test.selectbox(key="prune_device").set_value("cpu")
    test.number_input(key="prune_seed").set_value(9)
    start(test)
    assert not test.exception
    assert not test.error
    assert changed(store_of_jobs) == {
        "model": "/models/tuned",
        "base": "org/base",
        "model_revision": "v1",
        "method": "delta",
        "k": 12,
        "scope": ["attention", "down"],
        "embeddings": False,
        "vectors": False,
        "head": False,
        "evaluation": "demo",
        "baselines": False,
        "rescale": "energy",
        "seed": 9,
        "device": "cpu",
    }


def test_rescaling_is_off_and_offered_beside_a_base_alone(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("prune")
    assert test.selectbox(key="prune_rescale").value == "none"
    start(test)
    assert "rescale" not in changed(store_of_jobs)
    test.selectbox(key="prune_rescale").set_value("share")
    start(test)
    assert store_of_jobs.found["job1"].params["rescale"] == "share"
    test.get_by_key("prune_which").set_value("Demo language model").run()
    assert "prune_rescale" not in {box.key for box in test.selectbox}
    start(test)
    assert store_of_jobs.found["job2"].params["rescale"] == "none"
    test.get_by_key("prune_rest_demo-lm").set_value("base").run()
    assert "prune_rescale" in {box.key for box in test.selectbox}


def test_all_stands_alone(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("prune")
    test.multiselect(key="prune_scope").set_value(["all", "attention"]).run()
    assert test.multiselect(key="prune_scope").value == ["attention"]
    test.multiselect(key="prune_scope").set_value(["attention", "down"]).run()
    assert test.multiselect(key="prune_scope").value == ["attention", "down"]
    test.multiselect(key="prune_scope").set_value(["attention", "down", "all"]).run()
    assert test.multiselect(key="prune_scope").value == ["all"]
    start(test)
    assert not test.exception
    assert store_of_jobs.found["job0"].params["scope"] == ["all"]


def test_baselines_need_sentences(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("prune")
    assert not test.checkbox(key="prune_baselines").disabled
    test.selectbox(key="prune_data_demo").set_value("Do not measure").run()
    assert test.checkbox(key="prune_baselines").disabled
    start(test)
    params = store_of_jobs.found["job0"].params
    assert (params["evaluation"], params["baselines"]) == (None, False)
    test.selectbox(key="prune_data_demo").set_value("Demo sentences").run()
    assert not test.checkbox(key="prune_baselines").disabled
    assert test.checkbox(key="prune_baselines").value


def test_a_second_click_is_the_same_job(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = start(open_page("prune"))
    start(test)
    start(test)
    assert list(store_of_jobs.found) == ["job0"]


def test_the_same_settings_run_again_once_the_job_has_ended(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = start(open_page("prune"))
    store_of_jobs.change("job0", state="succeeded", started=time.time(), finished=time.time())
    start(test)  # at once: still the same impatient click
    assert list(store_of_jobs.found) == ["job0"]
    store_of_jobs.change("job0", finished=time.time() - 60)
    start(test)
    assert list(store_of_jobs.found) == ["job0", "job1"]


def test_other_settings_are_another_job(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = start(open_page("prune"))
    test.slider(key="prune_share").set_value(25)
    start(test)
    assert [job.params["keep"] for job in store_of_jobs.found.values()] == [0.5, 0.25]
    assert test.query_params["job"] == "job1"


def test_a_mistake_is_said_and_nothing_typed_is_lost(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = own_models(open_page("prune"), "/models/tuned", "")
    test.slider(key="prune_share").set_value(33)
    start(test)
    assert not test.exception
    assert "no base model" in test.error[0].value
    assert not store_of_jobs.found
    assert test.text_input(key="prune_model").value == "/models/tuned"
    assert test.slider(key="prune_share").value == 33
    test.text_input(key="prune_base").set_value("/models/base")
    start(test)
    assert not test.error
    assert store_of_jobs.found["job0"].params["model"] == "/models/tuned"


def test_what_was_typed_survives_a_visit_to_another_page(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = own_models(open_page("prune"), "/models/tuned", "/models/base").run()
    test.switch_page("app_pages/overview/page.py").run()
    test.switch_page("app_pages/prune/page.py").run()
    assert test.text_input(key="prune_model").value == "/models/tuned"


def test_a_running_job_shows_how_far_it_is(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    store_of_jobs.submit("prune", {"model": "demo", "keep": 0.5})
    store_of_jobs.change(
        "job0",
        state="running",
        done=30,
        total=120,
        message="Pruning layer.3",
        seconds_left=42.0,
        started=time.time() - 14,
        device="cpu",
    )
    test = open_page("prune", job="job0")
    assert not test.exception
    assert (test.progress[0].value, test.progress[0].text) == (25, "Pruning layer.3")
    line = next(caption.value for caption in test.caption if "left" in caption.value)
    told = re.fullmatch(r"25 % · about 42 s left · running for (\d+) s · cpu", line)
    assert told
    assert int(told[1]) >= 14  # more on a busy machine
    store_of_jobs.change("job0", seconds_left=0.04)
    assert any("less than a second left" in caption.value for caption in test.run().caption)


def test_a_queued_job_says_what_it_waits_for(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    start(open_page("prune"))
    store_of_jobs.change("job0", state="running", started=time.time(), seconds_left=42.0)
    job = store_of_jobs.submit("inspect", {"model": "demo"})
    shown = [caption.value for caption in open_page("prune", job=job).caption]
    assert any("Waits for" in text and text.endswith("about 42 s left.") for text in shown)
    assert not any("Waits for" in caption.value for caption in open_page("prune", job="job0").caption)


def test_cancel_reaches_the_store(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = start(open_page("prune"))
    store_of_jobs.change("job0", state="running", started=time.time())
    test.run()
    test.button(key="cancel-job0").click().run()
    assert store_of_jobs.cancelled == ["job0"]
    assert not test.exception
    assert any("Cancelled. Nothing was written." in text.value for text in test.caption)


def test_a_mistake_of_the_worker_is_said_in_full(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    start(open_page("prune"))
    error = {
        "type": "SourceNotFoundError",
        "message": "",
        "subject": "/models/tuned",
        "got": "no such folder",
        "wanted": "a model folder",
        "remedy": "Check the path.",
    }
    store_of_jobs.change("job0", state="failed", error=error, finished=time.time())
    said = open_page("prune", job="job0").error[0].value
    for part in ("no such folder", "a model folder", "Check the path."):
        assert part in said


def test_a_fault_of_the_program_comes_with_its_log(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    start(open_page("prune"))
    error = {
        "type": "ValueError",
        "message": "boom",
        "subject": "The job",
        "got": "a fault",
        "wanted": "",
        "remedy": "Its log holds the details.",
    }
    store_of_jobs.change("job0", state="failed", error=error, finished=time.time())
    test = open_page("prune", job="job0")
    assert "ValueError: boom" in test.error[0].value
    assert test.code[0].value == "log of job0"


def test_a_finished_job_leads_to_its_run(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    start(open_page("prune"))
    store_of_jobs.change("job0", state="succeeded", started=time.time() - 3, finished=time.time(), device="cpu")
    test = open_page("prune", job="job0")
    assert not test.exception
    labels = [link.value for link in test.page_link]
    assert labels[:2] == ["Open the run", "Open its matrices"]
    assert any(caption.value == "Finished in 3.0 s on cpu" for caption in test.caption)


def test_an_unknown_job_is_a_message(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("prune", job="nobody")
    assert not test.exception
    assert test.error


def test_inspection_shows_what_was_found(open_page: OpenPage, store_of_jobs: FakeJobs, tmp_path: Path) -> None:
    test = open_page("prune")
    button(test, "Inspect").click().run()
    assert store_of_jobs.found["job0"].params == {"model": "demo", "base": "demo-base", "data": "demo"}
    assert test.query_params["inspect"] == "job0"
    (tmp_path / "job0").mkdir()
    (tmp_path / "job0" / "result.json").write_text(json.dumps(FOUND))
    store_of_jobs.change("job0", state="succeeded", started=1.0, finished=2.0)
    test = open_page("prune", inspect="job0")
    assert not test.exception
    values = {metric.label: metric.value.replace("\xa0", " ") for metric in test.metric}
    assert values == {"Can be pruned": "1.4 M", "On disk": "2.87 MB", "Time": "about 2.5 s", "Memory": "about 541 MB"}
    text = " ".join(part.value for part in (*test.markdown, *test.caption))
    assert "BertForSequenceClassification" in text
    assert "Counts whole numbers: position\\_ids" in text
    assert "New head: classifier.weight" in text
    assert test.dataframe[0].value["Can be pruned"].tolist() == [98_304, 0]
    assert "run the model on text" not in text
    button(test, "Time every method").click().run()
    assert store_of_jobs.found["job1"].params == {"model": "demo", "base": "demo-base", "data": "demo", "time": True}
    line = {"method": "ken", "allocation": "uniform", "seconds": 3.0, "low": 2.0, "high": 4.5}
    told = {"time": {"ranges": [line], "measured": True, "probe_seconds": 9.0}}
    (tmp_path / "job1").mkdir()
    (tmp_path / "job1" / "result.json").write_text(json.dumps(FOUND | told))
    store_of_jobs.change("job1", state="succeeded", started=1.0, finished=2.0)
    test = open_page("prune", inspect="job1")
    shown = next(table.value for table in test.dataframe if "Between" in table.value)
    assert shown.iloc[0].tolist() == ["KEN", "Uniform", "2.0 s", "4.5 s"]
    streams = {"streams": {"matrices": 2, "parameters": 98_304}}
    (tmp_path / "job0" / "result.json").write_text(json.dumps(FOUND | streams))
    test = open_page("prune", inspect="job0")
    assert {metric.label: metric.delta for metric in test.metric}["Time"] == "by weights alone"
    assert any("run the model on text take longer" in part.value for part in test.caption)


def test_inspection_says_what_labels_mean_before_anything_is_measured(
    open_page: OpenPage, store_of_jobs: FakeJobs, tmp_path: Path
) -> None:
    notes = ["400 labeled sentences.", "Labels: label 0 = class 'negative', label 1 = class 'positive'."]
    looked = FOUND | {"data": {"data": "my_*.tsv", "notes": notes, "problem": None}}
    store_of_jobs.submit("inspect", {"model": "demo"})
    store_of_jobs.change("job0", state="succeeded", started=1.0, finished=2.0)
    (tmp_path / "job0").mkdir()
    (tmp_path / "job0" / "result.json").write_text(json.dumps(looked))
    test = open_page("prune", inspect="job0")
    assert not test.exception
    assert f":material/info: {notes[1]}" in [text.value for text in test.caption]
    assert any("**my\\_\\*.tsv**" in text.value for text in test.markdown)


FOUND: dict[str, Any] = {
    "architecture": "BertForSequenceClassification",
    "blocks": 6,
    "bytes": 2_870_000,
    "parameters": {"total": 1_435_522, "prunable": 1_435_000, "untouchable": 522, "tensors": 90},
    "roles": [
        {"name": "q", "tensors": 6, "parameters": 98_304, "prunable": 98_304},
        {"name": "other", "tensors": 1, "parameters": 522, "prunable": 0},
    ],
    "dtypes": [{"name": "F16", "tensors": 90, "parameters": 1_435_522, "bytes": 2_870_000}],
    "patterns": [
        {"pattern": "l.*.q", "role": "q", "part": "attention", "shape": [4, 4], "tensors": 6, "parameters": 98_304}
    ],
    "unprunable": [
        {"name": "position_ids", "shape": [522], "dtype": "I64", "parameters": 522, "reason": "counts whole numbers"}
    ],
    "tied": [],
    "new_heads": ["classifier.weight"],
    "notes": ["New head: classifier.weight"],
    "estimate": {"seconds": 2.5, "memory_bytes": 541_000_000, "threads": 2, "how": "An estimate."},
}


def test_a_model_can_be_inspected_without_its_base(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = own_models(open_page("prune"), "/models/tuned", "")
    button(test, "Inspect").click().run()
    assert not test.error
    assert store_of_jobs.found["job0"].params == {"model": "/models/tuned"}


def test_inspecting_nothing_is_a_message(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = own_models(open_page("prune"), "", "")
    button(test, "Inspect").click().run()
    assert "model" in test.error[0].value.lower()
    assert not store_of_jobs.found


def test_the_list_shows_jobs_that_one_comes_back_to(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    store_of_jobs.submit("prune", {"model": "demo", "keep": 0.25})
    store_of_jobs.submit("inspect", {"model": "demo"})
    test = open_page("prune")
    shown = [text.value for text in test.markdown]
    assert describe({"model": "demo", "method": "ken", "keep": 0.25}) in shown
    assert "Inspect demo" not in shown  # looking is not a job to come back to
    test.button(key="show-job0").click().run()
    assert test.query_params["job"] == "job0"


def test_what_did_not_finish_is_folded_away_and_says_why(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    for keep in (0.1, 0.2, 0.3, 0.4):
        store_of_jobs.submit("prune", {"model": "demo", "keep": keep})
    mended = {
        "type": "SourceNotFoundError",
        "message": "",
        "subject": "/models/tuned",
        "got": "no such folder",
        "wanted": "a model folder",
        "remedy": "Check the path.",
    }
    fault = mended | {"type": "ValueError", "message": "boom. And more.", "wanted": ""}
    now = time.time()
    store_of_jobs.change("job0", state="failed", error=mended, finished=now)
    store_of_jobs.change("job1", state="failed", error=fault, finished=now)
    store_of_jobs.change("job2", state="cancelled", finished=now)
    test = open_page("prune")
    assert not test.exception
    folded = next(box for box in test.expander if box.label == "3 unfinished")
    assert not folded.proto.expanded
    assert [button.key for button in folded.button] == ["show-job2", "show-job1", "show-job0"]
    assert [caption.value for caption in folded.caption] == [
        "just now · cancelled, nothing was written",
        "just now · boom",
        "just now · /models/tuned: no such folder",
    ]
    assert test.button(key="show-job3")  # what waits stays in view
    assert "show-job3" not in [button.key for button in folded.button]
