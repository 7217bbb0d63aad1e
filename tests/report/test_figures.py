"""What pictures show: counts against brute force, shares, ticks, and marks as SVG and as PNG."""

from __future__ import annotations

import base64
import io
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kencore.report.charts import curves, masks
from kencore.report.charts.draw import LEVELS, SCALE, WIDTH, legend, plot, png, rows, say, shares, styled, svg
from kencore.report.style import colors, shade
from kencore.runs.run import Run
from kencore.words import numbers
from kencore.words.palette import DARK, LIGHT
from tests.support.runs import make_lm_run, make_run


@pytest.fixture(scope="module", params=["ken", "wanda"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    return make_run(folder) if request.param == "ken" else make_lm_run(folder)


def neighbours_of(keep: np.ndarray) -> list[int]:
    """For every kept entry its kept neighbours, one at a time."""
    rows, cols = keep.shape
    found = []
    for i, j in zip(*np.nonzero(keep), strict=True):
        around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
        found.append(sum(bool(keep[a, b]) for a, b in around if 0 <= a < rows and 0 <= b < cols))
    return found


@pytest.mark.parametrize("at_once", [1, 100, 1 << 24])
def test_neighbours_are_counted_in_every_matrix(run: Run, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "ENTRIES_AT_ONCE", at_once)
    table = masks.neighbour_table(run).set_index("role")
    lines = run.matrices[(run.matrices["status"] == "pruned") & (run.matrices["rows"] > 1)]
    assert set(table.index) == set(lines["role"])
    for role, part in lines.groupby("role"):
        every = [count for name in part["name"] for count in neighbours_of(run.keep(name))]
        expected = np.bincount(every, minlength=5)
        assert table.loc[role, ["n0", "n1", "n2", "n3", "n4"]].tolist() == expected.tolist()
        assert table.loc[role, "mean"] == pytest.approx(np.mean(every))


def test_chance_is_what_random_masks_have(tmp_path: Path) -> None:
    """Random masks of the same size: the mean over many of them meets the formula."""
    rng = np.random.default_rng(0)
    rows, cols, kept = 7, 9, 20
    means = []
    for _ in range(4000):
        mask = np.zeros(rows * cols, bool)
        mask[rng.choice(rows * cols, kept, replace=False)] = True
        means.append(np.mean(neighbours_of(mask.reshape(rows, cols))))
    pairs = 4 * rows * cols - 2 * rows - 2 * cols
    formula = pairs / (rows * cols) * (kept - 1) / (rows * cols - 1)
    assert np.mean(means) == pytest.approx(formula, abs=4 * np.std(means) / math.sqrt(4000))


def test_the_table_has_that_chance(run: Run) -> None:
    table = masks.neighbour_table(run)
    lines = run.matrices[(run.matrices["status"] == "pruned") & (run.matrices["rows"] > 1)]
    for role, part in lines.groupby("role"):
        weights, values = [], []
        for line in part.itertuples():
            places = line.rows * line.cols
            pairs = 4 * places - 2 * line.rows - 2 * line.cols
            weights.append(line.kept)
            values.append(pairs / places * (line.kept - 1) / (places - 1))
        own = table.loc[table["role"] == role, "by_chance"].item()
        assert own == pytest.approx(np.average(values, weights=weights))


@given(rows=st.integers(1, 200), cols=st.integers(1, 200), seed=st.integers(0, 99), share=st.floats(0, 1))
def test_a_small_map_is_small_and_keeps_the_share(rows: int, cols: int, seed: int, share: float) -> None:
    shares = (np.random.default_rng(seed).random((rows, cols)) < share).astype(np.float16)
    small = masks.small_map(shares)
    assert small.shape == (min(rows, masks.SIDE), min(cols, masks.SIDE))
    assert small.dtype == np.uint8
    if rows <= masks.SIDE and cols <= masks.SIDE:
        np.testing.assert_array_equal(small, 255 * shares)
        return
    levels = 255 / (LEVELS - 1)
    row_of, col_of = (
        np.searchsorted(np.arange(n) * size // n, np.arange(size), "right") - 1
        for n, size in zip(small.shape, shares.shape, strict=True)
    )
    for i, j in ((0, 0), (small.shape[0] - 1, small.shape[1] - 1)):
        mean = shares[np.ix_(row_of == i, col_of == j)].astype(float).mean()
        assert abs(small[i, j] - 255 * mean) <= levels / 2 + 1
    assert len(np.unique(small)) <= LEVELS


def test_a_picture_of_shares_gives_its_values_back() -> None:
    data = np.random.default_rng(0).integers(0, LEVELS, (13, 31)).astype(np.uint8) * 17
    axes = plot(100)
    shares(axes, data, (0, 31, 13, 0))
    shares(axes, data[:1], (40, 71, 1, 0))
    axes.set(xlim=(0, 80), ylim=(14, 0))
    text = svg(axes.figure, "one", "t", "a")
    found = re.findall(r'href="data:image/png;base64,([^"]+)"', text)
    shown = [Image.open(io.BytesIO(base64.b64decode(image))).convert("L") for image in found]
    assert len(shown) == 2
    np.testing.assert_array_equal(np.asarray(shown[0]), data)
    np.testing.assert_array_equal(np.asarray(shown[1]), data[:1])


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@settings(max_examples=40, deadline=None)
def test_ticks_lie_between_the_ends_and_are_even(low: float, span: float) -> None:
    axes = plot(100)
    axes.set_xlim(low, low + span)
    low, high = axes.get_xlim()  # wider where floats cannot tell the ends apart
    say(axes.xaxis)
    found = [value for value in axes.get_xticks() if low <= value <= high]
    assert 1 <= len(found) <= 8
    steps = np.diff(found)
    if len(steps) > 1:
        np.testing.assert_allclose(steps, steps[0], rtol=1e-3, atol=1e-9)


def test_places_in_a_picture() -> None:
    axes = rows(["first", "second"], 30, left=100, right=80)
    axes.set_xlim(0, 10)
    high = 72 * axes.figure.get_figheight()
    assert 72 * axes.figure.get_figwidth() == WIDTH
    places = [tuple(axes.transData.transform(place)) for place in ((0, 0), (5, 1), (10, 1.5))]
    assert places == [pytest.approx(at) for at in ((100, high - 27), (350, high - 57), (600, high - 72))]
    assert [shade(value) for value in (0, 0.05, 0.1, 0.999, 1)] == [0, 0, 1, 9, 9]


@styled()
def marks() -> Any:
    """A bar, a dot, a picture of two shares, and text, on 1 pixel per unit, y upwards."""
    axes = plot(60, left=0, right=0, top=0, bottom=0)
    axes.set_axis_off()
    axes.bar(25, 20, 30, 30, color=LIGHT.kept, label="a bar")
    axes.plot(70, 40, "s", color="#BF222A", ms=16)
    shares(axes, np.array([[0, 255]], np.uint8), (10, 30, 10, 20))
    axes.text(80, 5, "a < b & $c$")
    axes.set(xlim=(0, WIDTH), ylim=(0, 60))
    return axes


def test_svg_and_png_show_the_same_marks() -> None:
    drawn = marks().figure
    text = svg(drawn, "one", "T < t", "A & a", alone=True)
    assert re.search(rf'<path d="M 10 30 L 40 30 L 40 10 L 10 10 z"[^>]* style="fill: {LIGHT.kept.lower()}"', text)
    assert '<title id="one-title">T &lt; t</title>' in text
    assert '<desc id="one-desc">A &amp; a</desc>' in text
    assert "a &lt; b &amp; $c$</text>" in text
    pixels = np.asarray(Image.open(io.BytesIO(png(drawn))).convert("RGB"))
    assert pixels.shape == (60 * SCALE, WIDTH * SCALE, 3)

    def at(x: float, y: float) -> str:
        return "#{:02X}{:02X}{:02X}".format(*pixels[int(y * SCALE), int(x * SCALE)])

    assert at(25, 20) == LIGHT.kept
    assert at(70, 20) == "#BF222A"
    assert at(15, 45) == LIGHT.reset
    assert at(25, 45) == LIGHT.kept
    assert at(5, 5) == LIGHT.background


def test_in_a_page_colours_are_names_and_ids_are_its_own() -> None:
    axes = marks()
    with styled():
        legend(axes)
    first, second = (ElementTree.fromstring(svg(axes.figure, name, "t", "a")) for name in ("one", "two"))
    ids = [{part.get("id") for part in root.iter()} - {None} for root in (first, second)]
    assert len(ids[0]) == len(ids[1]) >= 3
    assert not ids[0] & ids[1]
    text = ElementTree.tostring(first, "unicode")
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids[0]
    assert set(re.findall(r"#[0-9a-fA-F]{6}", text)) == {"#bf222a"}  # a colour that both themes share
    names = set(re.findall(r"var\(--([^)]+)\)", text))
    assert names >= {"kept", "reset", "text"}
    assert names <= set(colors(LIGHT))
    assert not re.findall(r"font-family", text.partition(">")[2])


def test_one_colour_of_the_light_theme_is_one_of_the_dark() -> None:
    light, dark = colors(LIGHT), colors(DARK)
    for color in set(light.values()):
        assert len({dark[name] for name in light if light[name] == color}) == 1


def test_a_reader_s_own_settings_change_nothing() -> None:
    before = svg(marks().figure, "one", "t", "a"), png(marks().figure)
    with matplotlib.rc_context(
        {"font.size": 30, "axes.facecolor": "red", "savefig.bbox": "tight", "svg.hashsalt": "x"}
    ):
        own = dict(matplotlib.rcParams)
        assert (svg(marks().figure, "one", "t", "a"), png(marks().figure)) == before
        assert dict(matplotlib.rcParams) == own


def test_neighbours_without_any_kept_are_left_out() -> None:
    empty = pd.DataFrame(
        {"role": ["q"], "kept": [0], **{f"n{i}": [0] for i in range(5)}, "mean": [math.nan], "by_chance": [math.nan]}
    )
    assert masks.neighbours(empty, numbers.TERMS["base"]) is None


def test_a_picture_of_coded_changes_does_not_say_kept() -> None:
    counts = {f"n{i}": [2] for i in range(5)}
    table = pd.DataFrame({"role": ["q"], "kept": [10], **counts, "mean": [2.0], "by_chance": [1.5]})
    figure = masks.neighbours(table, numbers.CODED)
    assert figure is not None
    told = "A changed weight has 2.00 changed neighbors of 4 on average"
    assert figure.finding == f"{told}, more than the 1.50 expected by chance"
    said = svg(figure.drawing, "one", "t", figure.alt) + figure.note
    assert "changed" in said
    assert "kept" not in said


@pytest.mark.parametrize("by_size", [False, True])
def test_a_sweep_with_coded_changes_is_drawn_by_the_size_of_files(by_size: bool) -> None:
    sizes, shares = [3e5, 1e5, 2e5], [0.1, 0.2, 0.5]
    table = pd.DataFrame(
        {
            "name": "delta",
            "metric": "accuracy",
            "quality": [0.7, 0.6, 0.8],
            "low": math.nan,
            "high": math.nan,
            "kept_share": shares,
            "bytes_stored": sizes,
            "bits": [math.nan, math.nan, 2.0 if by_size else math.nan],
            "bytes": math.nan,
            "runs": [("a",), ("b",), ("c",)],
        }
    )
    figure = curves.trade_off(table, {"delta": ("Largest difference", "delta")}, "b", 0.9, "A finding")
    (axes,) = figure.drawing.axes
    drawn = next(line for line in axes.lines if line.get_label() == "Largest difference")
    told = "size of the subnetwork file" if by_size else "kept share of the pruned tensors"
    assert axes.get_xlabel() == told
    assert told in figure.alt
    assert list(drawn.get_xdata()) == (sorted(sizes) if by_size else shares)
    assert list(drawn.get_ydata()) == pytest.approx([60, 80, 70] if by_size else [70, 60, 80])
