"""The story: which steps a run has, what they say, and how one goes through them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.app_pages.story import walk as story_walk
from app.frame import state
from kencore.methods.table import METHODS
from kencore.runs.run import Run
from kencore.views import example as telling
from kencore.views.guide import guide
from kencore.views.walk import walk_row
from kencore.words import story
from kencore.words.verdict import verdict
from kencore.words.zoom import Step
from tests.app.app_pages.test_explain import asked as asked
from tests.app.app_pages.test_explain import words
from tests.app.app_pages.test_overview import measure
from tests.app.app_pages.test_prune import button
from tests.app.charts.test_tuning import told
from tests.app.conftest import OpenPage
from tests.app.explanations import finish
from tests.app.fake_jobs import FakeJobs
from tests.support.runs import make_lm_run, make_run

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
BLOCKS = ("model", "block", "matrix", "row", "kept", "gone")


def told_of(run: Run) -> list[Step]:
    return list(story.steps(run, guide(run.matrices), telling.example(run)))


def keys(run: Run) -> list[str]:
    return [step.key for step in told_of(run)]


def said(run: Run) -> dict[str, str]:
    return {step.key: " ".join((step.title, *step.words)).replace("\xa0", " ") for step in told_of(run)}


def test_a_run_without_quality_says_so_and_names_no_number(store: Run) -> None:
    assert keys(store) == ["ask", *BLOCKS, "unmeasured", "stored", "next"]
    assert "Nobody has measured" in said(store)["unmeasured"]
    assert not any(sign.isdigit() for sign in said(store)["unmeasured"])
    assert "not known" in said(store)["next"]
    assert [one.page for one in story.advice(store)] == ["overview"]


def test_a_measured_run_ends_with_the_verdict_and_what_to_do_about_it(store: Run) -> None:
    apart = {"accuracy_change": 0.05, "accuracy_change_low": 0.01, "accuracy_change_high": 0.09}
    found: dict[str, Any] = {"accuracy": 0.79, "accuracy_low": 0.7, "accuracy_high": 0.9}
    tied = found | {"versus_pruned": apart | {"mcnemar_p": 0.4, "lost": 1, "won": 2}}
    better = found | {"versus_pruned": apart | {"mcnemar_p": 0.01, "lost": 1, "won": 20}}
    measure(store, baselines={"random": tied})
    run = Run(store.path)
    assert "79.2 % right, the pruned one 78.4 %" in said(run)["cost"]
    assert "just as well" in said(run)["baseline"]
    judged = verdict(run.metrics, run.spec.method)
    assert judged is not None
    assert judged.text in said(run)["next"].replace(" %", "\xa0%")
    measure(store, baselines={"random": tied, "delta": better})
    run = Run(store.path)
    assert "Another rule does better" in said(run)["baseline"]
    (offered,) = (one for one in story.advice(run) if one.page == "prune")
    assert offered.params["method"] == "delta"
    assert offered.params["keep"] == run.spec.keep


def test_a_language_model_without_a_base(tmp_path: Path) -> None:
    run = make_lm_run(tmp_path)
    found = said(run)
    assert list(found) == ["ask", *BLOCKS, "cost", "baseline", "stored", "next"]
    assert "goes on with a text" in found["ask"]
    assert "base" not in " ".join(found.values()).replace("based", "")
    assert "NeuroAL decided" in found["block"]
    assert "Now it is 0" in found["gone"]
    assert "since" not in found["model"]
    changed = said(make_lm_run(tmp_path / "changed", method="sparsegpt"))
    assert "adjusted since" in changed["model"]
    assert "What pruning did afterwards" in changed["kept"]
    plain = said(make_lm_run(tmp_path / "plain", allocation="uniform", measured=False))
    assert "NeuroAL" not in " ".join(plain.values())


def test_a_tuned_run_has_a_step_more(store: Run) -> None:
    (store.path / "tuning.json").write_text(json.dumps(told()))
    run = Run(store.path)
    assert "tuned" in keys(run)
    assert "8 more steps" in said(run)["tuned"]
    assert "%" not in said(run)["tuned"]  # it was not judged
    assert "trained further since" in said(run)["model"]


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if not row.coded])  # runs of these are ranked
def test_no_letter_and_no_term_without_a_word_for_it(tmp_path: Path, method: str) -> None:
    lone = METHODS[method].update is not None or METHODS[method].activations
    run = make_lm_run(tmp_path, method=method) if lone else make_run(tmp_path, method)
    for text in said(run).values():
        assert not re.search(r"(?<!\d )\b([qkvo]|rms|RMS|median|diff_lost)\b", text), text  # 86.5 k is a number


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
    button(test, "Ask").click().run()
    finish(asked, "job0", store)
    test.run()
    assert not test.exception
    assert test.title[0].value.startswith("This model reads a sentence")
    assert button(test, "Back").disabled
    button(test, "Next").click().run()
    assert test.query_params["step"] == "2"
    assert test.title[0].value.startswith("KEN put 50")
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
    assert len(set(titles)) == len(titles) == 9


def test_leaving_the_presentation(open_page: OpenPage, asked: FakeJobs) -> None:
    test = open_page("story", step=3, present=1)
    button(test, "Leave").click().run()
    assert "present" not in test.query_params
    assert test.query_params["step"] == "3"


@pytest.mark.parametrize(
    ("query", "text"), [({"step": 99}, "1 to 10"), ({"step": "last"}, "'last'"), ({"present": "maybe"}, "maybe")]
)
def test_bad_links_are_messages_and_the_story_begins(
    open_page: OpenPage, asked: FakeJobs, query: dict[str, object], text: str
) -> None:
    test = open_page("story", **query)
    assert not test.exception
    assert text in test.error[0].value
    assert test.title[0].value.startswith("This model reads a sentence")


def test_a_link_names_the_weight_and_the_step(open_page: OpenPage, store: Run, asked: FakeJobs) -> None:
    keep = store.keep(UP, slice(7, 8))[0]
    for column, key, fate in ((int(keep.argmax()), "kept", "stayed"), (int(keep.argmin()), "gone", "was reset")):
        test = open_page("story", step="weight", at=UP, row=7, col=column)
        assert not test.exception
        assert not test.error
        assert fate in test.title[0].value
        example = telling.example(store, UP, 7, column)
        assert getattr(example, key) == column
    test = open_page("story", step="matrix", at=UP)
    assert "first feed-forward matrix" in words(test)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"at": "nothing"}, "no matrix"),
        ({"at": UP, "row": 96}, "0 to 95"),
        ({"at": "bert.encoder.layer.1.attention.self.query.bias"}, "one row alone"),
    ],
)
def test_a_place_that_is_not_there_is_said_and_another_told(
    open_page: OpenPage, asked: FakeJobs, query: dict[str, object], text: str
) -> None:
    test = open_page("story", step="matrix", **query)
    assert not test.exception
    assert text in test.error[0].value.replace("\\", "")
    assert "matrix" in words(test)


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
    assert "block" in test.title[0].value
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
