"""Verdicts over constructed measurements: what a person would say of each, decided by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from kencore.models.figures import Figures, mean_interval
from kencore.quality.paired import compared
from kencore.words.verdict import points_apart, times, verdict

EXAMPLES = 1000


def classifier(right: int, lost: int = 0, won: int = 0, count: int = EXAMPLES) -> tuple[Figures, Figures]:
    """A dense model that tells ``right`` examples, and one that lost and won some of them."""
    first = np.arange(count) < right
    second = first.copy()
    second[:lost] = False
    second[right : right + won] = True
    return figures(first), figures(second)


def figures(outcomes: np.ndarray[Any, np.dtype[np.bool_]]) -> Figures:
    return Figures({"accuracy": float(outcomes.mean()), "examples": len(outcomes), "f1_binary": 0.5}, outcomes)


def language(nlls: list[float]) -> Figures:
    values = np.array(nlls)
    found = {"perplexity": math.exp(values.mean()), "nll": float(values.mean()), "windows": len(nlls)}
    if (ends := mean_interval(values)) is not None:
        found |= {f"perplexity_{end}": math.exp(value) for end, value in zip(("low", "high"), ends, strict=True)}
    return Figures(found, values)


def judged(dense: Figures, pruned: Figures, **baselines: Figures) -> dict[str, Any]:
    kind = {"task": "language"} if "perplexity" in dense else {"examples": dense["examples"]}
    steps = {"dense": dense, "pruned": pruned} | ({"baselines": baselines} if baselines else {})
    return compared(kind | steps)


@pytest.mark.parametrize(
    ("right", "lost", "won", "count", "level"),
    [
        (768, 0, 0, 1000, "safe"),  # no answer changed
        (768, 4, 9, 1000, "safe"),  # half a point better
        (768, 12, 4, 1000, "safe"),  # a loss that is real (p = .08) and small: at most 1.6 points
        (768, 60, 20, 1000, "damaged"),  # 4 points, p < .001
        (768, 400, 10, 1000, "ruined"),  # 39 of the 27 points above a coin
        (768, 160, 10, 1000, "ruined"),  # 15 of 26.8 points above a coin: more than half
        (768, 120, 10, 1000, "damaged"),  # 11 of 26.8
        (272, 29, 17, 354, "unclear"),  # 3.4 points, p = .10
        (38, 0, 0, 50, "unclear"),  # nothing lost, but fifty sentences could hide 3.8 points
        (38, 0, 3, 50, "safe"),
    ],
)
def test_level_of_a_classifier(right: int, lost: int, won: int, count: int, level: str) -> None:
    found = verdict(judged(*classifier(right, lost, won, count)), "ken")
    assert found is not None
    assert found.level == level


def test_guess_is_that_of_the_base_where_it_was_measured() -> None:
    dense, pruned = classifier(900, 150, 0)  # 75 %: 15 of 40 points above a coin
    found = judged(dense, pruned)
    assert verdict(found, "ken").level == "damaged"  # type: ignore[union-attr]
    base = classifier(900, 200)[1]  # the base has 70 %: 15 of 20 points are gone
    assert verdict(found | {"base": base}, "ken").level == "ruined"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "spread", "level"),
    [
        (0.0, 0.0, "safe"),
        (0.03, 0.001, "safe"),  # 3 % more, at most 3.2
        (-0.1, 0.01, "safe"),
        (0.36, 0.05, "damaged"),  # 1.43 times
        (0.06, 0.5, "unclear"),
        (0.8, 0.05, "ruined"),  # 2.2 times
        (3.3, 0.2, "ruined"),
    ],
)
def test_level_of_a_language_model(change: float, spread: float, level: str) -> None:
    draw = np.random.default_rng(0)
    dense = 3 + 0.3 * draw.standard_normal(40)
    noise = draw.standard_normal(40)
    pruned = dense + change + spread * (noise - noise.mean())
    found = verdict(judged(language(list(dense)), language(list(pruned))), "wanda")
    assert found is not None
    assert found.level == level


def test_one_window_counts_as_it_is() -> None:
    found = verdict(judged(language([3.0]), language([4.0])), "wanda")
    assert found is not None
    assert found.level == "ruined"
    assert found.change == "perplexity 20.1 → 54.6, 2.7 times the dense model's."


def test_sentences() -> None:
    found = verdict(judged(*classifier(272, 29, 17, 354)), "ken")
    assert found is not None
    assert found.text == (
        "Unclear: accuracy 76.8 → 73.4 %, 3.4 points lower, which could be chance with 354 sentences: "
        "measure on more data to know.".replace(" %", "\u00a0%")
    )


def test_not_measured() -> None:
    assert verdict({}, "ken") is None
    assert verdict({"zero_shot": {}}, "ken") is None


def test_peers_by_the_paired_test() -> None:
    dense, pruned = classifier(768, 60, 20)
    better, tied, worse = classifier(768, 2, 5)[1], classifier(768, 63, 20)[1], classifier(768, 300, 0)[1]
    found = judged(dense, pruned, delta=better, random=tied, magnitude=worse)
    assert verdict(found, "ken").peers == (  # type: ignore[union-attr]
        "Largest difference is better at the same budget (77.1\u00a0%); this run is tied with random, better than "
        "largest magnitude (46.8\u00a0%)."
    )
    found = judged(dense, pruned, delta=better, ken=better, magnitude=worse)
    assert verdict(found, "ken-density").peers == (  # type: ignore[union-attr]
        "Largest difference and KEN are better at the same budget (the best 77.1\u00a0%); this run is better than "
        "largest magnitude (46.8\u00a0%)."
    )
    found = judged(dense, pruned, random=tied, magnitude=worse)
    assert verdict(found, "ken").peers == (  # type: ignore[union-attr]
        "Tied with random at the same budget, better than largest magnitude (46.8\u00a0%)."
    )
    found = judged(dense, pruned, magnitude=worse)
    assert verdict(found, "ken").peers == (  # type: ignore[union-attr]
        "Better than largest magnitude (46.8\u00a0%) at the same budget."
    )


def test_a_lower_perplexity_is_better() -> None:
    dense, own = [3.0, 3.1, 2.9, 3.2], [3.5, 3.6, 3.41, 3.7]
    found = judged(language(dense), language(own), magnitude=language([value + 0.2 for value in own]))
    assert verdict(found, "wanda").peers.startswith("Better than largest magnitude (")  # type: ignore[union-attr]
    found = judged(language(dense), language(own), magnitude=language([value - 0.2 for value in own]))
    assert verdict(found, "wanda").peers.startswith("Largest magnitude is better")  # type: ignore[union-attr]


def test_runs_of_before_pairs_were_kept_say_so() -> None:
    dense, pruned = classifier(768, 60, 20)
    found: dict[str, Any] = {
        "dense": dict(dense),
        "pruned": dict(pruned) | {"accuracy_low": 0.70, "accuracy_high": 0.75},
        "baselines": {"random": {"accuracy": 0.7}},
    }
    told = verdict(found, "ken")
    assert told is not None
    assert told.level == "damaged"
    assert told.peers == "Not compared in pairs with other rules; the best of them measured is random (70.0\u00a0%)."


@pytest.mark.parametrize(
    ("value", "other", "text"),
    [
        (0.734, 0.768, "3.4 points lower"),
        (0.7345, 0.7676, "3.4 points lower"),  # 73.4 and 76.8 as shown, though 3.31 apart
        (0.78, 0.78, "the same"),
        (0.78004, 0.77996, "the same"),
        (0.78, 0.768, "1.2 points higher"),
    ],
)
def test_differences_are_those_of_the_numbers_shown(value: float, other: float, text: str) -> None:
    assert points_apart(value, other, "higher", "lower") == text


@pytest.mark.parametrize(
    ("value", "other", "text"),
    [
        (33.3, 23.3, "43\u00a0% higher"),
        (318.0, 11.5, "28 times the dense model's"),
        (125.1, 34.5, "3.6 times the dense model's"),
        (23.31, 23.29, "the same"),
        (22.1, 23.3, "5.2\u00a0% lower"),
    ],
)
def test_perplexities_apart(value: float, other: float, text: str) -> None:
    assert times(value, other) == text


@pytest.mark.parametrize(
    ("right", "lost", "odds", "level"),
    [
        (503, 0, 0.5, "unclear"),  # the dense model guesses: nothing could be lost
        (600, 0, 0.5, "safe"),
        (600, 0, 0.59, "unclear"),  # its interval reaches the share of the most frequent label
        (503, 200, 0.5, "ruined"),  # worse than a guess is a loss all the same
    ],
)
def test_a_classifier_that_guesses_cannot_be_safe(right: int, lost: int, odds: float, level: str) -> None:
    dense, pruned = classifier(right, lost)
    interval = binomtest(right, EXAMPLES).proportion_ci(0.95, method="wilson")
    dense |= {"guess": odds, "accuracy_low": float(interval.low)}
    told = verdict(judged(Figures(dense, np.arange(EXAMPLES) < right), pruned), "ken")
    assert told is not None
    assert told.level == level
    assert ("most frequent label" in told.text) == (level == "unclear")


def test_a_language_model_that_guesses_cannot_be_safe() -> None:
    nlls = [math.log(110.0)] * 8
    for odds, level in ((100.0, "unclear"), (120.0, "safe")):
        dense = Figures({**language(nlls), "guess": odds}, np.array(nlls))
        told = verdict(judged(dense, language(nlls)), "wanda")
        assert told is not None
        assert told.level == level
