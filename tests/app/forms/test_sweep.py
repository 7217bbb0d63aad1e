"""The prepared form of a new sweep: links fill it in, filling it in makes the link, and its words
are in the address only while it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.forms.sweep import FORM
from kencore.sweeps.shelf import Sweep

# fixtures: a store of jobs in memory, a sweep in the store
from tests.app.app_pages.test_tradeoff import made, store_of_jobs, sweep  # noqa: F401
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs
from tests.app.forms import test_prune as test_prepared
from tests.app.forms.test_prune import check_back, check_link


def said(test: AppTest) -> dict[str, str]:
    return test_prepared.said(test, FORM)


def start(test: AppTest) -> AppTest:
    return test.button(key="tradeoff-start").click().run()


def view(test: AppTest, name: str) -> AppTest:
    return test.get_by_key("choose_view").set_value(name).run()


def sizes(test: AppTest) -> set[str | None]:
    return {one.key for one in test.multiselect} & {"tradeoff_keeps", "tradeoff_bits"}


LINKS: list[tuple[dict[str, str], dict[str, Any]]] = [
    (
        {
            "methods": "ken,magnitude",
            "keeps": "0.5,0.333,1e-05",
            "seeds": "3,17",
            "rescales": "none,share",
            "scope": "attention,down",
            "embeddings": "0",
            "vectors": "0",
            "head": "0",
            "baselines": "0",
            "device": "cpu",
        },
        {
            "model": "demo",
            "methods": ["ken", "magnitude"],
            "keeps": [0.5, 0.333, 1e-05],
            "seeds": [3, 17],
            "rescales": ["none", "share"],
            "scope": ["attention", "down"],
            "embeddings": False,
            "vectors": False,
            "head": False,
            "baselines": False,
            "device": "cpu",
            "evaluation": "demo",
        },
    ),
    (
        {"methods": "bytes", "bits": "0.25,2.0"},
        {"model": "demo", "methods": ["bytes"], "bits": [0.25, 2.0], "keeps": []},
    ),
    (
        {"methods": "delta,bytes", "keeps": "0.5"},
        {"methods": ["delta", "bytes"], "bits": [0.5, 1.0, 2.0], "keeps": [0.5]},
    ),
    (
        {
            "model": "demo-lm",
            "methods": "wanda",
            "allocations": "uniform,neuroal",
            "scope": "down",
            "calibration": "c4",
            "sequences": "8",
            "window": "64",
            "search_sequences": "4",
            "reference": "global",
            "propagate": "dense",
            "fast": "1",
            "evaluation": "wikitext2",
            "windows": "9",
        },
        {
            "model": "demo-lm",
            "base": None,
            "methods": ["wanda"],
            "scope": ["down"],
            "allocations": ["uniform", "neuroal"],
            "calibration": "c4",
            "sequences": 8,
            "window": 64,
            "search_sequences": 4,
            "reference": "global",
            "propagate": "dense",
            "fast": True,
            "evaluation": "wikitext2",
            "windows": 9,
            "keeps": [0.75, 0.5, 0.25, 0.1, 0.05],
        },
    ),
    (
        {
            "model": "org/tuned",
            "base": "org/base",
            "model_revision": "v1",
            "base_revision": "v2",
            "methods": "delta",
            "evaluation": "demo",
        },
        {
            "model": "org/tuned",
            "base": "org/base",
            "model_revision": "v1",
            "base_revision": "v2",
            "methods": ["delta"],
            "evaluation": "demo",
        },
    ),
]


@pytest.mark.parametrize(("address", "wanted"), LINKS)
def test_a_link_fills_in_the_form_and_stays(
    open_page: OpenPage,
    store_of_jobs: FakeJobs,  # noqa: F811
    sweep: Sweep,  # noqa: F811
    address: dict[str, str],
    wanted: dict[str, Any],
) -> None:
    test = open_page("tradeoff", view="new", **address)
    check_link(test, FORM, start, store_of_jobs, address, wanted)
    assert said(test) == {}  # the sweep is shown now, and not the form


def test_what_is_not_offered_but_typed_is_in_a_link_too(
    open_page: OpenPage,
    sweep: Sweep,  # noqa: F811
) -> None:
    address = {
        "model": "demo-lm",
        "allocations": "owl",
        "scope": "*.layer.0.*,q",
        "calibration": "a b.md",
        "evaluation": "/data/dev,1.txt",
        "device": "cuda:1",
    }
    test = open_page("tradeoff", view="new", **address)
    assert not test.exception
    assert said(test) == address
    assert test.selectbox(key="prune_text").value == "a b.md"
    assert test.selectbox(key="prune_data_demo-lm").value == "/data/dev,1.txt"


def test_filling_in_makes_the_link_that_opens_the_same_form(
    open_page: OpenPage,
    store_of_jobs: FakeJobs,  # noqa: F811
    sweep: Sweep,  # noqa: F811
) -> None:
    test = open_page("tradeoff", view="new")
    assert said(test) == {}
    test.get_by_key("prune_which").set_value("Demo language model").run()
    test.multiselect(key="tradeoff_methods_demo-lm_zero").set_value(["random", "wanda"])
    test.multiselect(key="tradeoff_allocations_demo-lm_zero").set_value(["owl"])
    test.multiselect(key="tradeoff_keeps").set_value(["75 %", "12,5"])
    test.multiselect(key="tradeoff_seeds").set_value(["1", "2"])
    test.number_input(key="prune_windows").set_value(5).run()
    assert said(test) == {
        "model": "demo-lm",
        "methods": "random,wanda",
        "keeps": "0.75,0.125",
        "seeds": "1,2",
        "allocations": "owl",
        "windows": "5",
    }
    other = start(open_page("tradeoff", view="new", **said(test)))
    assert not other.error
    start(test)
    assert len({repr(job.params) for job in store_of_jobs.found.values()}) == 1


def test_the_words_go_with_the_form_and_come_back_with_it(
    open_page: OpenPage,
    sweep: Sweep,  # noqa: F811
) -> None:
    test = open_page("tradeoff", sweep=sweep.id, show_baselines="off")
    view(test, "new")
    test.multiselect(key="tradeoff_seeds").set_value(["5"])
    test.checkbox(key="prune_baselines").uncheck().run()
    assert said(test) == {"seeds": "5", "baselines": "0"}
    view(test, "curve")
    assert said(test) == {}
    assert not test.error
    assert test.query_params["show_baselines"] in ("off", ["off"])  # another thing, and still there
    assert test.toggle(key="tradeoff_baselines").value is False
    view(test, "new")
    assert said(test) == {"seeds": "5", "baselines": "0"}
    assert test.multiselect(key="tradeoff_seeds").value == ["5"]
    view(test, "curve")
    test.query_params["seeds"] = "7"  # made by hand, without the view
    test.run()
    assert said(test) == {}
    test.query_params["view"] = "new"  # as a link on another page has it
    test.run()
    assert test.multiselect(key="tradeoff_seeds").value == ["5"]  # nothing typed is lost
    assert said(test) == {"seeds": "5", "baselines": "0"}


def test_going_back_takes_the_form_back(open_page: OpenPage, sweep: Sweep) -> None:  # noqa: F811
    test = open_page("tradeoff", view="new")
    check_back(
        test,
        FORM,
        lambda: test.multiselect(key="tradeoff_seeds"),
        "seeds",
        first=(["1"], "1"),
        second=(["1", "2"], "1,2"),
        usual=["0"],
    )
    assert said(test) == {}


def test_a_click_stands_though_the_address_lags_behind(open_page: OpenPage, sweep: Sweep) -> None:  # noqa: F811
    test = open_page("tradeoff", view="new")
    test.multiselect(key="tradeoff_seeds").set_value(["0", "1"]).run()
    test.query_params.pop("seeds")  # the browser has not heard of the first click yet
    test.multiselect(key="tradeoff_seeds").set_value(["0", "1", "2"]).run()
    assert test.multiselect(key="tradeoff_seeds").value == ["0", "1", "2"]
    assert said(test) == {"seeds": "0,1,2"}


def test_without_any_sweep_the_link_still_asks_for_the_form(open_page: OpenPage) -> None:
    test = open_page("tradeoff")
    assert "view" not in test.query_params
    test.multiselect(key="tradeoff_seeds").set_value(["1"]).run()
    assert said(test) == {"seeds": "1"}
    assert test.query_params["view"] in ("new", ["new"])
    test.button(key="tradeoff-demo").click().run()
    assert said(test) == {}
    assert "view" not in test.query_params


def test_sizes_are_asked_for_where_a_method_takes_them(open_page: OpenPage, sweep: Sweep) -> None:  # noqa: F811
    test = open_page("tradeoff", view="new")
    assert sizes(test) == {"tradeoff_keeps"}
    test.multiselect(key="tradeoff_methods_demo_base").set_value(["delta", "bytes"]).run()
    assert sizes(test) == {"tradeoff_keeps", "tradeoff_bits"}
    test.multiselect(key="tradeoff_bits").set_value(["0,5", "two", "-1", "65"]).run()
    assert "bits per weight" in test.error[0].value
    assert said(test) == {"methods": "delta,bytes", "bits": "0.5"}
    test.multiselect(key="tradeoff_methods_demo_base").set_value(["bytes"])
    test.multiselect(key="tradeoff_bits").set_value(["1", "3"]).run()
    assert sizes(test) == {"tradeoff_bits"}
    assert not test.error
    assert any("2 prunings" in one.value for one in test.markdown)


def test_what_cannot_be_is_not_put_into_a_link(
    open_page: OpenPage,
    sweep: Sweep,  # noqa: F811
) -> None:
    test = open_page("tradeoff", view="new")
    test.multiselect(key="tradeoff_keeps").set_value(["half", "20", "120 %", "nan"])
    test.multiselect(key="tradeoff_seeds").set_value(["x", "-1", "4"])
    test.multiselect(key="tradeoff_methods_demo_base").set_value([]).run()
    assert len(test.error) == 1  # of the form itself
    assert said(test) == {"keeps": "0.2", "seeds": "4"}


def test_a_bad_value_is_said_left_as_usual_and_spoils_nothing(
    open_page: OpenPage,
    sweep: Sweep,  # noqa: F811
) -> None:
    test = open_page(
        "tradeoff", view="new", methods="delta,best", keeps="0.4", refine="dsnot", seeds="1,,2", model="demo-lm"
    )
    errors = [error.value.replace("\\", "") for error in test.error]
    assert len(errors) == 2
    assert "of wanda, sparsegpt, multiflow, magnitude, random" in errors[0]
    assert "a setting that this form does not have" in errors[1]
    assert said(test) == {"model": "demo-lm", "keeps": "0.4", "seeds": "1,2"}
    assert not test.run().error
