"""Perplexities side by side: the points, an axis that holds them, an honest sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.charts import perplexity
from app.theme import LIGHT, METHODS


def measured(value: float) -> dict[str, Any]:
    return {"perplexity": value, "nll": float(np.log(value)), "tokens": 6300, "windows": 50,
            "window": 127}  # fmt: skip


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {
        "task": "language", "data": "pydoc", "window": 127, "windows": 50, "tokens": 6300,
        "dense": measured(20.0), "pruned": measured(26.0),
        "baselines": {"random": measured(900.0), "uniform": measured(25.0)},
    }  # fmt: skip


def test_points_are_exact(metrics: dict[str, Any]) -> None:
    chart = perplexity.perplexity_dots(metrics, "wanda", LIGHT)
    shown = {trace.y[0]: trace for trace in chart.figure.data}
    assert {label: trace.x[0] for label, trace in shown.items()} == {
        "Dense, all weights": 20.0, "This run": 26.0, "Random, same budget": 900.0,
        "Wanda, uniform, same budget": 25.0,
    }  # fmt: skip
    assert shown["This run"].marker.color == METHODS["wanda"]
    assert shown["Wanda, uniform, same budget"].marker.symbol == "circle-open"
    assert chart.finding == (
        "Perplexity 20.0 to 26.0; Wanda, uniform does better at the same budget (25.0)"
    )
    assert chart.data["window"].tolist() == [127] * 4


def test_powers_where_values_lie_far_apart(metrics: dict[str, Any]) -> None:
    axis = perplexity.perplexity_dots(metrics, "wanda", LIGHT).figure.layout.xaxis
    assert axis.type == "log"
    low, high = 10 ** np.array(axis.range)
    assert low < 20
    assert high > 900
    assert all(low <= tick <= high for tick in axis.tickvals)
    assert len(axis.tickvals) >= 2


def test_a_plain_axis_where_they_are_near(metrics: dict[str, Any]) -> None:
    metrics["baselines"].pop("random")
    axis = perplexity.perplexity_dots(metrics, "wanda", LIGHT).figure.layout.xaxis
    assert axis.type is None
    assert axis.range[0] < 20 < 26 < axis.range[1]


def test_no_better_baseline_and_none_measured(metrics: dict[str, Any]) -> None:
    metrics["baselines"] = {"random": measured(900.0)}
    finding = perplexity.perplexity_dots(metrics, "wanda", LIGHT).finding
    assert finding.endswith("no baseline does better at the same budget")
    metrics["baselines"] = {}
    metrics["base"] = measured(30.0)
    table = perplexity.perplexity_table(metrics, "wanda")
    assert table["what"].tolist() == ["dense", "pruned", "base"]
    assert perplexity.perplexity_finding(table, "wanda") == "Perplexity 20.0 to 26.0"


@pytest.mark.parametrize("far", [1.0, 2.0, 60.0, 1e4, 1e9])
def test_any_distance_has_ticks(metrics: dict[str, Any], far: float) -> None:
    metrics["baselines"] = {"random": measured(20.0 * far)}
    axis = perplexity.perplexity_dots(metrics, "wanda", LIGHT).figure.layout.xaxis
    assert axis.range[0] < axis.range[1]
    if axis.type == "log":
        assert 2 <= len(axis.tickvals) <= 12
