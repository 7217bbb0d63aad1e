"""Measured quality: the points, their intervals, and an honest sentence."""

from __future__ import annotations

from typing import Any

import pytest

from app.charts import quality
from app.theme import LIGHT, METHODS


def measured(accuracy: float, half: float = 0.02) -> dict[str, Any]:
    return {
        "accuracy": accuracy, "accuracy_low": accuracy - half, "accuracy_high": accuracy + half,
        "f1_macro": accuracy, "loss": 0.5, "examples": 400,
    }  # fmt: skip


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {
        "examples": 400, "data": "demo", "dense": measured(0.80), "pruned": measured(0.70),
        "base": measured(0.50), "baselines": {"random": measured(0.68), "delta": measured(0.79)},
    }  # fmt: skip


def test_points_and_intervals_are_exact(metrics: dict[str, Any]) -> None:
    chart = quality.quality_dots(metrics, "ken", LIGHT)
    shown = {trace.y[0]: trace for trace in chart.figure.data}
    assert list(shown) == [
        "Tuned, all parameters", "KEN (this run)", "Random",
        "Largest difference", "Base, everything reset",
    ]  # fmt: skip
    run = shown["KEN (this run)"]
    assert run.x[0] == pytest.approx(70)
    assert run.error_x.array[0] == pytest.approx(2)
    assert run.error_x.arrayminus[0] == pytest.approx(2)
    assert run.marker.color == METHODS["ken"]
    assert shown["Largest difference"].marker.color == METHODS["delta"]


def test_a_better_baseline_is_said_first(metrics: dict[str, Any]) -> None:
    assert quality.quality_dots(metrics, "ken", LIGHT).finding == (
        "Accuracy 80.0\xa0% to 70.0\xa0%; largest difference does better at the same budget "
        "(79.0\xa0%)"
    )


def test_no_better_baseline_and_none_measured(metrics: dict[str, Any]) -> None:
    del metrics["baselines"]["delta"]
    assert quality.quality_dots(metrics, "ken", LIGHT).finding.endswith(
        "no baseline does better at the same budget"
    )
    metrics["baselines"] = {}
    assert quality.quality_dots(metrics, "ken", LIGHT).finding == (
        "Accuracy 80.0\xa0% to 70.0\xa0%"
    )


def test_a_change_inside_the_interval_is_called_that(metrics: dict[str, Any]) -> None:
    metrics["pruned"] = measured(0.79)
    assert "within the interval" in quality.quality_dots(metrics, "ken", LIGHT).finding


def test_the_axis_covers_every_interval(metrics: dict[str, Any]) -> None:
    low, high = quality.quality_dots(metrics, "ken", LIGHT).figure.layout.xaxis.range
    assert low < 48
    assert high > 82


def test_the_csv_holds_every_model(metrics: dict[str, Any]) -> None:
    table = quality.quality_dots(metrics, "ken", LIGHT).data
    assert table["what"].tolist() == ["dense", "pruned", "random", "delta", "base"]
    assert table["accuracy"].tolist() == [0.80, 0.70, 0.68, 0.79, 0.50]
