"""Violins of rows: closed outlines in their place, a point to click for each matrix."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts import spread
from kencore.views import sparsity
from kencore.words.palette import DARK, LIGHT, RUNS


def draw(number: int, even: int = 0, rows: int = 400) -> spread.Chart:
    rng = np.random.default_rng(3)
    found = [sparsity.spread(np.full(rows, 30) if i < even else rng.integers(20, 80, rows), 100) for i in range(number)]
    labels = [f"block {i}" for i in range(number)]
    names = [f"layers.{i}.q" for i in range(number)]
    return spread.row_violins(found, labels, names, "attention query", RUNS[0], LIGHT)


def test_every_violin_is_closed_and_in_its_place() -> None:
    outline = draw(5, even=1).figure.data[0]
    cuts = np.flatnonzero(np.isnan(outline.x))
    parts = np.split(np.arange(len(outline.x)), cuts + 1)[:-1]
    assert len(parts) == 5
    for block, part in enumerate(parts):
        x, y = outline.x[part[:-1]], outline.y[part[:-1]]
        assert (np.abs(x - block) <= 0.5).all()
        assert ((y >= 0) & (y <= 1)).all()
        if block:  # the first one is even: a dash
            assert (x[0], y[0]) == (x[-1], y[-1])
        else:
            assert len(set(y)) == 1


def test_a_point_to_click_for_each_matrix_in_order() -> None:
    chart = draw(4, even=2)
    points = [trace for trace in chart.figure.data if trace.hoverinfo != "skip"]
    (points,) = points
    assert points.x.tolist() == [0, 1, 2, 3]
    for i in range(4):
        assert f"layers.{i}.q" in points.text[i]
    assert "every row has a sparsity of 70.0\xa0%" in points.text[0]
    np.testing.assert_allclose(points.y, chart.data["middle"], rtol=1e-6)
    assert chart.data["matrix"].tolist() == [f"layers.{i}.q" for i in range(4)]


def test_the_axis_holds_every_row_and_the_sentence_names_the_widest() -> None:
    chart = draw(3, even=2)
    low, high = chart.figure.layout.yaxis.range
    assert low <= chart.data["low"].min()
    assert chart.data["high"].max() <= high
    widest = chart.data.iloc[2]
    assert chart.finding.replace("\xa0", " ") == (
        f"Rows of attention query differ most in block 2: {100 * widest.low:.0f} % to {100 * widest.high:.0f} %"
    )


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_eighty_large_matrices_stay_light(palette) -> None:  # type: ignore[no-untyped-def]
    assert len(draw(80, rows=28_672).figure.to_json()) < 400_000
