"""Pictures of one sentence and of the story: what they say, and that they hold the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.charts import explain as charts
from app.charts import neuron, story
from app.charts.base import Chart
from kencore.explain import contributions
from kencore.views.tables import Totals
from kencore.words.palette import DARK, LIGHT, Palette


@pytest.fixture
def facts() -> dict[str, Any]:
    return {
        "task": "language",
        "states": ["dense", "pruned"],
        "answers": [
            {"text": " a", "dense": 0.5, "pruned": 0.1},
            {"text": "\n", "dense": 0.2, "pruned": 0.6},
            {"text": "a", "dense": 0.1, "pruned": 0.1},
        ],
        "tokens": [{"text": "The", "unknown": False}, {"text": " <b>", "unknown": False}],
        "distance": {
            "relative": [0.0, 0.5, 0.4],
            "cosine": [1.0, 0.9, 0.95],
            "token_relative": [[0.0, None], [0.4, 0.6], [0.2, 0.7]],
        },
    }


def whole(chart: Chart) -> None:
    """What every chart owes: a finding in the description, data, no more than 2 MB."""
    assert chart.finding in chart.alt
    assert len(chart.csv().splitlines()) > 1
    assert len(chart.figure.to_json()) < 2_000_000


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_answers(facts: dict[str, Any], palette: Palette) -> None:
    chart = charts.answers(facts, palette)
    whole(chart)
    assert charts.answers_finding(facts).replace("\xa0", " ") == (
        "Pruning changed the answer: “a” (50 %) became “⏎” (60 %)"
    )
    assert [trace.name for trace in chart.figure.data] == ["Dense", "Pruned"]
    assert len(set(chart.figure.data[0].y)) == 3  # two tokens that look alike are two bars
    np.testing.assert_allclose(chart.figure.data[1].x, [0.1, 0.6, 0.1], rtol=1e-6)
    same = facts | {"answers": [{"text": "x", "dense": 0.9, "pruned": 0.8}]}
    assert charts.answers_finding(same, "tuned").startswith("Both say “x”: the tuned model with 90")


def test_paths_say_where_they_part(facts: dict[str, Any]) -> None:
    chart = charts.paths(facts, LIGHT)
    whole(chart)
    assert chart.finding.replace("\xa0", " ") == ("40 % apart after the last block; the gap grows most in block 0")
    assert list(chart.figure.data[0].x) == ["input", "0", "1"]
    assert "do not diverge" in charts.paths_finding(np.zeros(3))
    assert "before the first block" in charts.paths_finding(np.array([0.3, 0.35]))


def test_tokens_are_shown_as_typed(facts: dict[str, Any]) -> None:
    chart = charts.token_map(facts, LIGHT)
    whole(chart)
    assert chart.finding.startswith("“<b>” (token 1) changed most")
    assert "&lt;b>" in chart.figure.layout.xaxis.ticktext[1]
    assert np.isnan(chart.figure.data[0].z[0][1])
    assert list(chart.data["token"]) == ["The", " <b>"]


def test_one_neuron() -> None:
    w, v = np.array([1, 2, 3], np.float32), np.array([1, 0, 3], np.float32)
    x, y = np.array([1, 1, 2], np.float32), np.array([1, 1, 1], np.float32)
    found = contributions(w, v, x, y, dense_bias=0.5)
    table = neuron.contribution_table(found, found.top(5), w, v, x)
    chart = neuron.contributions(table, found, DARK)
    whole(chart)
    assert list(chart.figure.data[0].x) == [2.0]
    assert "1 weight of 1 causes 100" in chart.finding
    steps = neuron.parts(found, DARK, "tuned")
    whole(steps)
    assert steps.finding == "9.5 became 4, mostly by earlier changes, through its input"
    assert list(steps.data["value"]) == [9.5, -2.0, -3.0, -0.5, 4.0]
    assert steps.data["value"][:-1].sum() == 4.0
    same = contributions(w, w, x, x)
    assert neuron.parts(same, LIGHT).finding == "9 in both models"
    assert len(neuron.parts(same, LIGHT).data) == 4  # no bias, no step for it
    assert [neuron.number(value, "+.3g") for value in (-0.0, 0.0, -1.5, 2.0)] == ["0", "0", "−1.5", "+2"]


@pytest.mark.parametrize("restore", ["base", "zero"])
def test_what_is_stored(restore: str) -> None:
    total = Totals(
        params=10,
        pruned=10,
        kept=5,
        kept_pruned=5,
        matrices=1,
        matrices_pruned=1,
        bytes_dense=4_000_000,
        bytes_stored=1_000_000,
    )
    bars = story.stored(total, restore, LIGHT)
    whole(bars)
    assert bars.finding.replace("\xa0", " ") == "1 MB instead of 4 MB: 25 %"
