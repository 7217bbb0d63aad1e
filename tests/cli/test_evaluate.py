"""What the command line prints of measurements."""

from __future__ import annotations

from typing import Any

import pytest

from kencore.cli import evaluate as cli_measured


def quality(**states: float) -> list[str]:
    """The first words of the lines of a run with these accuracies."""
    measured: dict[str, Any] = {name: {"accuracy": value, "f1_macro": value} for name, value in states.items()}
    text = cli_measured.quality({"task": "classification", "examples": 9, "data": "d", **measured})
    return [line.split()[0] + " " + line.split()[2] for line in text.splitlines()[1:]]


def test_a_tuned_run_is_called_tuned_and_comes_after_what_it_was() -> None:
    assert quality(dense=0.8, pruned=0.6) == ["dense 80.00%", "pruned 60.00%"]
    assert quality(dense=0.8, pruned=0.7, untuned=0.6) == ["dense 80.00%", "untuned 60.00%", "recovered 70.00%"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.00394, "3.94"), (0.0178, "17.8"), (0.66, "660"), (1.15, "1,150"), (12.3456, "12,346")]
)
def test_milliseconds_have_no_exponent(seconds: float, words: str) -> None:
    timing = {"median": seconds, "low": seconds, "high": seconds}
    line = cli_measured._timing({"batch": 1, "dense": timing}, 10)
    assert f"dense {words} ms ({words} to {words})" in line


@pytest.mark.parametrize(("count", "words"), [(1, "1 example"), (1200, "1,200 examples")])
def test_examples_are_counted_in_words(count: int, words: str) -> None:
    facts = {
        "harness": "0.4",
        "limit": count,
        "tasks": ["t"],
        "dense": {"t": {"acc": 1.0, "examples": count, "seconds": 0.1}},
    }
    head, line = cli_measured.zero_shot(facts)
    assert f"the first {words} of each" in head
    assert f"  {words}, 0.1 s" in line
