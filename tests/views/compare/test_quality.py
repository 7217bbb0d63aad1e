"""Differences of quality in pairs and of intervals; settings and rules at the same budget."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kencore import PruneSpec, open_run
from kencore.quality.paired import accuracy_change, nll_change, packed
from kencore.runs.run import Run
from kencore.runs.shelf import RunSummary, list_runs
from kencore.runs.summary import summarise
from kencore.views.compare.peers import beside, find, peers, same
from kencore.views.compare.quality import Difference, difference, settings, sizes
from tests.support.runs import make_lm_run, make_run


def classifier(right: np.ndarray, **fields: Any) -> dict[str, Any]:
    share = float(right.mean())
    half = 1.96 * math.sqrt(share * (1 - share) / len(right))
    pruned = {"accuracy": share, "accuracy_low": share - half, "accuracy_high": share + half}
    metrics = {"data_sha256": "d", "examples": len(right), "pruned": pruned}
    return metrics | {"outcomes": packed(right)} | fields


def language(losses: np.ndarray, **fields: Any) -> dict[str, Any]:
    nll = float(losses.mean())
    half = 1.97 * losses.std(ddof=1) / math.sqrt(len(losses))
    pruned = {"nll": nll, "perplexity_low": math.exp(nll - half), "perplexity_high": math.exp(nll + half)}
    metrics = {"task": "language", "data_sha256": "d", "window": 256, "windows": len(losses)}
    return metrics | {"pruned": pruned, "outcomes": packed(losses)} | fields


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    first = rng.random(354) < 0.78
    return first, np.where(rng.random(354) < 0.1, ~first, first)


def told(first: dict[str, Any], second: dict[str, Any]) -> Difference:
    found = difference(first, second)
    assert isinstance(found, Difference)
    return found


def test_with_the_outcomes_of_both_the_test_is_in_pairs(answers: tuple[np.ndarray, np.ndarray]) -> None:
    found, wanted = told(*map(classifier, answers)), accuracy_change(*answers)
    assert found.paired
    assert found.change == pytest.approx(wanted["accuracy_change"])
    assert (found.low, found.high) == (wanted["accuracy_change_low"], wanted["accuracy_change_high"])
    assert (found.lost, found.won, found.p) == (wanted["lost"], wanted["won"], wanted["mcnemar_p"])
    assert found.could_be_chance == (wanted["mcnemar_p"] >= 0.05)


def test_without_them_the_intervals_are_combined_and_wider(answers: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = map(classifier, answers)
    found = told({**first, "outcomes": None}, second)
    assert not found.paired
    a, b = first["pruned"], second["pruned"]
    below = math.sqrt((b["accuracy"] - b["accuracy_low"]) ** 2 + (a["accuracy_high"] - a["accuracy"]) ** 2)
    assert found.low == pytest.approx(b["accuracy"] - a["accuracy"] - below)
    pairs = told(first, second)
    assert found.high is not None
    assert found.low is not None
    assert pairs.high is not None
    assert pairs.low is not None
    assert found.high - found.low > pairs.high - pairs.low
    assert found.p is None


def test_losses_of_windows_in_pairs_and_not() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(3, 0.5, 60)
    first, second = base, base + rng.normal(0.05, 0.05, 60)
    wanted = nll_change(first, second)
    found = told(language(first), language(second))
    assert (found.measure, found.paired) == ("nll", True)
    assert (found.low, found.high) == (wanted["nll_change_low"], wanted["nll_change_high"])
    assert found.could_be_chance is False  # more than chance in pairs
    apart = told(language(first, outcomes=None), language(second))
    assert apart.could_be_chance is True  # which two intervals alone cannot show


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"data_sha256": "e"}, "other data"),
        ({"task": "language"}, "another task"),
        ({"examples": 7}, "another number of examples"),
    ],
)
def test_measurements_that_say_nothing_against_each_other(
    answers: tuple[np.ndarray, np.ndarray], fields: dict[str, Any], why: str
) -> None:
    assert difference(classifier(answers[0]), classifier(answers[1], **fields)) == why


def test_what_was_not_measured_is_said(answers: tuple[np.ndarray, np.ndarray]) -> None:
    assert difference({}, {}) == "neither was measured"
    assert difference(classifier(answers[0]), {}) == "one was not measured"


def test_a_measurement_without_intervals_has_no_verdict() -> None:
    bare = {"data_sha256": "d", "examples": 9, "pruned": {"accuracy": 0.5}}
    found = told(bare, {**bare, "pruned": {"accuracy": 0.7}})
    assert (found.low, found.high, found.could_be_chance) == (None, None, None)


# --- settings and size ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("pair")
    return [make_run(folder, "ken"), make_run(folder, "delta", keep=0.25)]


def test_only_settings_that_differ_are_listed(pair: list[Run]) -> None:
    assert settings(pair) == {"method": ["ken", "delta"], "keep": [0.5, 0.25]}
    assert settings([pair[0], pair[0]]) == {}


def test_a_run_stands_beside_the_one_that_differs_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KENVIZ_GALLERY")
    own = open_run("smollm2-neuroal-60")
    assert beside(own, list_runs()) == "smollm2-wanda-60"
    found = settings([own, open_run("smollm2-wanda-60")])
    assert {name: found[name] for name in found if name != "versions"} == {
        "allocation": ["neuroal", "uniform"],
        "step": ["block", None],
        "reference": ["local", None],
        "search_sequences": [own.spec.search_sequences, None],
        "fast": [True, None],
    }


def test_sizes_are_those_of_the_tables(pair: list[Run]) -> None:
    found = sizes(pair[0])
    pruned = pair[0].matrices[pair[0].matrices["status"] == "pruned"]
    assert found["kept"] == pruned["kept"].sum()
    assert found["bytes_stored"] == pair[0].matrices["bytes_stored"].sum()
    assert found["bytes_subnetwork"] is None


# --- other rules at the same budget -----------------------------------------------------------


def test_a_pair_of_classifiers_is_laid_beside_rules_that_need_no_text(pair: list[Run]) -> None:
    found = {peer.key: peer for peer in peers(pair[0])}
    assert set(found) == {"delta", "neuroal", "magnitude", "random"}
    assert found["neuroal"].spec is None
    assert "language models" in str(found["neuroal"].why)
    for key in ("delta", "magnitude", "random"):
        spec = found[key].spec
        assert spec is not None
        own = pair[0].spec
        assert (spec.method, spec.keep, spec.scope, spec.base) == (key, own.keep, own.scope, own.base)


def test_a_language_model_without_a_base_is_laid_beside_streamed_rules(tmp_path: Path) -> None:
    run = make_lm_run(tmp_path)
    found = {peer.key: peer for peer in peers(run)}
    assert set(found) == {"ken", "delta", "wanda", "magnitude", "random"}
    assert found["ken"].spec is None
    assert "without one" in str(found["ken"].why)
    assert found["wanda"].spec is not None
    assert (found["wanda"].spec.method, found["wanda"].spec.allocation) == ("wanda", "uniform")
    plain = make_lm_run(tmp_path / "plain", method="magnitude", allocation="uniform")
    searched = {peer.key: peer for peer in peers(plain)}["neuroal"].spec
    assert searched is not None
    assert (searched.allocation, searched.method, searched.keep) == ("neuroal", "wanda", 0.3)


def test_the_demo_language_model_has_ken_and_differences_on_the_same_matrices() -> None:
    found = {peer.key: peer.spec for peer in peers(open_run("demo-lm"))}
    for key in ("ken", "delta"):
        spec = found[key]
        assert spec is not None
        assert (spec.base, spec.scope, spec.keep) == ("demo-lm-base", ("blocks",), 0.4)
        assert not spec.vectors
    assert open_run("demo-lm").language
    assert not open_run("demo").language


def test_settings_that_no_part_of_the_job_reads_do_not_tell_runs_apart() -> None:
    def spec(**fields: Any) -> PruneSpec:
        return PruneSpec(**{"model": "demo", "method": "delta", "keep": 0.5} | fields)

    assert same(spec(), spec(baselines=False, device="cpu", sequences=7, seed=3))
    assert not same(spec(), spec(evaluation="demo"))
    assert not same(spec(method="random"), spec(method="random", seed=3))
    assert not same(spec(), spec(keep=0.25))


def test_the_newest_run_with_these_settings_is_found(pair: list[Run], tmp_path: Path) -> None:
    def summary(run: Run, name: str, created: str, problem: str | None = None) -> RunSummary:
        return replace(summarise(run.path), id=name, created=created, problem=problem)

    listed = [
        summary(pair[0], "old", "2026-01"),
        summary(pair[0], "new", "2026-03"),
        summary(pair[1], "other", "2026-05"),
        summary(pair[0], "bad", "2026-09", "broken"),
    ]
    assert find(pair[0].spec, listed) == "new"
    wanted = next(peer.spec for peer in peers(pair[0]) if peer.key == "delta")
    assert wanted is not None
    assert find(wanted, listed) is None  # delta with another share is none


def test_a_run_that_was_tuned_after_pruning_is_not_taken_for_one(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    record = json.loads((run.path / "record.json").read_text())
    (run.path / "record.json").write_text(json.dumps(record | {"tuned": {"steps": 9, "from": "before"}}))
    assert find(run.spec, [summarise(run.path)]) is None


def test_comparing_in_pairs_imports_nothing_heavy() -> None:
    code = """
import sys, numpy as np
from kencore.views.compare.quality import difference
from kencore.quality.paired import packed
def run(outcomes, **pruned):
    return {"task": "language", "pruned": pruned, "outcomes": packed(outcomes)}
found = difference(run(np.ones(9), nll=1), run(np.arange(9.0), nll=4))
assert found.paired and found.low < 3 < found.high
right = {"pruned": {"accuracy": 1}, "outcomes": packed(np.ones(9, bool))}
assert difference(right, right).paired
print([name for name in ("torch", "scipy", "numba", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
