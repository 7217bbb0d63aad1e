"""How numbers, runs and commands are said."""

from __future__ import annotations

import math
import shlex
from typing import Any

import pytest
from typer.testing import CliRunner

from kencore.allocate.table import ALLOCATIONS
from kencore.cli import main as cli
from kencore.methods.table import METHODS
from kencore.settings import prune as spec
from kencore.settings.prune import PruneSpec
from kencore.views.tables import Totals
from kencore.words import numbers as wording
from kencore.words import run as facts


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (812, "812"),
        (1000, "1 k"),
        (3400, "3.4 k"),
        (999_949, "1 M"),
        (1.4e6, "1.4 M"),
        (109.48e6, "109 M"),
        (7.24e9, "7.2 B"),
    ],
)
def test_count(number: float, said: str) -> None:
    assert wording.count(number).replace("\xa0", " ") == said


@pytest.mark.parametrize(
    ("nbytes", "said"),
    [(12, "12 bytes"), (345_990, "346 kB"), (999_999, "1 MB"), (2.87e6, "2.87 MB"), (1.5e9, "1.5 GB")],
)
def test_size(nbytes: float, said: str) -> None:
    assert wording.size(nbytes).replace("\xa0", " ") == said


@pytest.mark.parametrize(
    ("time", "said"), [(0.84, "0.8 s"), (45, "45 s"), (200, "3 min 20 s"), (119.9, "2 min 0 s"), (7500, "2 h 5 min")]
)
def test_seconds(time: float, said: str) -> None:
    assert wording.seconds(time) == said


def test_percent() -> None:
    assert wording.percent(0.7849) == "78.5\xa0%"
    assert wording.short_percent(0.5) == "50\xa0%"
    assert wording.short_percent(1 / 3) == "33.3\xa0%"
    assert wording.percent(math.nan) == "n/a"


def test_every_word_of_a_spec_is_named_and_explained() -> None:
    rows = (*METHODS.values(), *ALLOCATIONS.values())
    assert all(row.label and row.explained.endswith(".") for row in rows)
    assert set(wording.STEPS) == set(spec.STEPS)
    assert set(wording.REFERENCES) == set(spec.REFERENCES)
    assert set(wording.REFINEMENTS) == set(spec.REFINEMENTS)
    assert set(wording.PROPAGATIONS) == set(spec.PROPAGATIONS)


TOTAL = Totals(
    params=1_400_000,
    pruned=1_000_000,
    kept=700_000,
    kept_pruned=500_000,
    matrices=30,
    matrices_pruned=25,
    bytes_dense=2_800_000,
    bytes_stored=1_600_000,
)


def said(text: str) -> str:
    return text.replace("\xa0", " ")


def test_headline_with_and_without_quality() -> None:
    metrics = {"dense": {"accuracy": 0.792}, "pruned": {"accuracy": 0.784}}
    spec = PruneSpec(model="demo", keep=0.5)
    assert said(facts.headline(spec, TOTAL, metrics)) == ("KEN keeps 50 % of 1.4 M weights; accuracy 79.2 % → 78.4 %")
    random = PruneSpec(model="demo", keep=0.5, method="random")
    assert facts.headline(random, TOTAL, {}).endswith("; quality was not measured")


def test_headline_of_a_language_model() -> None:
    metrics = {"task": "language", "dense": {"perplexity": 24.04}, "pruned": {"perplexity": 131.6}}
    spec = PruneSpec(model="demo-lm", method="wanda", keep=0.5, allocation="neuroal", step="both")
    assert said(facts.headline(spec, TOTAL, metrics)) == (
        "Wanda + NeuroAL (blocks, then rows) sets 50 % of 1 M weights to zero; perplexity 24.0 → 132"
    )


def test_subject_says_what_becomes_of_the_rest() -> None:
    spec = PruneSpec(model="demo-lm", method="sparsegpt", keep=0.3)
    assert said(facts.subject(spec)) == (
        "Demo language model · SparseGPT · 70 % sparsity · pruned: all matrices of the blocks · "
        "calibrated on Python's help texts (pydoc) · what is not kept is set to zero"
    )
    assert facts.updated(spec)
    assert "set to zero" not in facts.subject(PruneSpec(model="demo", keep=0.5))


