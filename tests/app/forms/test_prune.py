"""A prepared form: a link fills it in, filling it in makes the link, and bad values are said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.forms import prune as prune_form
from app.forms.address import Form
from app.forms.prune import ENTRIES, SHARE
from tests.app.app_pages.test_prune import changed, own_models, start
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs


@pytest.fixture(autouse=True)
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path).install(monkeypatch)


def said(test: AppTest, form: Form = prune_form.FORM) -> dict[str, str]:
    """What the address says of the form."""
    found = {name: test.query_params[name] for name in test.query_params if name in form.names}
    return {name: text[0] if isinstance(text, list) else text for name, text in found.items()}


def check_link(
    test: AppTest,
    form: Form,
    press: Callable[[AppTest], AppTest],
    store_of_jobs: FakeJobs,
    address: dict[str, str],
    wanted: dict[str, Any],
) -> dict[str, Any]:
    """The form is filled in as the address says, and so is the job that it starts: its settings."""
    assert not test.exception
    assert not test.error
    assert said(test, form) == address
    press(test)
    assert not test.error
    params: dict[str, Any] = store_of_jobs.found["job0"].params
    assert {name: params[name] for name in wanted} == wanted
    return params


def check_back(
    test: AppTest,
    form: Form,
    widget: Callable[[], Any],
    word: str,
    *,
    first: tuple[Any, str],
    second: tuple[Any, str],
    usual: Any,
) -> None:
    """Two changes of a widget, each its value and the text for it, are taken back one by one."""
    value, text = first
    widget().set_value(value).run()
    widget().set_value(second[0]).run()
    assert said(test, form) == {word: second[1]}
    test.query_params[word] = text  # what the browser's button does
    test.run()
    assert widget().value == value
    del test.query_params[word]
    test.run()
    assert widget().value == usual


LINKS: list[tuple[dict[str, str], dict[str, Any]]] = [
    (
        {
            "method": "delta",
            "keep": "0.3",
            "scope": "attention,down",
            "rescale": "energy",
            "vectors": "0",
            "seed": "7",
            "evaluation": "none",
        },
        {
            "model": "demo",
            "method": "delta",
            "keep": 0.3,
            "scope": ["attention", "down"],
            "rescale": "energy",
            "vectors": False,
            "seed": 7,
            "evaluation": None,
        },
    ),
    ({"k": "12", "head": "0"}, {"model": "demo", "k": 12, "keep": None, "head": False}),
    (
        {
            "model": "demo-lm",
            "method": "sparsegpt",
            "keep": "0.4",
            "allocation": "owl",
            "refine": "dsnot",
            "sequences": "8",
            "calibration": "wikitext2",
            "window": "64",
            "device": "cpu",
        },
        {
            "model": "demo-lm",
            "base": None,
            "method": "sparsegpt",
            "keep": 0.4,
            "allocation": "owl",
            "refine": "dsnot",
            "sequences": 8,
            "calibration": "wikitext2",
            "window": 64,
            "device": "cpu",
        },
    ),
    (
        {
            "model": "demo-lm",
            "allocation": "neuroal",
            "base": "demo-lm-base",
            "method": "delta",
            "step": "both",
            "fast": "1",
            "reference": "global",
            "search_sequences": "4",
        },
        {
            "base": "demo-lm-base",
            "method": "delta",
            "allocation": "neuroal",
            "step": "both",
            "fast": True,
            "reference": "global",
            "search_sequences": 4,
        },
    ),
    (
        {
            "model": "org/tuned",
            "base": "org/base",
            "model_revision": "v1",
            "method": "magnitude",
            "scope": "*.layer.0.*",
            "evaluation": "demo",
            "baselines": "0",
        },
        {
            "model": "org/tuned",
            "base": "org/base",
            "model_revision": "v1",
            "method": "magnitude",
            "scope": ["*.layer.0.*"],
            "evaluation": "demo",
            "baselines": False,
        },
    ),
    (
        {"model": "/m/llm", "method": "magnitude", "allocation": "uniform", "evaluation": "c4", "windows": "9"},
        {
            "model": "/m/llm",
            "base": None,
            "method": "magnitude",
            "allocation": "uniform",
            "evaluation": "c4",
            "windows": 9,
        },
    ),
]


@pytest.mark.parametrize(("address", "wanted"), LINKS)
def test_a_link_fills_in_the_form_and_stays(
    open_page: OpenPage, store_of_jobs: FakeJobs, address: dict[str, str], wanted: dict[str, Any]
) -> None:
    test = open_page("prune", **address)
    params = check_link(test, prune_form.FORM, start, store_of_jobs, address, wanted)
    assert said(test) == address
    again = open_page("prune", **said(test))
    start(again)
    assert store_of_jobs.found["job1"].params == params


def test_filling_in_makes_the_link(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("prune")
    assert said(test) == {}
    own_models(test, "/models/tuned", "org/base")
    test.radio(key="prune_method_own_base").set_value("delta")
    test.slider(key="prune_share").set_value(20)
    test.multiselect(key="prune_scope").set_value(["attention"]).run()
    assert said(test) == {
        "model": "/models/tuned",
        "base": "org/base",
        "method": "delta",
        "keep": "0.2",
        "scope": "attention",
    }
    start(test)
    other = open_page("prune", **said(test))
    start(other)
    assert changed(store_of_jobs, "job1") == changed(store_of_jobs, "job0")


def test_going_back_takes_the_form_back_and_the_menu_does_not(open_page: OpenPage) -> None:
    test = open_page("prune")
    check_back(
        test,
        prune_form.FORM,
        lambda: test.slider(key="prune_share"),
        "keep",
        first=(20, "0.2"),
        second=(30, "0.3"),
        usual=50,
    )
    test.slider(key="prune_share").set_value(40).run()
    test.switch_page("app_pages/overview/page.py").run()
    test.query_params.clear()
    test.switch_page("app_pages/prune/page.py").run()
    assert test.slider(key="prune_share").value == 40
    assert said(test) == {"keep": "0.4"}


def test_going_back_to_a_form_with_other_widgets(open_page: OpenPage) -> None:
    test = open_page("prune")
    test.get_by_key("prune_unit").set_value(ENTRIES).run()
    assert said(test) == {"k": "64"}
    del test.query_params["k"]
    test.run()
    assert test.get_by_key("prune_unit").value == SHARE
    test.get_by_key("prune_which").set_value("Demo language model").run()
    del test.query_params["model"]
    test.run()
    assert test.get_by_key("prune_which").value == "Demo encoder"
    assert said(test) == {}


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ({"method": "wanda"}, "one of ken, ken-density, delta, magnitude, random"),
        ({"model": "demo-lm", "method": "ken"}, "one of wanda, sparsegpt"),
        ({"keep": "2"}, "a share in hundredths"),
        ({"keep": "many"}, "a share in hundredths"),
        ({"keep": "0.333"}, "a share in hundredths"),
        ({"model": "demo-lm", "keep": "1"}, "0.01 to 0.99"),
        ({"model": "demo-lm", "base": "demo-lm-base", "method": "wanda", "keep": "1"}, "0.99"),
        ({"k": "0"}, "a whole number, 1 to"),
        ({"seed": "-1"}, "a whole number, 0 to"),
        ({"scope": ","}, "parts with commas between them"),
        ({"rescale": "much"}, "one of none, share, energy"),
        ({"head": "yes"}, "0 or 1"),
        ({"allocation": "owl"}, "one of method, keep"),
        ({"model": "demo-lm", "allocation": "best"}, "one of uniform"),
        ({"model": "demo-lm", "window": "1"}, "a whole number, 2 to"),
        ({"device": "gpu"}, "auto, cpu, mps, cuda or cuda:N"),
    ],
)
def test_a_bad_value_is_said_and_left_as_usual(
    open_page: OpenPage, store_of_jobs: FakeJobs, address: dict[str, str], wanted: str
) -> None:
    name = list(address)[-1]
    test = open_page("prune", **address)
    assert not test.exception
    assert [f"{name} in the address" in error.value for error in test.error] == [True]
    assert wanted in test.error[0].value.replace("\\", "")
    bare = open_page("prune", **{key: text for key, text in address.items() if key != name})
    start(test), start(bare)
    assert store_of_jobs.found["job0"].params == store_of_jobs.found["job1"].params


def test_half_a_form_is_a_link_too(open_page: OpenPage) -> None:
    test = open_page("prune")
    test.get_by_key("prune_which").set_value("My own models").run()
    assert said(test) == {"model": "", "base": ""}  # neither is typed yet
    again = open_page("prune", **said(test))
    assert not again.error
    assert again.text_input(key="prune_model").value == ""
    assert said(again) == said(test)
    test.multiselect(key="prune_scope").set_value([]).run()
    assert said(test) == {"model": "", "base": ""}  # no part at all cannot be, and is not said


def test_what_another_form_changed_meanwhile_is_put_back_by_going_back(open_page: OpenPage) -> None:
    test = open_page("prune", keep="0.3", seed="4")
    test.switch_page("app_pages/tradeoff/page.py")
    test.query_params["model"] = "demo-lm"  # the form of a new sweep has the same widgets
    test.query_params["view"] = "new"
    test.run()
    assert test.get_by_key("prune_which").value == "Demo language model"
    test.switch_page("app_pages/prune/page.py")
    test.query_params.clear()
    test.query_params["keep"], test.query_params["seed"] = "0.3", "4"
    test.run()
    assert test.get_by_key("prune_which").value == "Demo encoder"
    assert said(test) == {"keep": "0.3", "seed": "4"}


def test_a_bad_value_does_not_spoil_the_good_ones(open_page: OpenPage) -> None:
    test = open_page("prune", method="delta", keep="much", seed="4")
    assert len(test.error) == 1
    assert test.radio(key="prune_method_demo_base").value == "delta"
    assert test.number_input(key="prune_seed").value == 4
