"""The charts of a comparison: exact shares, points on the cells they open, findings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.charts import compare as charts
from app.charts.base import Chart
from kencore.views.compare.masks import grouped, with_indices
from kencore.words.palette import DARK, LIGHT, Palette
from tests.app.frame.test_theme import VISION, contrast, lab


@pytest.fixture
def pair() -> pd.DataFrame:
    """Four matrices: two roles in two blocks."""
    lines = [
        {
            "name": f"block.{block}.{role}.weight",
            "stack": "blocks",
            "block": block,
            "role": role,
            "part": "attention",
            "rows": 10,
            "cols": 10,
            "params": 100,
            "both": both,
            "only_a": 30,
            "only_b": 20,
            "neither": 50 - both,
            "by_chance": 10.0,
        }
        for block, role, both in ((0, "k", 10), (0, "q", 20), (1, "k", 30), (1, "q", 40))
    ]
    return with_indices(pd.DataFrame(lines))


def small(chart: Chart) -> None:
    assert len(chart.figure.to_json()) < 2_000_000
    assert chart.finding in chart.alt
    assert len(chart.csv().splitlines()) == len(chart.data) + 1


def test_bars_are_the_four_shares_and_differ_by_more_than_color(pair: pd.DataFrame) -> None:
    table = grouped(pair, ["role"])
    chart = charts.share_bars(table, ["query", "key"], "role", LIGHT)
    small(chart)
    bars = {bar.name: bar for bar in chart.figure.data}
    np.testing.assert_allclose(bars["both keep"].x, [0.3, 0.2])
    np.testing.assert_allclose(bars["only A keeps"].x, [0.3, 0.3])
    np.testing.assert_allclose(bars["neither keeps"].x, [0.2, 0.3])
    np.testing.assert_allclose(sum(bar.x for bar in bars.values()), 1)
    marks = [bar.marker.pattern.shape for bar in chart.figure.data]
    assert len(set(marks)) == 4
    assert chart.finding == "The two runs differ on 50\xa0% of the weights in every role"
    assert chart.figure.layout.xaxis.title.text == "share of weights"


def test_bars_name_where_the_two_differ_most(pair: pd.DataFrame) -> None:
    pair.loc[3, ["only_a", "neither"]] = [35, 5]
    table = grouped(pair, ["stack", "block"])
    chart = charts.share_bars(table, [charts.OUTSIDE, "block 1"], "block", LIGHT)
    assert chart.finding == ("The two runs differ on 50\xa0% of the weights outside blocks, 52\xa0% in block 1")


def test_points_lie_on_the_cells_they_open(pair: pd.DataFrame) -> None:
    cells = grouped(pair, ["stack", "block", "role"])
    chart = charts.jaccard_map(cells, LIGHT)
    small(chart)
    heat, points = chart.figure.data
    for i, cell in enumerate(cells.itertuples()):
        assert heat.z[points.y[i], points.x[i]] == np.float32(cell.jaccard)
        assert cell.name in points.text[i]
    assert list(chart.figure.layout.xaxis.ticktext) == ["q", "k"]
    assert chart.finding == ("Overlap ranges from 16.7\xa0% in block 0, k to 44.4\xa0% in block 1, q")


def test_colors_are_spread_over_what_there_is_and_say_so(pair: pd.DataFrame) -> None:
    narrow = pair.assign(jaccard=[0.331, 0.34, 0.36, 0.339])
    heat = charts.jaccard_map(narrow.assign(matrices=1), LIGHT).figure.data[0]
    assert (heat.zmin, heat.zmax) == (pytest.approx(0.3), pytest.approx(0.4))
    wide = pair.assign(jaccard=[0.1, 0.2, 0.9, 0.3])
    heat = charts.jaccard_map(wide.assign(matrices=1), LIGHT).figure.data[0]
    assert (heat.zmin, heat.zmax) == (0, 1)


def test_rows_in_both_orders() -> None:
    table = with_indices(
        pd.DataFrame({"row": [0, 1, 2], "both": [1, 3, 2], "only_a": 2, "only_b": 2, "neither": 9, "by_chance": 1.0})
    )
    by_number = charts.row_points(table, False, LIGHT)
    small(by_number)
    np.testing.assert_allclose(by_number.figure.data[1].y, table["jaccard"], rtol=1e-6)
    ranked = charts.row_points(table, True, LIGHT).figure.data[1]
    assert list(ranked.customdata) == [1, 2, 0]
    assert by_number.finding == "Overlap ranges from 20.0\xa0% in row 0 to 42.9\xa0% in row 1"


def test_thirty_thousand_rows_stay_small() -> None:
    count = 30_000
    table = with_indices(
        pd.DataFrame(
            {
                "row": np.arange(count),
                "both": np.arange(count) % 90 + 1,
                "only_a": 5,
                "only_b": 5,
                "neither": 9,
                "by_chance": 9.0,
            }
        )
    )
    chart = charts.row_points(table, False, LIGHT)
    small(chart)
    assert chart.figure.data[1].mode == "lines"


def test_runs_by_runs_leave_the_diagonal_out() -> None:
    grid = pd.DataFrame([[1, 0.3, 0.5], [0.3, 1, 0.4], [0.5, 0.4, 1]])
    chart = charts.agreement(grid, ["KEN", "Random", "Wanda"], LIGHT)
    small(chart)
    heat = chart.figure.data[0]
    assert np.isnan(np.diag(heat.z)).all()
    assert chart.finding == ("KEN and Wanda agree most (50.0\xa0%), KEN and Random least (30.0\xa0%)")


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_the_four_parts_are_told_apart(palette: Palette, vision: str) -> None:
    colors = (palette.kept, palette.only_a, palette.only_b, palette.reset)
    for i, first in enumerate(colors):
        for second in colors[i + 1 :]:
            apart = np.linalg.norm(lab(first, vision) - lab(second, vision))
            assert apart >= 25, (first, second)
    for color in (palette.only_a, palette.only_b):
        assert contrast(color, palette.reset) >= 2.5
