"""The explanation of one row: every field against numpy and scipy, and no compiler needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from kencore.methods.ken.explained import explain_row
from tests.methods.oracle import densities, published_bandwidth
from tests.methods.rows_of import rows_of


@pytest.mark.parametrize("kind", ["normal", "lognormal", "few levels", "one outlier", "bf16"])
def test_fields_of_the_published_rule(kind: str) -> None:
    row = rows_of(kind, 8, 1, 300)[0]
    before = row.copy()
    told = explain_row(row, 120)
    np.testing.assert_array_equal(row, before)
    assert (told.rule, told.k) == ("ken", 120)
    assert told.bandwidth == published_bandwidth(row)
    grid = np.linspace(row.min(), row.max(), 120)
    assert told.grid.dtype == np.float32
    np.testing.assert_array_equal(told.grid, grid)
    np.testing.assert_allclose(told.grid_density, densities(row, grid), rtol=1e-9)
    np.testing.assert_array_equal(told.level, np.rint(densities(row, grid)))
    assert sorted(told.order) == list(range(120))
    visited = told.level[told.order]
    assert (np.diff(visited) <= 0).all()
    same = np.diff(visited) == 0
    assert (np.diff(told.order)[same] > 0).all()  # ties left to right
    assert len(set(told.taken.tolist())) == 120
    np.testing.assert_array_equal(np.flatnonzero(told.keep), np.sort(told.taken))


def test_each_point_took_the_nearest_entry_that_was_left() -> None:
    row = rows_of("t3", 9, 1, 200)[0]
    told = explain_row(row, 90)
    left = np.ones(200, bool)
    for point in told.order:
        distance = np.abs(row - told.grid[point])
        assert distance[told.taken[point]] == distance[left].min()
        assert left[told.taken[point]]
        left[told.taken[point]] = False


def test_the_curve() -> None:
    row = rows_of("laplace", 10, 1, 500)[0]
    told = explain_row(row, 50, curve_points=400)
    assert told.curve_x.shape == told.curve_y.shape == (400,)
    assert told.curve_x[0] == pytest.approx(row.min() - 3 * told.bandwidth)
    assert told.curve_x[-1] == pytest.approx(row.max() + 3 * told.bandwidth)
    np.testing.assert_allclose(told.curve_y, densities(row, told.curve_x), rtol=1e-9, atol=1e-12 * told.curve_y.max())
    assert np.trapezoid(told.curve_y, told.curve_x) == pytest.approx(1, abs=2e-3)


def test_fields_of_the_density_rule() -> None:
    row = rows_of("normal", 11, 1, 300)[0]
    told = explain_row(row, 100, "ken-density")
    assert told.rule == "ken-density"
    np.testing.assert_allclose(told.entry_density, densities(row, row), rtol=1e-9)
    assert told.entry_density[told.keep].min() > told.entry_density[~told.keep].max()
    assert told.grid.size == told.level.size == told.order.size == told.taken.size == 0
    assert told.curve_x.size == 256


@pytest.mark.parametrize("rule", ["ken", "ken-density"])
@pytest.mark.parametrize("value", [0.1, 0.0, -3e38, 1e-44])
def test_a_constant_row(rule: str, value: float) -> None:
    told = explain_row(np.full(20, value, np.float32), 6, rule)
    assert told.bandwidth == 0
    assert told.curve_x.size == told.curve_y.size == 0
    assert np.flatnonzero(told.keep).tolist() == list(range(6))
    if rule == "ken":
        np.testing.assert_array_equal(told.grid, np.full(6, value, np.float32))
        assert told.grid_density.tolist() == [0.0] * 6


@pytest.mark.parametrize("rule", ["ken", "ken-density"])
def test_k_beyond_the_row_and_rows_of_one(rule: str) -> None:
    row = rows_of("normal", 12, 1, 9)[0]
    told = explain_row(row, 50, rule)
    assert told.k == 9
    assert told.keep.all()
    assert explain_row(row[:1], 3, rule).keep.tolist() == [True]


def test_a_range_beyond_float32_is_told_in_the_weights_own_unit() -> None:
    row = np.array([-3e38, -1e38, 0, 1.5e38, 3e38], np.float32)
    told = explain_row(row, 3)
    np.testing.assert_array_equal(told.grid, np.array([-3e38, 0, 3e38], np.float32))
    assert told.keep.tolist() == [True, False, True, False, True]


def test_half_precision_and_float64_rows_are_rounded_to_float32() -> None:
    row = rows_of("normal", 13, 1, 64)[0]
    for same in (row.astype(np.float64), row.astype(np.float16).astype(np.float32)):
        wanted = explain_row(same.astype(np.float32), 20)
        np.testing.assert_array_equal(explain_row(same, 20).keep, wanted.keep)


def test_an_explanation_is_frozen() -> None:
    told = explain_row(rows_of("normal", 14, 1, 10)[0], 3)
    with pytest.raises(FrozenInstanceError):
        told.k = 4  # type: ignore[misc]


def test_that_pages_need_neither_torch_nor_a_compiler() -> None:
    script = (
        "import sys, numpy as np\n"
        "from kencore.methods.ken.explained import explain_row\n"
        "for rule in ('ken', 'ken-density'):\n"
        "    explain_row(np.arange(9.0), 3, rule)\n"
        "print([m for m in ('torch', 'numba', 'scipy', 'transformers') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_that_another_k_needs_no_torch() -> None:
    script = (
        "import sys, numpy as np\n"
        "from kencore.methods.rows import RowIndex\n"
        "assert RowIndex(np.eye(4, dtype='f4')).keep(2).sum() == 8\n"
        "print([m for m in ('torch', 'scipy.stats', 'transformers') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
