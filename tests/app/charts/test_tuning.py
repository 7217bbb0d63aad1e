"""How a model learned: every point where it was measured, and sentences that do not overstate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.charts import tuning
from kencore.words.palette import LIGHT
from kencore.words.search_and_recover import gap_finding


def points(losses: list[float | None], total: int = 8) -> list[dict[str, Any]]:
    """A curve with a point every two steps; ``None``: held-out data were not measured there."""
    found = []
    for i, loss in enumerate(losses):
        point: dict[str, Any] = {"step": 2 * i, "steps": total, "epoch": i / 4, "lr": 1e-4, "seconds": float(i)}
        if i:
            point["train_loss"] = 0.9 - 0.1 * i
        if loss is not None:
            point |= {"held_out_loss": loss, "held_out_accuracy": 1 - loss}
        found.append(point)
    return found


def state(train: float, held_out: float, half: float = 0.05) -> dict[str, Any]:
    """A model's figures on both sides, and its gap."""
    sides = {
        side: {"accuracy": value, "accuracy_low": value - half, "accuracy_high": value + half}
        for side, value in (("train", train), ("held_out", held_out))
    }
    gap = train - held_out
    return sides | {"gap": gap, "gap_low": gap - 1.4 * half, "gap_high": gap + 1.4 * half}


def told(**rest: Any) -> dict[str, Any]:
    """The content of a ``tuning.json`` of a classifier."""
    return {
        "version": 1,
        "task": "classification",
        "steps": 8,
        "steps_asked": 8,
        "stopped_early": False,
        "best_step": 6,
        "best_held_out_loss": 0.4,
        "trained": 1234,
        "parent": {"id": "sample", "folder": "/runs/sample"},
        "device": "cpu",
        "train": {"data": "demo", "sha256": "0", "count": 177},
        "held_out": {"data": "0.5 of demo, held out", "sha256": "1", "count": 177},
        "spec": {
            "lr": 2e-4,
            "schedule": "linear",
            "weight_decay": 0.01,
            "batch": 32,
            "train": "all",
            "sample": 1000,
            "seed": 3,
        },
        "seconds": {"training": 12.0},
        "notes": ["177 of 354 sentences of demo were trained on."],
        "curve": points([0.7, 0.6, None, 0.4, 0.5]),
        "gap": {"dense": state(0.80, 0.78), "untuned": state(0.72, 0.70), "tuned": state(0.85, 0.74)},
    } | rest


def test_every_point_is_where_it_was_measured() -> None:
    chart = tuning.curve(points([0.7, 0.6, None, 0.4, 0.5]), LIGHT, best=6)
    train, held_out = chart.figure.data
    np.testing.assert_array_equal(train.x, [2, 4, 6, 8])
    np.testing.assert_allclose(train.y, [0.8, 0.7, 0.6, 0.5])
    np.testing.assert_array_equal(held_out.x, [0, 2, 6, 8])
    np.testing.assert_allclose(held_out.y, [0.7, 0.6, 0.4, 0.5])
    assert [shape.x0 for shape in chart.figure.layout.shapes] == [6]
    assert chart.finding == "Held-out loss 0.700 → 0.400, lowest at step 6 of 8"
    assert chart.data["step"].tolist() == [0, 2, 4, 6, 8]
    assert chart.data["held_out_loss"].isna().tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([0.7], "Learning, 0 of 8 steps done"),
        ([0.7, None], "Learning, 2 of 8 steps done"),
        ([0.7, 0.65, None], "Held-out loss 0.700 → 0.650 at step 2, 4 of 8 steps done"),
    ],
)
def test_while_it_learns_it_says_how_far_it_is(losses: list[float | None], said: str) -> None:
    chart = tuning.curve(points(losses), LIGHT)
    assert chart.finding == said
    assert not chart.figure.layout.shapes
    assert chart.figure.layout.xaxis.range[1] > 8  # the axis does not jump as points come


def test_a_tuning_that_won_nothing_says_so() -> None:
    chart = tuning.curve(points([0.4, 0.5, 0.6]), LIGHT, best=0)
    assert chart.finding == "Held-out loss never fell, so the weights are unchanged"


def test_the_gap_shows_both_sides_of_every_state() -> None:
    chart = tuning.gap(told(), LIGHT)
    train, held_out = chart.figure.data
    np.testing.assert_allclose(train.x, [80, 72, 85])
    np.testing.assert_allclose(held_out.x, [78, 70, 74])
    np.testing.assert_allclose(train.error_x.array, [5, 5, 5])
    assert list(train.customdata) == ["Dense", "Before recovery", "After recovery"]
    assert chart.finding == ("Generalization gap +2.0\xa0points → +11.0\xa0points, within the measurement's intervals")
    assert len(chart.data) == 6


def test_a_gap_beyond_its_intervals_is_called_wider_or_narrower() -> None:
    gap = {"dense": state(0.8, 0.8), "untuned": state(0.7, 0.7), "tuned": state(0.95, 0.7)}
    assert gap_finding(told(gap=gap)).endswith("+25.0\xa0points: recovery widened it")
    gap["untuned"], gap["tuned"] = gap["tuned"], gap["untuned"]
    assert gap_finding(told(gap=gap)).endswith("recovery narrowed it")


def test_the_gap_of_a_language_model_is_in_nats_and_may_have_no_interval() -> None:
    def side(value: float) -> dict[str, float]:
        return {"perplexity": value, "nll": float(np.log(value))}

    gap = {
        step: {"train": side(train), "held_out": side(held_out), "gap": float(np.log(held_out / train))}
        for step, train, held_out in (("dense", 10, 20), ("untuned", 30, 40), ("tuned", 20, 30))
    }
    chart = tuning.gap(told(task="language", gap=gap), LIGHT)
    assert chart.finding == "Generalization gap +0.288\xa0nats → +0.405\xa0nats"
    np.testing.assert_allclose(chart.figure.data[1].x, [20, 40, 30])
    assert chart.figure.data[0].error_x.array is None
    assert chart.figure.layout.xaxis.title.text == "perplexity, lower is better"
