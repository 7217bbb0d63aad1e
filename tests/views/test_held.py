"""Masks that a page holds itself: what is held, read back by plain numpy, is the run's own mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kencore.runs.run import Run, open_run
from kencore.views import held
from tests.support.runs import make_run


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("side", held.SIDES)
def test_what_is_held_is_the_mask(sample: Run, side: int) -> None:
    for name in sample.pruned:
        keep = sample.keep(name)
        rows, cols = keep.shape
        found = held.held(sample, name, side)
        assert (found.rows, found.cols, found.cell) == (rows, cols, side)
        if side == 1:
            bits = np.frombuffer(found.data, np.uint8).reshape(rows, -1)
            np.testing.assert_array_equal(np.unpackbits(bits, axis=1, count=cols, bitorder="little"), keep)
            continue
        counts = np.frombuffer(found.data, f"<u{found.width}").reshape(-(-rows // side), -(-cols // side))
        for i, j in np.ndindex(counts.shape):
            cell = keep[i * side : (i + 1) * side, j * side : (j + 1) * side]
            assert counts[i, j] == cell.sum(), (name, i, j)


@pytest.mark.parametrize("name", ["demo", "demo-lm"])
def test_the_smallest_cells_that_fit(name: str) -> None:
    run = open_run(name)
    sizes = {side: sum(len(held.held(run, matrix, side).data) for matrix in run.pruned) for side in held.SIDES}
    assert sorted(sizes.values(), reverse=True) == list(sizes.values())
    for side, size in sizes.items():
        assert held.finest(run, size) == side
        assert held.finest(run, size - 1) == next((other for other in held.SIDES if other > side), held.SIDES[-1])


def test_counts_of_the_largest_cells_fit() -> None:
    assert max(held.SIDES) ** 2 < 1 << 16


def test_the_map_of_a_page_is_the_same_every_time(sample: Run) -> None:
    from app.data.held import held_map

    first = held_map(sample)
    assert held_map(open_run(Path(sample.path))) == first
    assert "</script" not in first["script"]
