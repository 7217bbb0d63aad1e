"""What pictures show: counts against brute force, shares, ticks, and marks in both forms."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore.report.charts import masks
from kencore.report.charts.axes import Axis, log_ticks, ticks
from kencore.report.charts.canvas import Canvas, shade
from kencore.report.charts.png import SCALE, png
from kencore.report.charts.svg import gray_png, svg
from kencore.runs.run import Run
from kencore.words.palette import LIGHT
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
    levels = 255 / (masks.LEVELS - 1)
    row_of, col_of = (
        np.searchsorted(np.arange(n) * size // n, np.arange(size), "right") - 1
        for n, size in zip(small.shape, shares.shape, strict=True)
    )
    for i, j in ((0, 0), (small.shape[0] - 1, small.shape[1] - 1)):
        mean = shares[np.ix_(row_of == i, col_of == j)].astype(float).mean()
        assert abs(small[i, j] - 255 * mean) <= levels / 2 + 1
    assert len(np.unique(small)) <= masks.LEVELS


def test_a_gray_png_gives_its_values_back() -> None:
    from PIL import Image

    data = np.random.default_rng(0).integers(0, 256, (13, 31), dtype=np.uint8)
    shown = Image.open(io.BytesIO(gray_png(data)))
    assert shown.mode == "L"
    np.testing.assert_array_equal(np.asarray(shown), data)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_lie_between_the_ends_and_are_even(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 8
    room = 1e-6 * span + 1e-9 * abs(low)
    assert all(low - room <= value <= low + span + room for value in found)
    steps = np.diff(found)
    if len(steps) > 1:
        np.testing.assert_allclose(steps, steps[0], rtol=1e-4, atol=1e-9)


def test_places_on_axes() -> None:
    linear = Axis(low=0, high=10, start=100, end=200)
    assert [linear(value) for value in (0, 5, 10, -3, 99)] == [100, 150, 200, 100, 200]
    log = Axis(low=1, high=100, start=0, end=100, log=True)
    assert [log(value) for value in (1, 10, 100)] == pytest.approx([0, 50, 100])
    assert log_ticks(1, 100) == [1, 2, 5, 10, 20, 50, 100]
    assert Axis(low=3, high=3, start=0, end=100)(3) == 50
    assert [shade(value) for value in (0, 0.05, 0.1, 0.999, 1)] == [0, 0, 1, 9, 9]


def test_both_forms_draw_the_same_marks() -> None:
    from PIL import Image

    canvas = Canvas(100, 60)
    canvas.box(10, 10, 30, 20, "kept")
    canvas.dot(70, 20, "#BF222A", "square", 8)
    canvas.shares(10, 40, 20, 10, np.array([[0, 255]], np.uint8))
    canvas.text(50, 55, "a < b & $c$", color="text")
    drawn = canvas.drawing()
    text = svg(drawn, "one", "T < t", "A & a", LIGHT)
    assert f'width="30" height="20" style="fill:{LIGHT.kept}"' in text
    assert "T &lt; t" in text
    assert "a &lt; b &amp; $c$" in text
    assert "var(--kept)" in svg(drawn, "one", "t", "a")
    pixels = np.asarray(Image.open(io.BytesIO(png(drawn, LIGHT))).convert("RGB"))
    assert pixels.shape == (60 * SCALE, 100 * SCALE, 3)

    def at(x: float, y: float) -> str:
        return "#{:02X}{:02X}{:02X}".format(*pixels[int(y * SCALE), int(x * SCALE)])

    assert at(25, 20) == LIGHT.kept
    assert at(70, 20) == "#BF222A"
    assert at(15, 45) == LIGHT.reset
    assert at(25, 45) == LIGHT.kept
    assert at(5, 5) == LIGHT.background


def test_neighbours_without_any_kept_are_left_out() -> None:
    empty = pd.DataFrame(
        {"role": ["q"], "kept": [0], **{f"n{i}": [0] for i in range(5)}, "mean": [math.nan], "by_chance": [math.nan]}
    )
    assert masks.neighbours(empty) is None
