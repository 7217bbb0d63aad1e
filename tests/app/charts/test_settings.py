"""The chart of settings: numbers, intervals and the mark stand where they belong."""

from __future__ import annotations

import math

from app.charts.settings import Point, settings_chart
from kencore.words.palette import LIGHT

NAN = float("nan")
POINTS = [
    Point(label="run", size=0.5, value=0.73, low=0.69, high=0.77),
    Point(label="0.25", size=0.25, value=0.66, low=0.61, high=0.71),
    Point(label="0.1", size=0.1, value=0.6, low=NAN, high=NAN),
]


def test_points_intervals_and_the_current_one() -> None:
    chart = settings_chart(POINTS, 1, 0.76, LIGHT, lower=False)
    (trace,) = chart.figure.data
    assert list(trace.x) == [0.5, 0.25, 0.1]
    assert list(trace.y) == [73, 66, 60]
    assert [round(v, 6) for v in trace.error_y.array] == [4, 5, 0]
    assert [symbol == "diamond" for symbol in trace.marker.symbol] == [False, True, False]
    assert "66" in chart.finding
    assert "73" in chart.finding
    assert chart.data["current"].tolist() == [False, True, False]
    assert math.isnan(chart.data["low"][2])
    assert chart.alt.startswith("Points of accuracy")


def test_the_best_is_named_where_none_is_current() -> None:
    assert "Best of 3 settings: the run itself" in settings_chart(POINTS, None, None, LIGHT, lower=False).finding
    assert "Best of 3 settings: setting 2" in settings_chart(POINTS, None, None, LIGHT, lower=True).finding
