"""Which of several runs measured best: never more than the figures hold."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest

from kencore.runs.run import Run, open_run
from kencore.words.compare import best

METHODS = ("ken", "delta", "magnitude")


def runs_of(*metrics: dict[str, Any]) -> list[Run]:
    """Runs of three rules that measured this."""
    found = []
    for method, measured in zip(METHODS, metrics, strict=True):
        run = copy.copy(open_run("demo"))
        run.spec, run.metrics = replace(run.spec, method=method), measured
        found.append(run)
    return found


def accuracy(share: float, half: float = 0.01) -> dict[str, Any]:
    pruned = {"accuracy": share, "accuracy_low": share - half, "accuracy_high": share + half, "examples": 5000}
    return {"task": "classification", "data": "a", "data_sha256": "b", "examples": 5000, "pruned": pruned}


def window(nll: float) -> dict[str, Any]:
    """One window of text alone, which has no interval."""
    pruned = {"perplexity": math.exp(nll), "nll": nll, "windows": 1}
    about = {"task": "language", "data": "a", "data_sha256": "b", "window": 64, "windows": 1}
    return about | {"pruned": pruned}


def said(*metrics: dict[str, Any]) -> str:
    return best(runs_of(*metrics)).replace("\u00a0", " ").replace("\u2060", "")


@pytest.mark.parametrize(
    ("shares", "wanted"),
    [
        (
            (0.9, 0.5, 0.4),
            "KEN measured best, accuracy 90.0 % (89.0–91.0): better than Largest difference and Largest magnitude.",
        ),
        (
            (0.5, 0.9, 0.895),
            "Largest difference measured best, accuracy 90.0 % (89.0–91.0): better than KEN, not more than chance "
            "apart from Largest magnitude.",
        ),
        ((0.8, 0.8, 0.5), "KEN and Largest difference measured best, accuracy 80.0 %: better than Largest magnitude."),
        ((0.8, 0.8, 0.8), "KEN, Largest difference and Largest magnitude measured best, accuracy 80.0 %."),
    ],
)
def test_the_best_and_what_it_is_better_than(shares: tuple[float, ...], wanted: str) -> None:
    assert said(*map(accuracy, shares)) == wanted


def test_one_window_tells_nothing_apart() -> None:
    text = said(window(1.0), window(4.0), window(3.0))
    assert text.startswith("KEN measured best, perplexity 2.7")
    assert text.endswith("not to be told from so little data from Largest magnitude and Largest difference.")


def test_what_was_not_measured_is_said() -> None:
    assert said(accuracy(0.9), {}, accuracy(0.5)).endswith(
        "better than Largest magnitude. Not measured: Largest difference."
    )
    assert said(accuracy(0.9), {}, {}) == ""
    assert said(accuracy(0.9), window(1.0), accuracy(0.5)) == ""  # of different things
    assert best(runs_of(accuracy(0.9), accuracy(0.5), {})[:2]) == ""  # two runs have a sentence of their own
