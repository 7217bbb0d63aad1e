"""One row's pictures: which entry is where, what each grid point took, and how heavy they are."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts.base import with_gaps
from app.charts.row import distance_bars, row_values
from app.charts.row_density import row_density
from app.charts.row_scores import row_scores
from kencore.methods.ken.explained import explain_row
from kencore.views import tables as summaries
from kencore.words.numbers import TERMS
from kencore.words.palette import DARK, LIGHT

WIDE = 11008  # the longest rows of LLaMA 7B
LIMIT = 2_000_000  # bytes of a figure


def test_with_gaps_weaves_one_line() -> None:
    woven = with_gaps(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    np.testing.assert_array_equal(woven, np.array([1, 3, np.nan, 2, 4, np.nan], np.float32))


@pytest.mark.parametrize("by_value", [True, False])
def test_every_entry_is_drawn_once_at_its_place(row: np.ndarray, by_value: bool) -> None:
    keep = explain_row(row, 20).keep
    figure = row_values(row, keep, LIGHT, by_value=by_value).figure
    dots = {trace.name: trace for trace in figure.data if trace.mode == "markers"}
    order = np.argsort(row, kind="stable") if by_value else np.arange(len(row))
    for name, kept in (("kept (tuned value)", True), ("reset (base value)", False)):
        trace = dots[name]
        entries = trace.customdata[:, 0].astype(int)
        assert set(entries) == set(np.flatnonzero(keep == kept))
        np.testing.assert_array_equal(trace.y, row[entries])
        np.testing.assert_array_equal(order[trace.x], entries)


def test_kept_and_reset_differ_by_more_than_color(row: np.ndarray) -> None:
    figure = row_values(row, explain_row(row, 20).keep, LIGHT, by_value=True).figure
    symbols = {trace.name: trace.marker.symbol for trace in figure.data if trace.mode == "markers"}
    dashes = {trace.name: trace.line.dash for trace in figure.data if trace.mode == "lines"}
    assert symbols == {"reset (base value)": "circle-open", "kept (tuned value)": "circle"}
    assert dashes == {"reset (base value)": "dot", "kept (tuned value)": "solid"}


def test_the_data_of_a_row_say_everything(row: np.ndarray) -> None:
    keep = explain_row(row, 20).keep
    data = row_values(row, keep, LIGHT, by_value=True, base=row + 1).data
    np.testing.assert_array_equal(data["tuned"], row)
    np.testing.assert_array_equal(data["base"], row + 1)
    np.testing.assert_array_equal(data["kept"], keep)
    np.testing.assert_array_equal(np.sort(data["place"]), np.arange(len(row)))


def test_each_grid_point_is_drawn_with_what_it_took(row: np.ndarray) -> None:
    explained = explain_row(row, 20)
    chart = row_density(row, explained.keep, explained, LIGHT)
    points = [trace for trace in chart.figure.data if trace.mode == "markers"]
    seen = np.concatenate([trace.customdata for trace in points])  # visit, level, entry, value
    x = np.concatenate([trace.x for trace in points])
    order = np.argsort(seen[:, 0])
    np.testing.assert_array_equal(seen[order, 0], np.arange(1, 21))
    np.testing.assert_array_equal(x[order], explained.grid[explained.order])
    np.testing.assert_array_equal(seen[order, 2], explained.taken[explained.order])
    np.testing.assert_array_equal(seen[order, 3], row[explained.taken[explained.order]])
    np.testing.assert_array_equal(seen[order, 1], explained.level[explained.order])


def test_lines_lead_from_the_grid_to_the_values(row: np.ndarray) -> None:
    explained = explain_row(row, 12)
    figure = row_density(row, explained.keep, explained, LIGHT).figure
    lines = [t for t in figure.data if t.yaxis == "y2" and t.legendgroup]
    ends = np.concatenate([np.asarray(trace.x).reshape(-1, 3)[:, :2] for trace in lines])
    wanted = np.stack([explained.grid, row[explained.taken]], axis=1)[explained.order]
    np.testing.assert_array_equal(ends, wanted)


def test_lanes_hold_kept_and_reset_values(row: np.ndarray) -> None:
    explained = explain_row(row, 12)
    figure = row_density(row, explained.keep, explained, LIGHT).figure
    lanes = {
        t.name: np.asarray(t.x).reshape(-1, 3)[:, 0]
        for t in figure.data
        if t.yaxis == "y2" and t.name in ("kept", "reset")
    }
    np.testing.assert_array_equal(lanes["kept"], np.sort(row[explained.keep]))
    np.testing.assert_array_equal(lanes["reset"], np.sort(row[~explained.keep]))
    assert list(figure.layout.yaxis2.ticktext) == ["reset", "kept", "grid"]


def test_the_densest_rule_shows_its_threshold(row: np.ndarray) -> None:
    explained = explain_row(row, 20, "ken-density")
    chart = row_density(row, explained.keep, explained, LIGHT)
    level = next(t for t in chart.figure.data if t.name == "lowest density kept")
    assert level.y[0] == explained.entry_density[explained.keep].min()
    assert chart.finding == "The 20 weights of highest density are kept; the tails are reset"
    assert "density" in chart.data.columns


def test_scores_fall_and_the_cut_is_the_lowest_kept_one(row: np.ndarray) -> None:
    score = np.abs(row)
    keep = score >= np.sort(score)[-20]
    chart = row_scores(score, keep, "|weight|", LIGHT, TERMS["zero"])
    curve, cut = chart.figure.data[:2]
    assert (np.diff(curve.y) <= 0).all()
    assert list(curve.customdata[:20, 1]) == [1] * 20
    assert cut.y[0] == score[keep].min()
    assert list(chart.figure.layout.yaxis2.ticktext) == ["zero", "kept"]
    assert chart.finding == "The 20 weights of largest |weight| are kept"
    assert chart.data["entry"].tolist() == np.argsort(-score, kind="stable").tolist()


def test_scores_that_do_not_explain_all_say_how_many(row: np.ndarray) -> None:
    score = np.abs(row)
    keep = np.zeros(len(row), bool)
    keep[np.argsort(-score)[[0, 1, 2, 9]]] = True
    chart = row_scores(score, keep, "score", LIGHT, TERMS["base"])
    assert chart.finding == "3 of the 4 kept weights are among the 4 of largest score"
    nothing = row_scores(score, np.zeros(len(row), bool), "score", LIGHT, TERMS["zero"])
    assert "lowest score kept" not in [trace.name for trace in nothing.figure.data]


def test_without_a_base_nothing_is_reset(row: np.ndarray) -> None:
    keep = np.arange(len(row)) % 2 == 0
    chart = row_values(row, keep, LIGHT, by_value=True, terms=TERMS["zero"])
    assert {trace.name for trace in chart.figure.data} == {"kept", "set to zero"}
    assert "base" not in chart.data
    assert "are kept" in chart.finding


def test_a_constant_row_says_so() -> None:
    row = np.full(8, 0.5, np.float32)
    explained = explain_row(row, 3)
    chart = row_density(row, explained.keep, explained, LIGHT)
    assert "all values of this row are equal" in chart.finding
    assert len(chart.data) == 3


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_rows_as_wide_as_they_come_stay_light(palette) -> None:  # type: ignore[no-untyped-def]
    row = np.random.default_rng(1).standard_t(5, size=WIDE).astype(np.float32)
    explained = explain_row(row, WIDE // 2)
    values = row_values(row, explained.keep, palette, by_value=True)
    density = row_density(row, explained.keep, explained, palette)
    for chart in (values, density):
        assert len(chart.figure.to_json()) < LIMIT
        assert len(chart.figure.data) < 24
        assert not [trace for trace in chart.figure.data if trace.type == "scattergl"]
    ticks = {t.name: t for t in values.figure.data if t.yaxis == "y2"}
    assert len(ticks["kept"].x) == 3 * (WIDE // 2)


def test_distance_bars_and_the_random_line(row: np.ndarray) -> None:
    keep = explain_row(row, 32).keep
    deciles = summaries.distance_deciles(row, keep)
    chart = distance_bars(deciles, 0.5, LIGHT)
    bars, line = chart.figure.data
    np.testing.assert_array_equal(bars.y, deciles["share"].to_numpy(np.float32))
    assert list(line.y) == [0.5, 0.5]
    assert line.name == "same budget at random"
    assert chart.figure.layout.yaxis.title.text == "kept share"
