"""The prepared form of a tuning: links fill it in, filling it in makes the link, for each kind of
model its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.forms.recover import FORM, OTHER, SHARE
from kencore.runs.run import Run
from tests.app.app_pages.test_overview import measure

# fixtures: a store of jobs in memory, a run of a language model
from tests.app.app_pages.test_recover import language, start, store_of_jobs  # noqa: F401
from tests.app.conftest import OpenPage, put_beside
from tests.app.fake_jobs import FakeJobs
from tests.app.forms import test_prune as test_prepared
from tests.app.forms.test_prune import check_back, check_link


def said(test: AppTest) -> dict[str, str]:
    return test_prepared.said(test, FORM)


ALL: tuple[dict[str, str], dict[str, Any]] = (
    {
        "data": "/data/train.tsv",
        "held_out_share": "0.29",
        "epochs": "3",
        "lr": "0.00033",
        "weight_decay": "0.1",
        "patience": "4",
        "train": "kept",
        "evaluation": "none",
        "baselines": "0",
        "batch": "8",
        "schedule": "cosine",
        "device": "cpu",
        "seed": "5",
    },
    {
        "data": "/data/train.tsv",
        "held_out_share": 0.29,
        "held_out": None,
        "epochs": 3,
        "lr": 0.00033,
        "weight_decay": 0.1,
        "patience": 4,
        "train": "kept",
        "evaluation": None,
        "baselines": False,
        "batch": 8,
        "schedule": "cosine",
        "device": "cpu",
        "seed": 5,
    },
)
OTHERS: tuple[dict[str, str], dict[str, Any]] = (
    {"data": "a b&c.tsv", "held_out": "/data/dev.tsv"},
    {"data": "a b&c.tsv", "held_out": "/data/dev.tsv", "evaluation": "demo", "epochs": 2},
)
LANGUAGE: tuple[dict[str, str], dict[str, Any]] = (
    {"data": "wikitext2", "lr": "0.001", "evaluation": "none", "held_out": "c4"},
    {"run": "lm", "data": "wikitext2", "lr": 0.001, "evaluation": None, "held_out": "c4"},
)


@pytest.mark.parametrize(
    ("run", "link"), [("sample", ALL), ("sample", OTHERS), ("lm", LANGUAGE)], ids=["all", "held out", "language"]
)
def test_a_link_fills_in_the_form_and_stays(
    open_page: OpenPage,
    store: Run,
    store_of_jobs: FakeJobs,  # noqa: F811
    language: dict[str, Path],  # noqa: F811
    run: str,
    link: tuple[dict[str, str], dict[str, Any]],
) -> None:
    measure(store)
    put_beside(store, language)
    address, wanted = link
    test = open_page("recover", run=run, **address)
    check_link(test, FORM, start, store_of_jobs, address, wanted)
    assert said(test) == address


def test_what_is_not_offered_but_typed_is_in_a_link_too(
    open_page: OpenPage,
    store: Run,
    language: dict[str, Path],  # noqa: F811
) -> None:
    put_beside(store, language)
    address = {"data": "/data/all&more.txt", "device": "cuda:1"}
    test = open_page("recover", run="lm", **address)
    assert not test.exception
    assert said(test) == address
    assert test.selectbox(key="recover_data_text").value == "/data/all&more.txt"


def test_filling_in_makes_the_link_that_opens_the_same_form(
    open_page: OpenPage,
    store: Run,
    store_of_jobs: FakeJobs,  # noqa: F811
) -> None:
    measure(store)
    test = open_page("recover", run="sample")
    assert said(test) == {}
    test.get_by_key("recover_where_sentences").set_value(OTHER).run()
    assert said(test) == {"held_out": ""}  # not typed yet
    again = open_page("recover", run="sample", **said(test))
    assert again.get_by_key("recover_where_sentences").value == OTHER
    test.get_by_key("recover_where_sentences").set_value(SHARE).run()
    test.text_input(key="recover_data_sentences").set_value(" /data/train.tsv ")
    test.slider(key="recover_share_sentences").set_value(57)
    test.number_input(key="recover_epochs_sentences").set_value(9)
    test.number_input(key="recover_lr_sentences").set_value(3e-5)
    test.number_input(key="recover_decay_sentences").set_value(0.0)
    test.number_input(key="recover_patience_sentences").set_value(2)
    test.radio(key="recover_train_sentences").set_value("kept")
    test.checkbox(key="recover_judge_sentences_True").uncheck()
    test.selectbox(key="recover_device").set_value("cuda")
    test.number_input(key="recover_seed").set_value(2**53 - 1)
    test.number_input(key="recover_batch_sentences").set_value(16)
    test.selectbox(key="recover_schedule").set_value("constant")
    test.checkbox(key="recover_baselines").uncheck().run()
    assert said(test) == {
        "data": "/data/train.tsv",
        "held_out_share": "0.57",
        "epochs": "9",
        "lr": "3e-05",
        "weight_decay": "0.0",
        "patience": "2",
        "train": "kept",
        "evaluation": "none",
        "device": "cuda",
        "seed": str(2**53 - 1),
        "batch": "16",
        "schedule": "constant",
        "baselines": "0",
    }
    other = start(open_page("recover", run="sample", **said(test)))
    assert not other.error
    start(test)
    assert len({repr(job.params) for job in store_of_jobs.found.values()}) == 1


def test_going_back_takes_the_form_back_and_the_menu_does_not(open_page: OpenPage) -> None:
    test = open_page("recover", run="sample")
    check_back(
        test,
        FORM,
        lambda: test.number_input(key="recover_epochs_sentences"),
        "epochs",
        first=(3, "3"),
        second=(4, "4"),
        usual=2,
    )
    test.number_input(key="recover_seed").set_value(6).run()
    test.switch_page("app_pages/overview/page.py").run()
    test.query_params.clear()
    test.switch_page("app_pages/recover/page.py").run()
    assert said(test) == {"seed": "6"}


def test_another_run_has_words_of_its_own(
    open_page: OpenPage,
    store: Run,
    language: dict[str, Path],  # noqa: F811
) -> None:
    put_beside(store, language)
    test = open_page("recover", run="sample", data="/data/train.tsv", epochs="7", seed="3")
    assert not test.error
    test.selectbox(key="run_choice").set_value("lm").run()
    assert not test.error
    assert said(test) == {"seed": "3"}  # which every kind of model shares
    assert test.selectbox(key="recover_data_text").value == "Python's help texts (pydoc)"
    test.query_params["run"] = "sample"  # what the browser's button does
    test.query_params["data"], test.query_params["epochs"] = "/data/train.tsv", "7"
    test.run()
    assert said(test) == {"data": "/data/train.tsv", "epochs": "7", "seed": "3"}
    assert test.number_input(key="recover_epochs_sentences").value == 7


def test_a_bad_value_is_said_left_as_usual_and_spoils_nothing(open_page: OpenPage) -> None:
    test = open_page("recover", run="sample", epochs="many", lr="0.01", evaluation="run", warmup="0.1", seed="4")
    errors = {error.value.split("**")[1]: error.value for error in test.error}
    assert set(errors) == {f"{name} in the address" for name in ("epochs", "evaluation", "warmup")}
    assert "a whole number, 1 to 10,000" in errors["epochs in the address"]
    assert "wanted none" in errors["evaluation in the address"]  # this run was not judged
    assert said(test) == {"lr": "0.01", "seed": "4"}
    assert not test.run().error