def test_a_run_is_named_by_what_tells_it_apart() -> None:
    lm = {"model": "demo-lm", "method": "wanda", "keep": 0.5}
    one = {"a": PruneSpec(**lm, allocation="owl")}
    assert facts.short_labels(one) == {"a": "OWL"}
    two = one | {"b": PruneSpec(**lm, allocation="neuroal", step="row")}
    assert facts.short_labels(two) == {"a": "OWL", "b": "NeuroAL (rows)"}
    three = two | {"c": PruneSpec(**lm | {"method": "random"}, allocation="owl")}
    assert facts.short_labels(three) == {"a": "Wanda, OWL", "b": "Wanda, NeuroAL (rows)", "c": "Random, OWL"}
    paired = {"a": PruneSpec(**lm, allocation="owl"), "b": PruneSpec(**lm | {"method": "sparsegpt"}, allocation="atp")}
    assert facts.short_labels(paired) == {"a": "Wanda, OWL", "b": "SparseGPT, ATP"}
    twins = {"x": PruneSpec(**lm), "y": PruneSpec(**lm)}
    assert facts.short_labels(twins) == {"x": "Uniform (x)", "y": "Uniform (y)"}
    assert facts.short_labels({"k": PruneSpec(model="demo", keep=0.5)}) == {"k": "KEN"}


def test_perplexities_and_their_changes() -> None:
    assert [facts.perplexity(value) for value in (7.426, 31.24, 1240.4)] == ["7.43", "31.2", "1,240"]


def test_points_and_interval() -> None:
    assert facts.points(-0.008) == "−0.8 points"
    assert facts.points(0.01) == "+1.0 points"
    assert facts.interval({"accuracy_low": 0.552, "accuracy_high": 0.654}) == "55–65\xa0%"
    assert facts.interval({"accuracy_low": 0.781, "accuracy_high": 0.799}) == "78.1–79.9\xa0%"


def test_best_baseline() -> None:
    found = {"random": {"accuracy": 0.6}, "delta": {"accuracy": 0.7}}
    assert facts.best_baseline({"baselines": found}) == ("delta", {"accuracy": 0.7})
    assert facts.best_baseline({}) is None
    found = {"random": {"perplexity": 60.0}, "uniform": {"perplexity": 40.0}}
    assert facts.best_baseline({"task": "language", "baselines": found}) == ("uniform", {"perplexity": 40.0})
    assert facts.baseline_name("uniform", "wanda") == "Wanda, uniform"
    assert facts.baseline_name("random", "wanda") == "Random"


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "demo", "keep": 0.5},
        {
            "model": "/a folder/tuned",
            "base": "org/base",
            "k": 64,
            "method": "delta",
            "model_revision": "v1",
            "base_revision": "abc",
        },
        {
            "model": "demo",
            "keep": 1 / 3,
            "scope": ("attention", "*.layer.0.*"),
            "head": False,
            "embeddings": False,
            "vectors": False,
            "evaluation": "it's here.tsv",
            "baselines": True,
            "seed": 7,
            "device": "cpu",
            "method": "random",
        },
        {"model": "demo-lm", "method": "ken", "keep": 0.5},
        {"model": "demo-lm", "method": "magnitude", "base": "demo-lm-base", "keep": 0.5},
        {"model": "foo", "base": "foo-base", "keep": 0.5},
        {
            "model": "org/lm",
            "method": "wanda",
            "keep": 0.3,
            "allocation": "neuroal",
            "step": "both",
            "reference": "global",
            "refine": "dsnot",
            "calibration": "my text.txt",
            "sequences": 16,
            "search_sequences": 4,
            "window": 64,
            "propagate": "dense",
            "fast": True,
            "evaluation": "pydoc",
            "windows": 9,
            "baselines": True,
        },
        {"model": "org/lm", "method": "wanda", "keep": 0.3, "published": True},
    ],
    ids=["demo", "hub", "everything", "demo-lm", "its base", "a base", "search", "published"],
)
def test_the_command_makes_the_same_spec(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = PruneSpec(**settings)
    asked: list[PruneSpec] = []

    def prune(given: PruneSpec, **_: Any) -> None:
        asked.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr("kencore.pruning.prune.prune", prune)
    words = shlex.split(facts.command(wanted).replace("\\\n", " "))
    assert words[:4] == ["python", "-m", "kencore", "prune"]
    CliRunner().invoke(cli.app, words[3:])
    assert asked == [wanted]


def test_scope_in_words() -> None:
    some = PruneSpec(model="demo", keep=0.5, scope=("q", "k"), head=False, vectors=False)
    assert facts.scope(some) == "q + k, without norms and biases and head"
    assert facts.scope(PruneSpec(model="demo", keep=0.5)) == "everything"
