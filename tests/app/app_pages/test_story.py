"""The story: which steps a run has, what they say, and how one goes through them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.app_pages.story import walk as story_walk
from app.app_pages.story import words as story_words
from app.frame import state
from kencore.methods.table import METHODS
from kencore.runs.run import Run
from kencore.views import example as telling
from kencore.views.walk import walk_row
from tests.app.app_pages.test_explain import asked as asked
from tests.app.app_pages.test_explain import words
from tests.app.app_pages.test_overview import measure
from tests.app.app_pages.test_prune import button
from tests.app.charts.test_tuning import told
from tests.app.conftest import OpenPage
from tests.app.explanations import finish
from tests.app.fake_jobs import FakeJobs
from tests.support.runs import make_lm_run, make_run


def keys(run: Run) -> list[str]:
    return [step.key for step in story_words.steps(run, telling.example(run))]


def said(run: Run) -> dict[str, str]:
    steps = story_words.steps(run, telling.example(run))
    return {step.key: " ".join(step.words).replace("\xa0", " ") for step in steps}


def test_a_run_without_quality_says_so_and_names_no_number(store: Run) -> None:
    assert keys(store) == ["ask", "changed", "kept", "row", "weight", "tails", "unmeasured", "stored", "next"]
    assert "Nobody has measured" in said(store)["unmeasured"]
    assert not any(sign.isdigit() for sign in said(store)["unmeasured"])


def test_a_measured_run_with_baselines_says_who_did_better(store: Run) -> None:
    worse, better = ({"accuracy": value, "accuracy_low": 0.5, "accuracy_high": 0.9} for value in (0.6, 0.79))
    measure(store, baselines={"random": worse})
    told_by = said(Run(store.path))
    assert "79.2 % right, the pruned one 78.4 %" in told_by["cost"]
    assert "none of them did better" in told_by["baseline"]
    measure(store, baselines={"random": worse, "delta": better})
    assert "largest difference, has 79.0 % right" in said(Run(store.path))["baseline"]
    assert "another rule did better" in said(Run(store.path))["baseline"]


def test_a_language_model_without_a_base(tmp_path: Path) -> None:
    run = make_lm_run(tmp_path)
    found = said(run)
    assert list(found) == ["ask", "kept", "row", "weight", "depth", "cost", "baseline", "stored", "next"]
    assert "goes on with a text" in found["ask"]
    assert "base" not in " ".join(found.values()).replace("based", "")
    assert "NeuroAL" in found["depth"]
    assert "it is 0 now" in found["weight"]
    assert "since" not in found["kept"]
    changed = said(make_lm_run(tmp_path / "changed", method="sparsegpt"))
    assert "adjusted since" in changed["kept"]
    assert "adjusted" in changed["weight"]
    plain = said(make_lm_run(tmp_path / "plain", allocation="uniform", measured=False))
    assert {"tails", "unmeasured"} <= plain.keys()


def test_a_tuned_run_has_a_step_more(store: Run) -> None:
    (store.path / "tuning.json").write_text(json.dumps(told()))
    run = Run(store.path)
    assert "tuned" in keys(run)
    assert "8 more steps" in said(run)["tuned"]
    assert "%" not in said(run)["tuned"]  # it was not judged
    assert "trained further since" in said(run)["kept"]
    assert "as fine-tuning left them" not in said(run)["kept"]


@pytest.mark.parametrize("method", list(METHODS))
def test_every_rule_is_told(method: str) -> None:
    assert METHODS[method].story
    assert all(said.endswith(".") for said in METHODS[method].story)


@pytest.mark.parametrize("method", ["ken", "ken-density", "delta", "random"])
def test_the_animation_ends_at_the_stored_mask(tmp_path: Path, method: str) -> None:
    run = make_run(tmp_path, method)
    example = telling.example(run)
    assert example is not None
    assert 0 < example.keep.sum() < len(example.keep)
    walk = walk_row(example.tuned, example.keep, method)
    data = story_walk.walk_data(walk, "name", "", "base")
    mask = np.zeros(len(data["values"]), bool)
    mask[data["order"]] = True
    stored = run.keep(example.matrix, slice(example.row, example.row + 1))[0]
    np.testing.assert_array_equal(mask, stored)
    json.dumps(data, allow_nan=False)


def test_next_back_and_the_address(open_page: OpenPage, store: Run, asked: FakeJobs) -> None:
    test = open_page("story")
    assert not asked.found  # an address alone asks nothing
    button(test, "Ask the models").click().run()
    finish(asked, "job0", store)
    test.run()
    assert not test.exception
    assert test.title[0].value == "What the model does"
    assert button(test, "Back").disabled
    button(test, "Next").click().run()
    assert test.query_params["step"] == "2"
    assert test.title[0].value == "What fine-tuning changed"
    button(test, "Back").click().run()
    assert test.query_params["step"] == "1"


def test_every_step_draws(open_page: OpenPage, store: Run, asked: FakeJobs) -> None:
    measure(store)
    test, titles = open_page("story", present=1), []
    while not button(test, "Next").disabled:
        titles.append(test.title[0].value)
        button(test, "Next").click().run()
        assert not test.exception
        assert not test.error
        assert button(test, "Leave")
    assert len(set(titles)) == 8


def test_leaving_the_presentation(open_page: OpenPage, asked: FakeJobs) -> None:
    test = open_page("story", step=3, present=1)
    button(test, "Leave").click().run()
    assert "present" not in test.query_params
    assert test.query_params["step"] == "3"


@pytest.mark.parametrize(
    ("query", "text"), [({"step": 99}, "1 to 9"), ({"step": "last"}, "'last'"), ({"present": "maybe"}, "maybe")]
)
def test_bad_links_are_messages_and_the_story_begins(
    open_page: OpenPage, asked: FakeJobs, query: dict[str, object], text: str
) -> None:
    test = open_page("story", **query)
    assert not test.exception
    assert text in test.error[0].value
    assert test.title[0].value == "What the model does"


def test_models_that_are_gone_do_not_end_the_story(
    open_page: OpenPage, home: Path, tmp_path: Path, asked: FakeJobs
) -> None:
    made = make_run(tmp_path / "made")
    shutil.copytree(made.path, home / "runs" / "lost")
    shutil.rmtree(tmp_path / "made" / "pair")
    state.forget_runs()
    test = open_page("story", run="lost", step=3)
    assert not test.exception
    assert test.error
    assert test.title[0].value == "What was kept"
    assert "weights" in words(test)


def test_the_row_and_the_weights_are_the_run_s_own(store: Run) -> None:
    example = telling.example(store)
    assert example is not None
    line = slice(example.row, example.row + 1)
    tuned = store.values(example.matrix, "tuned", line)[0]
    size = np.abs(tuned - store.values(example.matrix, "base", line)[0])
    for column, side in ((example.kept, example.keep), (example.gone, ~example.keep)):
        assert column is not None
        assert side[column]
        assert size[column] == size[side].max()
    assert example.gone is not None
    assert example.now[example.gone] == example.base[example.gone]


def test_typical_change_by_hand(store: Run) -> None:
    change = spread = 0.0
    for name in store.pruned:
        gap = store.values(name, "difference").astype(np.float64)
        change += float((gap**2).sum())
        spread += float(store.values(name, "tuned").astype(np.float64).std() ** 2 * gap.size)
    assert telling.typical_change(store.matrices) == pytest.approx(float(np.sqrt(change / spread)), rel=1e-4)
