"""Searches: the chosen candidate where it is, and how flat the choice was, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.charts import search
from kencore.words.palette import LIGHT, RUNS


def draw(candidates: list[float], costs: list[Any], chosen: float, **rest: Any) -> search.Chart:
    found = {"lambdas": candidates, "costs": costs, "chosen": chosen} | rest
    return search.search_curve(found, "search", "Over blocks", RUNS[0], LIGHT)


def said(chart: search.Chart) -> str:
    return chart.finding.replace("\xa0", " ")


def test_the_chosen_one_is_marked_where_it_is() -> None:
    chart = draw([0.1, 0.01, 0.05], [3.0, 2.0, 1.0], 0.05)
    curve, mark = chart.figure.data[:2]
    assert curve.x.tolist() == [0.01, 0.05, 0.1]
    assert curve.y.tolist() == [2.0, 1.0, 3.0]
    assert (mark.x[0], mark.y[0]) == (0.05, 1.0)
    assert mark.text == ("chosen: 0.05",)
    assert chart.data["chosen"].tolist() == [False, False, True]
    assert said(chart) == ("Over blocks: λ = 0.05 is a clear choice; the second best (0.01) costs 100.0 % more")


def test_a_flat_search_says_so_and_shows_the_band() -> None:
    chart = draw([0.01, 0.02, 0.03, 0.25], [1.001, 1.0, 1.002, 1.5], 0.02)
    assert said(chart) == (
        "Over blocks: λ = 0.02 costs least, the second best 0.10 % more; 3 of 4 candidates lie "
        "within 1 %, so the choice is flat"
    )
    (band,) = chart.figure.layout.shapes
    assert (band.y0, band.y1) == (1.0, 1.01)


def test_a_few_near_the_best_are_not_a_flat_search() -> None:
    chart = draw([0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35], [1.3, 1.2, 1.0, 1.006, 1.1, 1.2, 1.3], 0.15)
    assert said(chart).endswith("2 of 7 candidates lie within 1 %")


@pytest.mark.parametrize("costs", [[0.0, 0.0], [2.0, 2.0]])
def test_equal_costs_are_no_choice(costs: list[float]) -> None:
    assert said(draw([0.1, 0.2], costs, 0.1)).endswith("but every candidate costs the same")


def test_a_single_candidate_and_one_without_a_cost() -> None:
    assert said(draw([0.1], [1.0], 0.1)).endswith("was the only candidate")
    assert said(draw([0.1], [None], 0.1)).endswith("no candidate has a cost")
    assert "only candidate" in said(draw([0.1, 0.2], [1.0, float("nan")], 0.1))


def test_slopes_are_losses() -> None:
    found = {"slopes": [0.0, 0.01], "losses": [3.2, 3.1], "chosen": 0.01}
    chart = search.search_curve(found, "search", "Over blocks", RUNS[0], LIGHT)
    assert "slope = 0.01" in chart.finding
    assert "loss" in chart.figure.layout.yaxis.title.text
    assert list(chart.data.columns) == ["slopes", "losses", "chosen"]


def test_scores_of_blocks() -> None:
    blocks = [{"block": b, "sparsity": 0.5, "score": score} for b, score in enumerate([3.0, 1.0])]
    chart = search.block_scores(blocks, "outlier share", "share", RUNS[0])
    assert chart is not None
    assert np.asarray(chart.figure.data[0].y).tolist() == [3.0, 1.0]
    assert chart.finding == "Outlier share ranges from 1 in block 1 to 3 in block 0"
    assert search.block_scores([{"block": 0, "score": None}], "x", "x", RUNS[0]) is None
    assert search.block_scores([], "x", "x", RUNS[0]) is None
