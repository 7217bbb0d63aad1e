"""Perplexities side by side: the points, an axis that holds them, an honest sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.charts import perplexity
from kencore.methods.table import METHODS
from kencore.words.palette import LIGHT
from kencore.words.quality import perplexity_finding, perplexity_table


def measured(value: float) -> dict[str, Any]:
    return {"perplexity": value, "nll": float(np.log(value)), "tokens": 6300, "windows": 50, "window": 127}


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {
        "task": "language",
        "data": "pydoc",
        "window": 127,
        "windows": 50,
        "tokens": 6300,
        "dense": measured(20.0),
        "pruned": measured(26.0),
        "baselines": {"random": measured(900.0), "uniform": measured(25.0)},
    }


def test_points_are_exact(metrics: dict[str, Any]) -> None:
    chart = perplexity.perplexity_dots(metrics, "wanda", LIGHT)
    shown = {trace.y[0]: trace for trace in chart.figure.data}
    assert {label: trace.x[0] for label, trace in shown.items()} == {
        "Dense, all weights": 20.0,
        "Wanda + allocation (this run)": 26.0,
        "Wanda, uniform": 25.0,
        "Random": pytest.approx(27.2),
    }
    far = shown["Random"]
    assert (far.text, far.marker.symbol) == (("900 →",), "triangle-right")
    assert "perplexity 900" in far.hovertemplate
    assert shown["Wanda + allocation (this run)"].marker.color == METHODS["wanda"].color
    assert shown["Wanda, uniform"].marker.symbol == "circle-open"
    assert chart.finding == (
        "Perplexity 20.0 to 26.0; uniform Wanda measured better at the same budget (25.0), not compared in pairs"
    )
    assert chart.data["window"].tolist() == [127] * 4


def test_what_is_far_is_at_the_edge_and_the_rest_keeps_its_room(metrics: dict[str, Any]) -> None:
    chart = perplexity.perplexity_dots(metrics, "wanda", LIGHT)
    axis = chart.figure.layout.xaxis
    assert axis.type is None
    assert axis.range[0] < 20
    assert 26 < axis.range[1] < 30
    assert chart.data["perplexity"].tolist() == [20.0, 26.0, 900.0, 25.0]


def test_powers_where_everything_is_far(metrics: dict[str, Any]) -> None:
    metrics["pruned"], metrics["baselines"] = measured(5000.0), {"random": measured(90000.0)}
    chart = perplexity.perplexity_dots(metrics, "wanda", LIGHT)
    axis = chart.figure.layout.xaxis
    assert axis.type == "log"
    low, high = 10 ** np.array(axis.range)
    assert low < 20
    assert high > 90000
    assert all(low * 0.95 <= tick <= high * 1.05 for tick in axis.tickvals)
    assert list(axis.ticktext) == [f"{tick:,.0f}" for tick in axis.tickvals]
    assert len(axis.tickvals) >= 4
    assert [trace.x[0] for trace in chart.figure.data] == [20.0, 5000.0, 90000.0]


def test_a_plain_axis_where_they_are_near(metrics: dict[str, Any]) -> None:
    metrics["baselines"].pop("random")
    axis = perplexity.perplexity_dots(metrics, "wanda", LIGHT).figure.layout.xaxis
    assert axis.type is None
    assert axis.range[0] < 20 < 26 < axis.range[1]


def test_no_better_baseline_and_none_measured(metrics: dict[str, Any]) -> None:
    metrics["baselines"] = {"random": measured(900.0)}
    finding = perplexity.perplexity_dots(metrics, "wanda", LIGHT).finding
    assert finding.endswith("no other rule measured better at the same budget")
    metrics["baselines"] = {}
    metrics["base"] = measured(30.0)
    table = perplexity_table(metrics, "wanda")
    assert table["what"].tolist() == ["dense", "pruned", "base"]
    assert perplexity_finding(table, metrics, "wanda") == "Perplexity 20.0 to 26.0"


@pytest.mark.parametrize("far", [1.0, 2.0, 60.0, 1e4, 1e9])
def test_any_distance_has_an_axis(metrics: dict[str, Any], far: float) -> None:
    metrics["baselines"] = {"random": measured(20.0 * far)}
    chart = perplexity.perplexity_dots(metrics, "wanda", LIGHT)
    low, high = chart.figure.layout.xaxis.range
    assert all(low < trace.x[0] < high for trace in chart.figure.data)


def test_intervals_are_drawn_where_they_were_measured(metrics: dict[str, Any]) -> None:
    metrics["pruned"] |= {
        "perplexity_low": 19.0,
        "perplexity_high": 31.5,
        "versus_dense": {"nll_change": 0.26, "nll_change_low": -0.1, "nll_change_high": 0.6},
    }
    chart = perplexity.perplexity_dots(metrics, "wanda", LIGHT)
    shown = {trace.y[0]: trace for trace in chart.figure.data}
    bars = shown["Wanda + allocation (this run)"].error_x
    assert (bars.array[0], bars.arrayminus[0]) == (5.5, 7.0)
    assert shown["Dense, all weights"].error_x.array is None
    low, high = chart.figure.layout.xaxis.range
    assert low < 19 < 31.5 < high
    assert "26.0, which could be chance; " in chart.finding
    assert chart.data["nll_change"].tolist()[1] == 0.26


def test_a_tuned_run_shows_the_model_before_tuning(metrics: dict[str, Any]) -> None:
    metrics["untuned"] = measured(33.0)
    chart = perplexity.perplexity_dots(metrics, "wanda", LIGHT)
    assert [trace.y[0] for trace in chart.figure.data][:3] == [
        "Dense, all weights",
        "Wanda + allocation, before recovery",
        "Wanda + allocation, recovered (this run)",
    ]
    assert chart.finding.startswith("Perplexity 20.0 to 33.0 by pruning, 26.0 after recovery;")


def test_the_run_itself_is_never_at_the_edge(metrics: dict[str, Any]) -> None:
    metrics["pruned"] = measured(95.0)  # between random's 900 and dense: far, and what the page is about
    chart = perplexity.perplexity_dots(metrics, "wanda", LIGHT)
    shown = {trace.y[0]: trace for trace in chart.figure.data}
    assert (shown["Wanda + allocation (this run)"].x[0], shown["Wanda + allocation (this run)"].text) == (
        95.0,
        ("95.0",),
    )
    assert shown["Random"].x[0] == 900.0
    axis = chart.figure.layout.xaxis
    assert axis.type == "log"
    assert axis.range[0] < np.log10(20) < np.log10(900) < axis.range[1]
