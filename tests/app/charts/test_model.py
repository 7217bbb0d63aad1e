"""The map of the model and the bars of its roles: exact data in the figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.charts import model
from app.charts.base import Chart
from kencore.views import tables as summaries
from kencore.words.findings import MEASURES
from kencore.words.palette import DARK, LIGHT
from tests.app.charts.conftest import line


def grid(chart: Chart) -> np.ndarray:
    return np.asarray(chart.figure.data[0].z)


def test_the_map_holds_the_share_of_every_cell(cells: pd.DataFrame) -> None:
    figure = model.model_map(cells, LIGHT).figure
    assert list(figure.layout.yaxis.ticktext) == ["outside blocks", "block 0", "block 1"]
    assert list(figure.layout.xaxis.ticktext) == ["q", "k", "embedding", "head"]
    wanted = [[np.nan, np.nan, 0.4, np.nan], [0.5, 0.25, np.nan, np.nan], [0.5, 0.5, np.nan, np.nan]]
    np.testing.assert_array_equal(figure.data[0].z, np.array(wanted, np.float32))
    assert figure.data[0].z.dtype == np.float32  # other types are sent as text
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0.25, 0.5)  # the range present
    said = dict(zip(zip(figure.data[2].x, figure.data[2].y, strict=True), figure.data[2].text, strict=True))
    assert said[3, 0] == "–"  # the head was not pruned
    assert said[1, 1] == "25\xa0%"
    full = model.model_map(cells, LIGHT, full=True).figure
    assert (full.data[0].zmin, full.data[0].zmax) == (0, 1)
    present, whole = ["25\xa0%", "50\xa0%"], ["0\xa0%", "100\xa0%"]
    for drawn, ends, said in ((figure, present, "stretched"), (full, whole, "0 to 100 %")):
        title, *ticks = [note.text for note in drawn.layout.annotations]
        assert said in title
        assert ticks == ends


def test_points_lie_on_the_cells_they_open(cells: pd.DataFrame) -> None:
    figure = model.model_map(cells, LIGHT).figure
    points = figure.data[1]
    for i, cell in enumerate(cells.itertuples()):
        shown = np.float32(cell.share if cell.pruned else np.nan)
        np.testing.assert_array_equal(grid(model.model_map(cells, LIGHT))[points.y[i], points.x[i]], shown)
        assert cell.name in points.text[i]


@pytest.mark.parametrize("measure", list(MEASURES))
def test_every_measure_colors_by_its_own_column(cells: pd.DataFrame, measure: str) -> None:
    cells["input_error"] = np.linspace(0.1, 0.5, len(cells))
    chart = model.model_map(cells, LIGHT, measure)
    shown = grid(chart)
    np.testing.assert_array_equal(
        np.sort(shown[~np.isnan(shown)]), np.sort(cells.loc[cells["pruned"] > 0, measure].dropna().to_numpy(np.float32))
    )


def test_findings_of_the_map(cells: pd.DataFrame) -> None:
    share = model.model_map(cells, LIGHT).finding
    assert share == "25\xa0% to 50\xa0% kept: least in attention key of block 0, most in 3 cells"
    change = model.model_map(cells, LIGHT, "diff_rms").finding
    assert change == ("Fine-tuning moved embeddings outside blocks (0.3) most and 3 cells (0.1) least")


def test_an_even_share_is_said_in_one_number(matrices: pd.DataFrame) -> None:
    matrices["kept"] = matrices["params"] // 2
    chart = model.model_map(summaries.model_cells(matrices), LIGHT)
    assert chart.finding == "50\xa0% kept in every pruned block and role"


def test_a_model_in_which_nothing_was_pruned_or_differs(matrices: pd.DataFrame) -> None:
    untouched = summaries.model_cells(matrices.assign(status="untouched"))
    assert "Nothing was pruned" in model.model_map(untouched, LIGHT).finding
    equal = summaries.model_cells(matrices.assign(diff_rms=0.0, diff_share_kept=np.nan, diff_lost=np.nan))
    assert "are equal" in model.model_map(equal, LIGHT, "diff_lost").finding


def test_stacks_are_named_where_there_are_several() -> None:
    table = pd.DataFrame([line("e.0.q", 0, "q", stack="encoder"), line("d.0.q", 0, "q", stack="decoder")])
    figure = model.model_map(summaries.model_cells(table), LIGHT).figure
    assert sorted(figure.layout.yaxis.ticktext) == ["decoder 0", "encoder 0"]


def test_eighty_blocks_stay_readable_and_small() -> None:
    table = pd.DataFrame([line(f"l.{b}.{role}", b, role) for b in range(80) for role in ("q", "k", "v", "o", "up")])
    chart = model.model_map(summaries.model_cells(table), LIGHT)
    assert len(chart.figure.layout.yaxis.tickvals) <= 40
    assert not len(chart.figure.data[2].x)
    assert len(chart.figure.to_json()) < 200_000


def test_role_bars_hold_kept_and_reset_and_differ_by_more_than_color(matrices: pd.DataFrame) -> None:
    roles = summaries.by_role(matrices)
    chart = model.role_bars(roles, LIGHT)
    kept, reset = chart.figure.data
    by_name = dict(zip(kept.y, zip(kept.x, reset.x, strict=True), strict=True))
    assert by_name == {
        "embeddings": (40, 60),
        "attention query": (20, 20),
        "attention key": (15, 25),
        "task head": (20, 0),
    }
    assert reset.marker.pattern.shape == "/"
    assert kept.marker.pattern.shape is None
    assert chart.finding == "Embeddings: 50\xa0% of all weights, the largest part"


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_chart_says_what_it_is(cells: pd.DataFrame, matrices: pd.DataFrame, palette) -> None:  # type: ignore[no-untyped-def]
    for chart in (model.model_map(cells, palette), model.role_bars(summaries.by_role(matrices), palette)):
        assert chart.finding in chart.alt
        assert len(chart.csv().splitlines()) == len(chart.data) + 1
        assert chart.figure.layout.xaxis.title.text


def test_colors_are_those_of_the_theme(cells: pd.DataFrame) -> None:
    for palette in (LIGHT, DARK):
        scale = model.model_map(cells, palette).figure.data[0].colorscale
        assert [color for _, color in scale] == list(palette.sequential)


def test_colors_span_the_matrices_and_not_the_few_weights_of_norms() -> None:
    table = pd.DataFrame(
        [line("q", 0, "q", diff_lost=0.5), line("k", 0, "k", diff_lost=0.48), line("n", 0, "norm", diff_lost=0.1)]
    )
    heat = model.model_map(summaries.model_cells(table), LIGHT, "diff_lost").figure.data[0]
    assert (heat.zmin, heat.zmax) == (0.48, 0.5)
    assert sorted(model.model_map(summaries.model_cells(table), LIGHT, "diff_lost").figure.data[2].text) == [
        "10.0",
        "48.0",
        "50.0",
    ]
    alone = model.model_map(summaries.model_cells(table[2:]), LIGHT, "diff_lost").figure.data[0]
    assert (alone.zmin, alone.zmax) == (0.0, 0.1)
