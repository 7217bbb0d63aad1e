"""Windows of a matrix against brute force on the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.errors import MatrixNotFoundError, SpecError
from kencore.runs.run import Run
from kencore.views import window as views
from tests.support.runs import make_run

NAME = "bert.embeddings.word_embeddings.weight"  # 200 x 48


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("views"))


def cells(values: np.ndarray, cell: tuple[int, int]) -> list[list[np.ndarray]]:
    height, width = cell
    return [
        [values[r : r + height, c : c + width] for c in range(0, values.shape[1], width)]
        for r in range(0, values.shape[0], height)
    ]


def neighbours(keep: np.ndarray) -> np.ndarray:
    padded = np.pad(keep, 1).astype(int)
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(views.LAYERS),
    st.integers(0, 199),
    st.integers(1, 200),
    st.integers(0, 47),
    st.integers(1, 48),
    st.sampled_from([1, 2, 16, 64]),
    st.sampled_from([1, 4, 8, 16]),
)
def test_every_window_is_what_brute_force_says(
    run: Run, layer: str, r0: int, tall: int, c0: int, wide: int, height: int, width: int
) -> None:
    r1, c1 = min(200, r0 + tall), min(48, c0 + wide)
    found = views.window(run, NAME, layer, r0, r1, c0, c1, cell=(height, width))
    (top, bottom), (left, right) = found.rows, found.cols
    assert found.cell == (height, width)
    assert top <= r0 < top + height
    assert left <= c0 < left + width
    assert (bottom, right) == (r1, c1)
    assert found.data.shape == found.kept.shape == found.count.shape
    keep = run.keep(NAME)
    part = (slice(top, bottom), slice(left, right))
    share = np.array([[c.mean() for c in row] for row in cells(keep[part], found.cell)])
    np.testing.assert_allclose(found.kept, share, rtol=1e-6)
    if layer == "kept":
        np.testing.assert_allclose(found.data, share, rtol=1e-6)
    elif layer == "neighbours":
        _check_neighbours(found, keep, part)
    else:
        values = run.values(NAME, layer)[part]
        for shown, inside in zip(
            found.data.ravel(), (c for row in cells(values, found.cell) for c in row), strict=True
        ):
            assert abs(shown) == np.abs(inside).max()
            assert shown in inside


def _check_neighbours(found: views.Window, keep: np.ndarray, part: tuple[slice, slice]) -> None:
    counts = neighbours(keep)
    if found.cell == (1, 1):
        wanted = np.where(keep, counts, views.RESET)[part]
        np.testing.assert_array_equal(found.data, wanted)
        return
    top, left = part[0].start, part[1].start
    height, width = found.cell
    for i, j in np.ndindex(found.data.shape):  # cells show their whole cell of the matrix
        cell = (slice(top + i * height, top + (i + 1) * height), slice(left + j * width, left + (j + 1) * width))
        inside = counts[cell][keep[cell]]
        shown = found.data[i, j]
        assert np.isnan(shown) if inside.size == 0 else shown == pytest.approx(inside.mean())


@pytest.mark.parametrize("layer", views.LAYERS)
@pytest.mark.parametrize("cell", [(4, 8), (2, 8), (16, 2), (32, 16)])
def test_large_windows_come_out_of_one_picture(
    run: Run, layer: str, cell: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = {"r0": 64, "r1": 128, "c0": 16, "c1": 48}
    direct = views.window(run, NAME, layer, **window, cell=cell)
    monkeypatch.setattr(views, "DIRECT", 10)
    through = views.window(run, NAME, layer, **window, cell=cell)
    assert through.cell == direct.cell == cell
    np.testing.assert_array_equal(direct.data, through.data)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose embeddings have 2,500 rows: its stored overview has 8 x 1 weights per cell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.runs.VOCABULARY", 2500)
        return make_run(tmp_path_factory.mktemp("long"))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_counts_of_every_size_of_cell_add_up_to_the_mask(long: Run, data: st.DataObject) -> None:
    cell = data.draw(st.tuples(*[st.sampled_from([1, 2, 4, 8, 16, 64])] * 2))
    first, last = (data.draw(st.integers(0, 2500 // cell[0])) * cell[0] for _ in range(2))
    r0, r1 = min(first, last), min(2500, max(first, last) + data.draw(st.sampled_from([1, cell[0], 2500])))
    r0 = min(r0, r1 - 1)
    r0 -= r0 % cell[0]
    found = views.window(long, NAME, "kept", r0, r1, cell=cell)
    wanted = [[int(part.sum()) for part in line] for line in cells(long.keep(NAME)[r0:r1], cell)]
    np.testing.assert_array_equal(found.count, wanted)


@pytest.mark.parametrize(("span", "most", "side"), [(96, 96, 1), (97, 96, 2), (4096, 256, 32), (1, 1, 1), (7, 3, 4)])
def test_the_side_of_a_cell_fits_a_span_wherever_it_starts(span: int, most: int, side: int) -> None:
    assert views.cell_side(span, most) == side
    assert all(-(-(start + span) // side) - start // side <= most for start in range(side))


@pytest.mark.parametrize(("row", "col"), [(0, 0), (199, 47), (7, 11)])
def test_one_weight(run: Run, row: int, col: int) -> None:
    found = views.cell(run, NAME, row, col)
    tuned, base = run.values(NAME, "tuned"), run.values(NAME, "base")
    keep = run.keep(NAME)
    assert found["tuned"] == tuned[row, col]
    assert found["base"] == base[row, col]
    assert found["difference"] == tuned[row, col] - base[row, col]
    assert found["kept"] == keep[row, col]
    assert found["pruned"] == (tuned if keep[row, col] else base)[row, col]
    assert found["neighbours"] == neighbours(keep)[row, col]
    order = np.argsort(-np.abs(tuned[row]), kind="stable")
    assert order[found["rank_value"] - 1] == col
    order = np.argsort(-np.abs((tuned - base)[row]), kind="stable")
    assert order[found["rank_difference"] - 1] == col
    assert found["row_kept"] == keep[row].sum()


def test_vectors_are_one_row(run: Run) -> None:
    name = "bert.encoder.layer.1.output.LayerNorm.weight"
    found = views.window(run, name, "tuned")
    assert found.data.shape == (1, 48)
    np.testing.assert_array_equal(found.data, run.values(name))


def test_what_is_not_there_is_said(run: Run) -> None:
    with pytest.raises(SpecError, match="layer"):
        views.window(run, NAME, "colour")
    with pytest.raises(SpecError, match="two powers of two"):
        views.window(run, NAME, "kept", cell=(3, 1))
    with pytest.raises(MatrixNotFoundError, match="no matrix 'nothing'"):
        views.window(run, "nothing", "kept")
    with pytest.raises(MatrixNotFoundError, match="not pruned"):
        views.window(run, "classifier.weight", "kept")
    for window in ((0, 201, 0, 48), (-1, 4, 0, 48), (5, 5, 0, 48), (0, 4, 40, 49)):
        with pytest.raises(MatrixNotFoundError, match="within"):
            views.window(run, NAME, "kept", *window)
    with pytest.raises(MatrixNotFoundError, match="columns 48"):
        views.cell(run, NAME, 0, 48)
