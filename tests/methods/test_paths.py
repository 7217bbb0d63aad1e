"""Every path against the published loop written plainly, over many kinds and widths of rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.methods.oracle import densities, ken, ken_density
from tests.methods.paths import PATHS
from tests.methods.rows_of import KINDS, rows_of

WIDTHS = (1, 2, 3, 5, 17, 64, 127, 129, 300, 768)
ORACLES = {"ken": ken, "ken-density": ken_density}


def budgets(rows: int, columns: int, seed: int) -> list[int]:
    """One k per row, now and then above the row's length."""
    return [int(k) for k in np.random.default_rng(seed).integers(1, columns + 3, size=rows)]


@pytest.mark.parametrize("rule", ORACLES)
@pytest.mark.parametrize("kind", KINDS)
def test_all_paths_give_the_published_rule(kind: str, rule: str) -> None:
    for columns in WIDTHS:
        rows = rows_of(kind, 1, 3, columns)
        k = budgets(3, columns, columns)
        wanted = np.stack([ORACLES[rule](row, min(own, columns)) for row, own in zip(rows, k, strict=True)])
        for path, masks in PATHS.items():
            np.testing.assert_array_equal(masks(rows, k, rule), wanted, err_msg=f"{path}, {columns} columns, k {k}")


@pytest.mark.parametrize("rule", ORACLES)
@pytest.mark.parametrize("kind", ["normal", "t3", "lognormal", "bf16", "fp16", "one outlier"])
def test_wide_rows(kind: str, rule: str) -> None:
    rows = rows_of(kind, 2, 2, 3072)
    wanted = np.stack([ORACLES[rule](row, k) for row, k in zip(rows, (1536, 700), strict=True)])
    for path, masks in PATHS.items():
        np.testing.assert_array_equal(masks(rows, [1536, 700], rule), wanted, err_msg=path)


@pytest.mark.parametrize("seed", range(4))
def test_rows_where_rounding_makes_distances_equal(seed: int) -> None:
    """Few bits of mantissa left after the offset: many values equally far from a grid point."""
    generator = np.random.default_rng(seed)
    rows = (1000 + generator.integers(-40, 40, size=(40, 60)) * 2.0**-13).astype(np.float32)
    rows[:, 7] = generator.normal(size=40)  # a grid that hardly meets the values
    wanted = np.stack([ken(row, 31) for row in rows])
    for path, masks in PATHS.items():
        np.testing.assert_array_equal(masks(rows, [31] * 40, "ken"), wanted, err_msg=path)


def test_density_rule_is_a_plain_argsort_where_no_densities_are_close() -> None:
    for row in rows_of("normal", 3, 20, 400):
        density = densities(row, row)
        wanted = np.zeros(400, bool)
        wanted[np.argsort(-density)[:150]] = True
        for path, masks in PATHS.items():
            np.testing.assert_array_equal(masks(row[None], [150], "ken-density")[0], wanted, path)


def test_range_beyond_float32_is_the_rule_of_the_row_divided_by_four() -> None:
    rows = np.clip(rows_of("normal", 4, 4, 200) / 0.04, -3, 3) * np.float32(1e38)
    with np.errstate(over="ignore"):
        assert np.isinf(rows.max(axis=1) - rows.min(axis=1)).all()
    wanted = np.stack([ken(row / np.float32(4), 90) for row in rows])
    for path, masks in PATHS.items():
        np.testing.assert_array_equal(masks(rows, [90] * 4, "ken"), wanted, err_msg=path)
