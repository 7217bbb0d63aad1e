"""The recover page: settings that arrive, a curve that grows, and what a tuned run shows."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.forms import recover as recover_form
from app.frame import state
from kencore.runs.run import Run
from kencore.settings.recover import AS_THE_RUN, RecoverSpec
from tests.app.app_pages.test_overview import measure
from tests.app.app_pages.test_prune import button
from tests.app.charts.test_quality import measured
from tests.app.charts.test_tuning import points, told
from tests.app.conftest import OpenPage, make_all, put_beside
from tests.app.fake_jobs import FakeJobs


@pytest.fixture
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path).install(monkeypatch)


@pytest.fixture(scope="session")
def language(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_all(tmp_path_factory, {"lm": {}})


@pytest.fixture
def tuned(store: Run) -> Callable[..., Run]:
    """``tuned("after")``: a run of the store that says it was tuned from ``sample``."""

    def made(name: str, metrics: dict[str, Any] | None = None, **rest: Any) -> Run:
        folder = store.path.parent / name
        shutil.copytree(store.path, folder)
        record = json.loads((folder / "record.json").read_text("utf-8"))
        record["tuned"] = {"from": "sample", "steps": 8, "best_step": 6}
        (folder / "record.json").write_text(json.dumps(record))
        (folder / "tuning.json").write_text(json.dumps(told(**rest)))
        if metrics is not None:
            (folder / "metrics.json").write_text(json.dumps(metrics))
        state.forget_runs()
        return Run(folder)

    return made


def judged(dense: float, untuned: float, pruned: float, **versus: Any) -> dict[str, Any]:
    """Metrics of a tuned run."""
    return {
        "data": "demo without what was trained on",
        "examples": 177,
        "dense": measured(dense),
        "untuned": measured(untuned) | {"versus_dense": {"lost": 30, "won": 2, "mcnemar_p": 1e-6} | versus},
        "pruned": measured(pruned) | {"versus_dense": {"lost": 9, "won": 4, "mcnemar_p": 0.27}},
        "base": measured(0.5),
        "baselines": {},
    }


def start(test: AppTest) -> AppTest:
    return button(test, "Start recovery").click().run()


def changed(store_of_jobs: FakeJobs, job: str = "job0") -> dict[str, Any]:
    """What was asked of a job where it is not as usual."""
    usual = json.loads(RecoverSpec(run="?", data="?").to_json())
    return {name: value for name, value in store_of_jobs.found[job].params.items() if value != usual[name]}


def words(test: AppTest) -> str:
    return " ".join(element.value for element in [*test.markdown, *test.caption])


# --- asking ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", recover_form.USUAL)
def test_what_the_form_starts_with_is_a_spec(kind: recover_form.Kind) -> None:
    usual = recover_form.USUAL[kind]
    data = recover_form.fields(kind, None)["data"].usual or "a file"
    spec = RecoverSpec(run="r", data=data, held_out_share=usual.held_out_share, epochs=usual.epochs, lr=usual.lr)
    assert spec.held_out_share <= 0.5


def test_every_setting_arrives(open_page: OpenPage, store: Run, store_of_jobs: FakeJobs) -> None:
    measure(store)
    test = open_page("recover")
    assert test.title[0].value == "Recover what pruning lost"
    test.text_input(key="recover_data_sentences").set_value(" /data/train.tsv ").run()
    test.slider(key="recover_share_sentences").set_value(20)
    test.number_input(key="recover_epochs_sentences").set_value(3)
    test.number_input(key="recover_lr_sentences").set_value(1e-3)
    test.number_input(key="recover_decay_sentences").set_value(0.1)
    test.number_input(key="recover_patience_sentences").set_value(4)
    test.radio(key="recover_train_sentences").set_value("kept")
    test.selectbox(key="recover_device").set_value("cpu")
    test.number_input(key="recover_seed").set_value(5)
    test.number_input(key="recover_batch_sentences").set_value(8)
    test.selectbox(key="recover_schedule").set_value("cosine")
    test.checkbox(key="recover_baselines").uncheck()
    start(test)
    assert not test.exception
    assert not test.error
    assert changed(store_of_jobs) == {
        "run": "sample",
        "data": "/data/train.tsv",
        "held_out_share": 0.2,
        "epochs": 3,
        "lr": 1e-3,
        "weight_decay": 0.1,
        "patience": 4,
        "train": "kept",
        "device": "cpu",
        "seed": 5,
        "batch": 8,
        "schedule": "cosine",
        "baselines": False,
        "evaluation": "demo",
    }
    assert test.query_params["job"] == "job0"


def test_held_out_data_of_its_own(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("recover")
    test.text_input(key="recover_data_sentences").set_value("/data/train.tsv").run()
    test.get_by_key("recover_where_sentences").set_value(recover_form.OTHER).run()
    start(test)
    assert r"held\_out" in test.error[0].value  # nothing was typed
    assert not store_of_jobs.found
    test.text_input(key="recover_held_out_sentences").set_value("/data/dev.tsv")
    start(test)
    assert not test.error
    assert changed(store_of_jobs)["held_out"] == "/data/dev.tsv"


def test_without_data_it_says_what_is_missing(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = start(open_page("recover"))
    assert not test.exception
    assert "data" in test.error[0].value
    assert not store_of_jobs.found


def test_a_run_that_was_not_judged_is_tuned_and_not_judged(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("recover")
    assert test.checkbox(key="recover_judge_sentences_False").disabled
    test.text_input(key="recover_data_sentences").set_value("/data/train.tsv").run()
    start(test)
    assert store_of_jobs.found["job0"].params["evaluation"] is None


def test_a_language_model_starts_with_one_click(
    open_page: OpenPage, store: Run, store_of_jobs: FakeJobs, language: dict[str, Path]
) -> None:
    put_beside(store, language)
    test = start(open_page("recover", run="lm"))
    start(test)  # an impatient click
    assert not test.exception
    assert not test.error
    assert list(store_of_jobs.found) == ["job0"]
    params = store_of_jobs.found["job0"].params
    assert (params["run"], params["data"], params["evaluation"]) == ("lm", "pydoc", AS_THE_RUN)
    assert "weights were pruned and stay zero" in words(test)


def test_why_there_is_no_adapter_is_said(open_page: OpenPage) -> None:
    radio = open_page("recover").radio(key="recover_train_sentences")
    assert radio.options == list(recover_form.TRAINED.values())
    assert "LoRA" in radio.help
    assert "undo the mask" in radio.help


# --- while it learns ---------------------------------------------------------------------------


def test_the_curve_grows_with_the_events(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    job = store_of_jobs.submit("tune", {"run": "sample", "data": "demo"})
    store_of_jobs.change(job, state="running", started=time.time(), done=1, total=4)
    test = open_page("recover", job=job)
    assert not test.exception
    assert not test.get("plotly_chart")
    assert "Recover " in words(test)
    for point in points([0.7, 0.6]):
        store_of_jobs.tell(job, "point", point)
    test.run()
    assert "Held-out loss 0.700 → 0.600 at step 2, 2 of 8 steps done" in words(test)
    for point in points([0.7, 0.6, 0.5]):  # the worker died: it tells them again
        store_of_jobs.tell(job, "point", point, attempt=2)
    test.run()
    assert "Held-out loss 0.700 → 0.500 at step 4, 4 of 8 steps done" in words(test)
    drawn = json.loads(test.get("plotly_chart")[0].proto.spec)
    assert drawn["data"][1]["name"] == "held out"
    button(test, "Cancel").click().run()
    assert store_of_jobs.cancelled == [job]
    assert "continue from the last checkpoint" in words(test)


def test_a_finished_tuning_is_shown_and_leads_to_its_run(
    open_page: OpenPage, store_of_jobs: FakeJobs, tuned: Callable[..., Run]
) -> None:
    job = store_of_jobs.submit("tune", {"run": "sample", "data": "demo"})
    tuned(job, judged(0.80, 0.70, 0.76))
    store_of_jobs.change(job, state="succeeded", started=1.0, finished=9.0)
    test = open_page("recover", run="sample", job=job)
    assert not test.exception
    assert not test.error
    assert test.title[0].value == "Recover what pruning lost"
    assert test.header[-1].value == "Tuned for 8 steps: accuracy 70.0\xa0% → 76.0\xa0%"
    cards = {metric.label: (metric.value, metric.delta) for metric in test.metric}
    assert cards["Won back"] == ("60\xa0%", "of what pruning lost")
    assert {link.proto.label for link in test.get("page_link")} >= {
        "Open the run",
        "Open its Overview",
        "The run before",
    }


# --- a tuned run -------------------------------------------------------------------------------


def test_a_tuned_run_shows_how_it_learned(open_page: OpenPage, tuned: Callable[..., Run]) -> None:
    tuned("after", judged(0.80, 0.70, 0.76))
    test = open_page("recover", run="after")
    assert not test.exception
    assert test.title[0].value == "Tuned for 8 steps: accuracy 70.0\xa0% → 76.0\xa0%"
    cards = {metric.label: metric for metric in test.metric}
    quality = cards["Accuracy: dense → pruned → tuned"]
    assert quality.value == "80.0 → 70.0 → 76.0\xa0%"
    assert quality.delta == "6.0 points better by recovery"
    gap = cards["Generalization gap, after recovery"]
    assert (gap.value, gap.delta) == ("+11.0\xa0points", "+2.0\xa0points before")
    said = words(test)
    assert "Held-out loss 0.700 → 0.400, lowest at step 6 of 8" in said
    assert "Against dense: lost 9 of 177 sentences, won 4" in said
    assert "This run was tuned before" in said
    assert "177 of 354 sentences of demo were trained on." in said
    assert len(test.get("plotly_chart")) == 2


def test_a_loss_that_could_be_chance_is_not_won_back_in_earnest(open_page: OpenPage, tuned: Callable[..., Run]) -> None:
    tuned("after", judged(0.80, 0.79, 0.78, mcnemar_p=0.5))
    card = next(metric for metric in open_page("recover", run="after").metric if metric.label == "Won back")
    assert card.value == "−100\xa0%"
    assert card.proto.delta_description == "could be chance"


def test_nothing_lost_is_nothing_to_win_back(open_page: OpenPage, tuned: Callable[..., Run]) -> None:
    tuned("after", judged(0.70, 0.72, 0.75))
    card = next(metric for metric in open_page("recover", run="after").metric if metric.label == "Won back")
    assert (card.value, card.delta) == ("n/a", "pruning lost nothing here")


def test_a_tuned_run_that_was_not_judged(open_page: OpenPage, tuned: Callable[..., Run]) -> None:
    tuned("after", best_step=0, parent={"id": "gone", "folder": "/runs/gone"})
    test = open_page("recover", run="after")
    assert not test.exception
    assert test.title[0].value == "Tuned for 8 steps; quality not measured"
    assert "the weights are unchanged" in words(test)
    assert "which is no longer in the store" in words(test)


def test_the_overview_of_a_tuned_run_says_so_and_guards_its_data(
    open_page: OpenPage, tuned: Callable[..., Run]
) -> None:
    tuned("after", judged(0.80, 0.70, 0.76))
    test = open_page("overview", run="after", open="figures")
    assert not test.exception
    assert "Tuned for 8 steps after pruning" in words(test)
    assert test.table[0].value.columns.tolist() == ["Dense", "Before recovery", "After recovery"]
    assert "Measure now" not in [found.label for found in test.button]


def test_a_broken_record_of_tuning_is_a_message(open_page: OpenPage, tuned: Callable[..., Run]) -> None:
    run = tuned("after")
    (run.path / "tuning.json").write_text("{")
    test = open_page("recover", run="after")
    assert not test.exception
    assert "tuning.json" in test.error[0].value
