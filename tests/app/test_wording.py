"""How numbers, runs and commands are said."""

from __future__ import annotations

import math
import shlex
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from app import facts, wording
from kencore import cli
from kencore.spec import METHODS, PruneSpec
from kencore.store.summaries import Totals


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (812, "812"), (1000, "1 k"), (3400, "3.4 k"), (999_949, "1 M"), (1.4e6, "1.4 M"),
     (109.48e6, "109 M"), (7.24e9, "7.2 B")],
)  # fmt: skip
def test_count(number: float, said: str) -> None:
    assert wording.count(number).replace("\xa0", " ") == said


@pytest.mark.parametrize(
    ("nbytes", "said"),
    [(12, "12 bytes"), (345_990, "346 kB"), (999_999, "1 MB"), (2.87e6, "2.87 MB"),
     (1.5e9, "1.5 GB")],
)  # fmt: skip
def test_size(nbytes: float, said: str) -> None:
    assert wording.size(nbytes).replace("\xa0", " ") == said


@pytest.mark.parametrize(
    ("time", "said"),
    [(0.84, "0.8 s"), (45, "45 s"), (200, "3 min 20 s"), (119.9, "2 min 0 s"), (7500, "2 h 5 min")],
)
def test_seconds(time: float, said: str) -> None:
    assert wording.seconds(time) == said


def test_percent() -> None:
    assert wording.percent(0.7849) == "78.5\xa0%"
    assert wording.short_percent(0.5) == "50\xa0%"
    assert wording.short_percent(1 / 3) == "33.3\xa0%"
    assert wording.percent(math.nan) == "n/a"


def test_every_method_is_named_and_explained() -> None:
    assert set(wording.METHODS) == set(wording.METHODS_EXPLAINED) == set(METHODS)


TOTAL = Totals(
    params=1_400_000, pruned=1_000_000, kept=700_000, kept_pruned=500_000, matrices=30,
    matrices_pruned=25, bytes_dense=2_800_000, bytes_stored=1_600_000,
)  # fmt: skip


def test_headline_with_and_without_quality() -> None:
    metrics = {"dense": {"accuracy": 0.792}, "pruned": {"accuracy": 0.784}}
    assert facts.headline("ken", TOTAL, metrics).replace("\xa0", " ") == (
        "KEN keeps 50 % of 1.4 M parameters; accuracy 79.2 % → 78.4 %"
    )
    assert facts.headline("random", TOTAL, {}).endswith("; quality was not measured")


def test_points_and_interval() -> None:
    assert facts.points(-0.008) == "−0.8 points"
    assert facts.points(0.01) == "+1.0 points"
    assert facts.interval({"accuracy_low": 0.552, "accuracy_high": 0.654}) == "55–65\xa0%"
    assert facts.interval({"accuracy_low": 0.781, "accuracy_high": 0.799}) == "78.1–79.9\xa0%"


def test_best_baseline() -> None:
    found = {"random": {"accuracy": 0.6}, "delta": {"accuracy": 0.7}}
    assert facts.best_baseline({"baselines": found}) == ("delta", {"accuracy": 0.7})
    assert facts.best_baseline({}) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "demo", "keep": 0.5},
        {"model": "/a folder/tuned", "base": "org/base", "k": 64, "method": "delta",
         "model_revision": "v1", "base_revision": "abc"},
        {"model": "demo", "keep": 1 / 3, "scope": ("attention", "*.layer.0.*"), "head": False,
         "embeddings": False, "vectors": False, "evaluation": "it's here.tsv", "baselines": True,
         "seed": 7, "device": "cpu", "method": "random"},
    ],
    ids=["demo", "hub", "everything"],
)  # fmt: skip
def test_the_command_makes_the_same_spec(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = PruneSpec(**settings)
    asked: list[PruneSpec] = []

    def prune(given: PruneSpec, **_: Any) -> None:
        asked.append(given)
        raise KeyboardInterrupt

    # the package hides the module behind the function of the same name
    monkeypatch.setattr(sys.modules["kencore.prune"], "prune", prune)
    words = shlex.split(facts.command(spec).replace("\\\n", " "))
    assert words[:4] == ["python", "-m", "kencore", "prune"]
    CliRunner().invoke(cli.app, words[3:])
    assert asked == [spec]


def test_scope_in_words() -> None:
    spec = PruneSpec(model="demo", keep=0.5, scope=("q", "k"), head=False, vectors=False)
    assert facts.scope(spec) == "q + k, without norms and biases and head"
    assert facts.scope(PruneSpec(model="demo", keep=0.5)) == "everything"
