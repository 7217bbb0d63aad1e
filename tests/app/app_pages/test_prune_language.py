"""The prune page for language models: defaults, what is offered, and that all of it can be run."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.forms import prune as prune_form
from app.forms import prune_language
from app.forms.model import Subject
from kencore.allocate.table import ALLOCATIONS
from kencore.errors import SpecError
from kencore.methods.table import METHODS
from kencore.settings.prune import PruneSpec
from tests.app.app_pages.test_prune import changed, start
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs

SUBJECTS = {
    "encoder": ("demo", "base", {"model": "demo", "base": "demo-base"}),
    "demo, zero": ("demo-lm", "zero", {"model": "demo-lm"}),
    "demo, base": ("demo-lm", "base", {"model": "demo-lm", "base": "demo-lm-base"}),
    "own, zero": ("own", "zero", {"model": "m"}),
    "own, base": ("own", "base", {"model": "m", "base": "b"}),
}


@pytest.fixture
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path).install(monkeypatch)


def demo(open_page: OpenPage) -> AppTest:
    test = open_page("prune")
    test.get_by_key("prune_which").set_value("Demo language model").run()
    return test


def keys(test: AppTest) -> set[str]:
    kinds = ("selectbox", "checkbox", "number_input", "slider", "radio", "multiselect")
    return {widget.key for kind in kinds for widget in test.get(kind) if widget.key}


def budget_of(method: str) -> dict[str, float]:
    return {"bits": 1.0} if METHODS[method].coded else {"keep": 0.5}


@pytest.mark.parametrize("name", SUBJECTS)
def test_everything_offered_makes_a_spec(name: str) -> None:
    kind, rest, fields = SUBJECTS[name]
    subject = Subject(kind=kind, rest=rest, fields=fields)  # type: ignore[arg-type]
    lm = subject.language
    for method, allocation in product(prune_form.methods_for(subject), ALLOCATIONS if lm else ("uniform",)):
        if METHODS[method].coded and allocation != "uniform":
            continue  # the form asks for none
        for step in prune_language.steps_for(method) if allocation == "neuroal" else ("block",):
            refinements = ["none"] + ["dsnot"] * (lm and prune_language.refines(subject))
            for refine in refinements:
                settings: dict[str, Any] = {"method": method, "allocation": allocation, "step": step, "refine": refine}
                spec = PruneSpec.from_dict({**fields, **settings, **budget_of(method)})
                assert spec.streams == prune_language.uses_text(settings)
                assert spec.restore == rest
                if spec.streams and prune_language.may_be_published(subject, settings):
                    PruneSpec.from_dict({**fields, **settings, "keep": 0.5, "published": True})


def test_what_is_not_offered_could_not_run() -> None:
    """DSnoT, steps and the published code are held back for a reason."""
    for method, rest in product(METHODS, ("base", "zero")):
        subject = Subject(kind="own", rest=rest, fields={})
        fields = {"model": "m", **budget_of(method), "method": method} | ({"base": "b"} if rest == "base" else {})
        if method not in prune_form.methods_for(subject):
            with pytest.raises(SpecError):
                PruneSpec(**fields)
            continue
        if not prune_language.refines(subject):
            with pytest.raises(SpecError):
                PruneSpec(**fields, refine="dsnot")
        for allocation in ALLOCATIONS:
            asked = {"method": method, "allocation": allocation}
            if not prune_language.may_be_published(subject, asked):
                with pytest.raises(SpecError):
                    PruneSpec(**fields, allocation=allocation, published=True)


def test_the_demo_starts_with_one_click(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = start(demo(open_page))
    assert not test.exception
    assert not test.error
    assert changed(store_of_jobs) == {
        "model": "demo-lm",
        "method": "wanda",
        "keep": 0.5,
        "allocation": "neuroal",
        "sequences": 32,
        "evaluation": "pydoc",
    }


def test_every_setting_arrives(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("prune")
    test.get_by_key("prune_which").set_value("My own models").run()
    test.get_by_key("prune_rest").set_value("zero").run()
    assert "prune_base" not in {field.key for field in test.text_input}
    test.text_input(key="prune_model").set_value("org/lm")
    test.radio(key="prune_method_own_zero").set_value("multiflow").run()
    test.get_by_key("prune_step").set_value("both")
    test.checkbox(key="prune_dsnot").check().run()
    test.slider(key="prune_sparsity").set_value(70)
    test.selectbox(key="prune_text").set_value("Penn Treebank")
    test.number_input(key="prune_sequences_own").set_value(16)
    test.number_input(key="prune_window").set_value(256)
    test.number_input(key="prune_search").set_value(4)
    test.selectbox(key="prune_reference").set_value("global")
    test.checkbox(key="prune_fast").check()
    test.selectbox(key="prune_propagate").set_value("dense")
    test.number_input(key="prune_windows").set_value(40)
    test.multiselect(key="prune_scope_blocks").set_value(["feed-forward"])
    test.selectbox(key="prune_data_own").set_value("WikiText-2").run()
    test.number_input(key="prune_seed").set_value(3)
    start(test)
    assert not test.exception
    assert not test.error
    assert changed(store_of_jobs) == {
        "model": "org/lm",
        "method": "multiflow",
        "keep": 0.3,
        "allocation": "neuroal",
        "step": "both",
        "refine": "dsnot",
        "calibration": "ptb",
        "sequences": 16,
        "window": 256,
        "search_sequences": 4,
        "reference": "global",
        "fast": True,
        "propagate": "dense",
        "windows": 40,
        "scope": ["feed-forward"],
        "evaluation": "wikitext2",
        "seed": 3,
    }


def test_only_what_applies_is_shown(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = demo(open_page)
    shown = keys(test)
    assert {"prune_allocation_zero", "prune_dsnot", "prune_text", "prune_sparsity"} <= shown
    assert not {"prune_share", "prune_embeddings", "prune_k", "prune_data_demo"} & shown
    test.selectbox(key="prune_allocation_zero").set_value("dlp").run()
    assert not {"prune_reference", "prune_fast", "prune_search", "prune_published"} & keys(test)
    test.selectbox(key="prune_allocation_zero").set_value("atp").run()
    assert {"prune_fast", "prune_search"} <= keys(test)
    assert "prune_reference" not in keys(test)
    test.selectbox(key="prune_allocation_zero").set_value("uniform").run()
    test.radio(key="prune_method_demo-lm_zero").set_value("magnitude").run()
    assert not {"prune_text", "prune_sequences_demo-lm", "prune_window"} & keys(test)
    assert test.slider(key="prune_sparsity").value == 50
    start(test)
    assert not test.error
    assert changed(store_of_jobs) == {"model": "demo-lm", "method": "magnitude", "keep": 0.5, "evaluation": "pydoc"}


def test_sparsegpt_is_not_searched_row_by_row(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = demo(open_page)
    test.get_by_key("prune_step").set_value("row").run()
    test.radio(key="prune_method_demo-lm_zero").set_value("sparsegpt").run()
    assert "prune_step" not in {element.key for element in test.get("segmented_control")}
    start(test)
    assert not test.error
    assert changed(store_of_jobs)["method"] == "sparsegpt"
    assert "step" not in changed(store_of_jobs)


def test_back_to_the_base(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = demo(open_page)
    test.get_by_key("prune_rest_demo-lm").set_value("base").run()
    assert test.radio(key="prune_method_demo-lm_base").value == "ken"
    assert {"prune_share", "prune_embeddings"} <= keys(test)
    assert not {"prune_text", "prune_dsnot"} & keys(test)
    start(test)
    assert changed(store_of_jobs) == {
        "model": "demo-lm",
        "base": "demo-lm-base",
        "method": "ken",
        "keep": 0.5,
        "evaluation": "pydoc",
    }


def test_as_published_leaves_out_what_it_has_not(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = demo(open_page)
    test.checkbox(key="prune_fast").check()
    test.selectbox(key="prune_propagate").set_value("dense").run()
    test.checkbox(key="prune_published").check().run()
    assert not {"prune_reference", "prune_fast", "prune_propagate"} & keys(test)
    start(test)
    assert not test.error
    found = changed(store_of_jobs)
    assert found["published"]
    assert not {"fast", "propagate", "reference"} & set(found)


def test_a_mistake_is_said(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("prune")
    test.get_by_key("prune_which").set_value("My own models").run()
    test.get_by_key("prune_rest").set_value("zero").run()
    start(test)
    assert not test.exception
    assert "model" in test.error[0].value
    assert not store_of_jobs.found


def test_inspecting_a_model_without_a_base(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = demo(open_page)
    next(button for button in test.button if button.label == "Inspect").click().run()
    assert not test.error
    assert store_of_jobs.found["job0"].params == {"model": "demo-lm", "data": "pydoc"}
