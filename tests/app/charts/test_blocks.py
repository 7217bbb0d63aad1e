"""Pictures of every block: the right colors in the right place, and any number of blocks."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from app.charts import blocks, cells, png
from kencore.views import tables as summaries
from kencore.views.window import Window
from kencore.words.palette import DARK, LIGHT
from tests.app.charts.conftest import line


def decode(source: str) -> np.ndarray:
    """The pixels (H, W, 3) of a data address."""
    raw = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))


def rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def window(layer: str, data: np.ndarray, cell: tuple[int, int] = (1, 1)) -> Window:
    count = (data != 255).astype(int)
    return Window(layer=layer, rows=(0, 2), cols=(0, 2), cell=cell, data=data, count=count)


def test_png_gives_back_every_pixel() -> None:
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    colors = png.shades(LIGHT.sequential, 12)
    pixels = decode(png.data_uri(png.encode(indices, colors)))
    for place, index in np.ndenumerate(indices):
        assert tuple(pixels[place]) == rgb(colors[index])


def test_shades_keep_the_ends_and_every_given_color() -> None:
    shades = png.shades(LIGHT.sequential, 10)
    assert shades == list(LIGHT.sequential)
    assert png.shades(("#000000", "#FFFFFF"), 3) == ["#000000", "#808080", "#FFFFFF"]


def test_levels_clip_and_survive_nan() -> None:
    found = png.levels(np.array([-1, 0, 0.5, 1, 9, np.nan]), 0, 1, 5)
    assert found.tolist() == [0, 0, 2, 4, 4, 0]
    assert png.levels(np.array([3.0, 3.0]), 3, 3, 5).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("shape", "cell"), [((6, 4), (2, 1)), ((3, 3), (2, 2)), ((4, 300), (1, 4)), ((300, 5), (8, 2))]
)
def test_a_picture_has_the_proportions_of_its_matrix(shape: tuple[int, int], cell: tuple[int, int]) -> None:
    rows, cols = shape
    grid = np.arange(-(-rows // cell[0]) * -(-cols // cell[1])) % 250
    grid = grid.astype(np.uint8).reshape(-(-rows // cell[0]), -1)
    found = png.true_shape(grid, shape, cell, 240)
    high, wide = found.shape
    assert max(high, wide) >= 240
    assert min(high, wide) == pytest.approx(max(min(shape) / max(shape), png.THINNEST) * max(high, wide), abs=1)
    assert (high >= wide) == (rows >= cols)
    for y in range(0, high, 7):
        for x in range(0, wide, 7):
            row, col = int((y + 0.5) * rows / high), int((x + 0.5) * cols / wide)
            assert found[y, x] == grid[row // cell[0], col // cell[1]]


def test_neighbour_counts_have_the_five_colors_and_reset_its_own() -> None:
    table = cells.colors("neighbours", LIGHT)
    data = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    found = cells.indices(window("neighbours", data), 1.0)
    wanted = [*LIGHT.neighbours, LIGHT.reset]
    shown = [rgb(table[index]) for index in found.ravel()]
    for got, want in zip(shown, wanted, strict=True):
        assert np.abs(np.array(got) - rgb(want)).max() <= 4  # between two of 96 shades


def test_mean_neighbours_of_larger_cells_lie_between() -> None:
    data = np.array([[0.0, 4.0], [2.0, np.nan]], np.float32)
    found = cells.indices(window("neighbours", data, (2, 2)), 1.0)
    table = cells.colors("neighbours", LIGHT)
    assert table[found[0, 0]] == LIGHT.neighbours[0]
    assert table[found[0, 1]] == LIGHT.neighbours[-1]
    assert table[found[1, 1]] == LIGHT.reset


def test_kept_and_difference_use_the_maps_of_the_theme() -> None:
    kept = cells.indices(window("kept", np.array([[0, 1]], np.uint8)), 1.0)
    table = cells.colors("kept", DARK)
    assert (table[kept[0, 0]], table[kept[0, 1]]) == (DARK.reset, DARK.sequential[-1])
    lost = cells.indices(window("lost", np.array([[0.4, 0.6, np.nan]], np.float32)), 1.0, (0.4, 0.6))
    table = cells.colors("lost", DARK)
    assert [table[i] for i in lost[0]] == [DARK.sequential[0], DARK.sequential[-1], DARK.surface]
    change = cells.indices(window("difference", np.array([[-2.0, 2.0]], np.float32)), 2.0)
    table = cells.colors("difference", DARK)
    assert [table[i] for i in change[0]] == [DARK.diverging[0], DARK.diverging[-1]]


def draw(number: int, finding: str = "finding") -> blocks.Chart:
    table = pd.DataFrame([line(f"l.{b}.q", b, "q") for b in range(number)])
    pictures = [np.full((4, 4), b % 96, np.uint8) for b in range(number)]
    labels = [(f"block {b}", "50\u00a0% kept") for b in range(number)]
    return blocks.block_pictures(
        pictures,
        cells.colors("kept", LIGHT),
        labels,
        table,
        LIGHT,
        finding=finding,
        aspect=1.0,
        scale=cells.scale("kept", LIGHT, 1.0),
    )


@pytest.mark.parametrize("number", [1, 2, 6, 12, 32, 80])
def test_any_number_of_blocks_without_overlap(number: int) -> None:
    chart = draw(number)
    images = [image for image in chart.figure.layout.images if image.xref == "x"]
    labels = [note for note in chart.figure.layout.annotations if note.xref == "x"]
    assert len(images) == len(labels) == number
    places = {(round(image.x, 3), round(image.y, 3)) for image in images}
    assert len(places) == number
    below = "50\u00a0% kept" if number <= 12 else "50\u00a0%"  # on a phone many stand close together
    assert {label.text.partition("<br>")[2] for label in labels} == {below}
    assert all(image.sizex < 1 and image.sizey < 1 for image in images)
    across = blocks.tiles_across(number)
    assert max(image.x for image in images) < across
    assert {image.sizing for image in images} == {"contain"}  # never out of proportion
    assert len(chart.figure.to_json()) < 2_000_000


def test_a_point_lies_inside_each_picture_in_order() -> None:
    chart = draw(7)
    points = next(trace for trace in chart.figure.data if trace.hovertemplate)
    images = [image for image in chart.figure.layout.images if image.xref == "x"]
    for i, image in enumerate(images):
        assert image.x < points.x[i] < image.x + image.sizex
        assert image.y < points.y[i] < image.y + image.sizey
        assert f"block {i}" in points.text[i]


def test_each_picture_shows_its_own_block() -> None:
    colors = cells.colors("kept", LIGHT)
    images = [image for image in draw(3).figure.layout.images if image.xref == "x"]
    for i, image in enumerate(images):
        assert tuple(decode(image.source)[0, 0]) == rgb(colors[i])


def test_lines_hold_both_shares(matrices: pd.DataFrame) -> None:
    table = summaries.family_blocks(matrices, "layer.*.k")
    chart = blocks.block_lines(table, ["block 0", "block 1"], LIGHT)
    entries, change = chart.figure.data
    assert entries.y.tolist() == [0.25, 0.5]
    assert change.y.tolist() == [np.float32(0.2), 0.5]
    assert entries.marker.symbol != change.marker.symbol
    assert chart.finding == (
        "25\xa0% to 50\xa0% of the weights kept, most in block 1; 20\xa0% to 50\xa0% of the change"
    )


HEIGHT = re.compile(r"calc\(([\d.]+) \* clamp\((\d+)px, ([\d.]+)cqw \+ (\d+)px, ([\d.]+)px\) \+ ([\d.]+)px\)")


@pytest.mark.parametrize(("number", "across", "aspect"), [(6, 3, 1.0), (30, 6, 1.0), (6, 3, 0.25), (12, 4, 4.0)])
def test_a_line_of_pictures_is_as_high_as_they_are_at_the_width_of_the_page(
    number: int, across: int, aspect: float
) -> None:
    labels = [(f"block {i}", "50 % kept") for i in range(number)]
    chart = blocks.block_pictures(
        [np.zeros((8, 8), np.uint8)] * number,
        ["#000000"],
        labels,
        pd.DataFrame({"name": range(number)}),
        LIGHT,
        finding="",
        aspect=aspect,
        scale=blocks.Scale(title="kept", low=0, high=1, colors=["#000000", "#ffffff"]),
    )
    found = HEIGHT.fullmatch(chart.height)
    assert found is not None
    lines, least, percent, label, most, beside = map(float, found.groups())
    layout = chart.figure.layout
    assert lines * most + beside == pytest.approx(layout.height, abs=1)  # never higher than the figure
    end, start = layout.yaxis.range
    assert end - start == pytest.approx(lines, abs=1e-3)
    first = next(image for image in layout.images if image.yref == "y")
    for width in (350, 500, 640, 1200):
        line = min(max(least, percent / 100 * width + label), most)
        high = min(first.sizey * line, first.sizex * width / across * aspect)  # of the picture, drawn whole
        assert (first.y - start) * line >= label - 0.5  # its label has its room above
        if least < line < most:  # then nothing but labels is between pictures
            assert label - 0.1 < line - high < label + 10
