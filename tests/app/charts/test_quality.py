"""Measured quality: the points, their intervals, and an honest sentence."""

from __future__ import annotations

from typing import Any

import pytest

from app.charts import quality
from kencore.methods.table import METHODS
from kencore.words.palette import LIGHT


def measured(accuracy: float, half: float = 0.02) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "accuracy_low": accuracy - half,
        "accuracy_high": accuracy + half,
        "f1_macro": accuracy,
        "loss": 0.5,
        "examples": 400,
    }


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {
        "examples": 400,
        "data": "demo",
        "dense": measured(0.80),
        "pruned": measured(0.70),
        "base": measured(0.50),
        "baselines": {"random": measured(0.68), "delta": measured(0.79)},
    }


def test_points_and_intervals_are_exact(metrics: dict[str, Any]) -> None:
    chart = quality.quality_dots(metrics, "ken", LIGHT)
    shown = {trace.y[0]: trace for trace in chart.figure.data}
    assert list(shown) == [
        "Tuned, all weights",
        "KEN (this run)",
        "Random",
        "Largest difference",
        "Base, everything reset",
    ]
    run = shown["KEN (this run)"]
    assert run.x[0] == pytest.approx(70)
    assert run.error_x.array[0] == pytest.approx(2)
    assert run.error_x.arrayminus[0] == pytest.approx(2)
    assert run.marker.color == METHODS["ken"].color
    assert shown["Largest difference"].marker.color == METHODS["delta"].color


def test_a_better_baseline_is_said_first(metrics: dict[str, Any]) -> None:
    assert quality.quality_dots(metrics, "ken", LIGHT).finding == (
        "Accuracy 80.0\xa0% to 70.0\xa0%; largest difference measured better at the same budget (79.0\xa0%), not "
        "compared in pairs"
    )


def test_no_better_baseline_and_none_measured(metrics: dict[str, Any]) -> None:
    del metrics["baselines"]["delta"]
    assert quality.quality_dots(metrics, "ken", LIGHT).finding.endswith(
        "no other rule measured better at the same budget"
    )
    metrics["baselines"] = {}
    assert quality.quality_dots(metrics, "ken", LIGHT).finding == ("Accuracy 80.0\xa0% to 70.0\xa0%")


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


def test_f1_is_drawn_with_its_interval_and_without_one_where_it_has_none(metrics: dict[str, Any]) -> None:
    plain = quality.quality_dots(metrics, "ken", LIGHT, "f1_macro")  # a run of before
    assert plain.figure.data[0].error_x.array is None
    assert plain.figure.layout.xaxis.title.text == "macro F1"
    for step in (metrics["dense"], metrics["pruned"]):
        step |= {"f1_macro_low": step["f1_macro"] - 0.03, "f1_macro_high": step["f1_macro"] + 0.01}
    chart = quality.quality_dots(metrics, "ken", LIGHT, "f1_macro")
    run = next(trace for trace in chart.figure.data if trace.y[0] == "KEN (this run)")
    assert run.error_x.array[0] == pytest.approx(1)
    assert run.error_x.arrayminus[0] == pytest.approx(3)
    assert chart.finding == "Macro F1 80.0\xa0% to 70.0\xa0%"  # other rules are compared by accuracy alone
    assert chart.figure.layout.xaxis.title.text == "macro F1, with 95 % interval"


def test_what_was_not_measured_by_a_measure_is_left_out(metrics: dict[str, Any]) -> None:
    for step in (metrics["dense"], metrics["pruned"]):
        step["f1_binary"] = 0.6
    chart = quality.quality_dots(metrics, "ken", LIGHT, "f1_binary")
    assert [trace.y[0] for trace in chart.figure.data] == ["Tuned, all weights", "KEN (this run)"]


def test_in_pairs_a_change_is_chance_or_not(metrics: dict[str, Any]) -> None:
    metrics["pruned"]["versus_dense"] = {"lost": 12, "won": 5, "mcnemar_p": 0.14}
    assert ", which could be chance" in quality.quality_dots(metrics, "ken", LIGHT).finding
    metrics["pruned"] = measured(0.79) | {"versus_dense": {"lost": 60, "won": 20, "mcnemar_p": 0.0001}}
    finding = quality.quality_dots(metrics, "ken", LIGHT).finding
    assert "chance" not in finding
    assert "interval" not in finding  # the pairs know better than the interval


def test_a_tuned_run_shows_the_model_before_tuning(metrics: dict[str, Any]) -> None:
    metrics["untuned"], metrics["baselines"] = measured(0.65), {"delta": measured(0.6)}
    chart = quality.quality_dots(metrics, "ken", LIGHT)
    shown = {trace.y[0]: trace.marker for trace in chart.figure.data}
    assert list(shown)[:3] == ["Tuned, all weights", "KEN, before recovery", "KEN, recovered (this run)"]
    assert shown["KEN, before recovery"].symbol == "circle-open"
    assert shown["KEN, before recovery"].color == METHODS["ken"].color
    assert chart.finding == (
        "Accuracy 80.0\xa0% to 65.0\xa0% by pruning, 70.0\xa0% after recovery; no other rule measured better at the "
        "same budget"
    )


def test_rescaled_baselines_have_names_and_marks_of_their_own(metrics: dict[str, Any]) -> None:
    metrics["baselines"] |= {"dare": measured(0.72), "ken": measured(0.66)}
    chart = quality.quality_dots(metrics, "ken", LIGHT)
    shown = {trace.y[0]: trace.marker for trace in chart.figure.data}
    dare, plain = shown["Random, rescaled (DARE)"], shown["KEN, not rescaled"]
    assert (dare.color, dare.symbol) == (METHODS["random"].color, "square-open")
    assert (plain.color, plain.symbol) == (METHODS["ken"].color, "circle-open")
    ticks = dict(zip(chart.figure.layout.yaxis.tickvals, chart.figure.layout.yaxis.ticktext, strict=True))
    assert set(ticks) == set(shown)
    lines = [line for text in ticks.values() for line in text.split("<br>")]
    assert max(map(len, lines)) <= 24  # of the room beside the plot
