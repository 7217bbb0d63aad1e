"""Pictures of one sentence and of the story: what they say, and that they hold the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.charts import effects as moved
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


def odds(share: float) -> float:
    return float(np.log(share / (1 - share)))


@pytest.mark.parametrize(
    ("before", "after", "pulls", "said"),
    [
        (
            0.7,
            0.4,
            {"up": -1.2, "down": 0.3},
            "“no” fell from 70 % to 40 %; the changed weights of Up pushed it down most",
        ),
        (
            0.4,
            0.7,
            {"up": -0.2, "down": 1.0},
            "“no” rose from 40 % to 70 %; the changed weights of Down pushed it up most",
        ),
        # nothing that was watched pushed it down
        (
            0.7,
            0.4,
            {"up": 0.9, "down": 0.3},
            "“no” fell from 70 % to 40 %; gradients account for too little of it to name a matrix",
        ),
        (0.7, 0.4, {"up": -0.601, "down": -0.602}, "“no” fell from 70 % to 40 %"),  # a tie once rounded
        (0.7, 0.70001, {"up": -0.9, "down": 0.3}, "“no” stayed at 70 %"),
    ],
)
def test_effects_name_what_pushed_the_way_that_the_answer_went(
    before: float, after: float, pulls: dict[str, float], said: str
) -> None:
    told = {
        "answer": "no",
        "dense": odds(before),
        "pruned": odds(after),
        "matrices": {name: {"effect": pull, "rows": []} for name, pull in pulls.items()},
        "entry": 0.0,
        "biases": 0.0,
        "others": odds(after) - odds(before) - sum(pulls.values()),
    }
    facts = {"answers": [{"text": "no", "dense": before, "pruned": after}], "effects": told}
    chart = moved.effects(facts, {"up": "Up", "down": "Down"}, "down", LIGHT)
    whole(chart)
    assert chart.finding.replace("\xa0", " ").replace(".0 %", " %") == said
    assert sum(chart.figure.data[0].x) == pytest.approx(odds(after) - odds(before), abs=1e-5)
    rough = abs(told["others"]) > moved.ROUGH * abs(odds(after) - odds(before))
    assert ("rough guide" in moved.effects_caption(facts)) == rough


def test_many_matrices_are_ten_bars_and_the_rest() -> None:
    names = [f"m{i}" for i in range(14)]
    told = {
        "answer": "<b>x</b>",
        "dense": 1.0,
        "pruned": 0.0,
        "matrices": {name: {"effect": -0.1 * (i + 1), "rows": []} for i, name in enumerate(names)},
        "entry": 0.5,
        "biases": 0.0,
        "others": 9.0,
    }
    facts = {"answers": [{"text": "<b>x</b>", "dense": 0.7, "pruned": 0.5}], "effects": told}
    chart = moved.effects(facts, {name: name.upper() for name in names}, None, LIGHT)
    labels = list(chart.figure.data[0].customdata)
    assert labels == [f"M{i}" for i in range(13, 3, -1)] + [
        "4 other matrices",
        moved.REST["entry"],
        moved.REST["others"],
    ]
    assert chart.figure.data[0].x[10] == pytest.approx(-0.1 - 0.2 - 0.3 - 0.4, abs=1e-5)
    assert "<b>" not in chart.figure.layout.xaxis.title.text


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
    assert list(chart.figure.data[0].x) == [-2.0]  # weight 2 became 0 on an input of 1: the output fell
    assert "1 of 1 changed weight makes 100" in chart.finding
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


def effects_of(pulls: dict[str, float], *, entry: float = 0.0, others: float = 0.0) -> dict[str, Any]:
    """An answer that fell from 70 % by what the pulls and the rest say."""
    moved_by = sum(pulls.values()) + entry + others
    told = {
        "answer": "no",
        "dense": odds(0.7),
        "pruned": odds(0.7) + moved_by,
        "matrices": {name: {"effect": pull, "rows": []} for name, pull in pulls.items()},
        "entry": entry,
        "biases": 0.0,
        "others": others,
    }
    after = 1 / (1 + np.exp(-told["pruned"]))
    return {"answers": [{"text": "no", "dense": 0.7, "pruned": float(after)}], "effects": told}


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        (effects_of({"up": -1.0, "down": 0.2}), True),
        (effects_of({"up": -1.0, "down": 0.2}, others=-0.7), True),
        (effects_of({"up": -1.0, "down": 0.2}, others=-3.0), False),  # the figures do not account for it
        (effects_of({"up": -0.02, "down": 0.01}, entry=-2.9), False),  # what came in did it
        (effects_of({"up": -0.004, "down": 0.001}), False),  # a bar that reads 0.00
        (effects_of({}, entry=-1.0), False),
    ],
)
def test_no_matrix_is_named_for_what_others_did(facts: dict[str, Any], named: bool) -> None:
    chart = moved.effects(facts, {"up": "Up", "down": "Down"}, None, LIGHT)
    assert ("the changed weights of Up pushed it down most" in chart.finding) == named
    colors = list(chart.figure.data[0].marker.color)
    own = len(facts["effects"]["matrices"])
    assert set(colors[own:]) == {LIGHT.muted}
    assert LIGHT.muted not in colors[:own]
