"""Recorded outputs of the published code: 31 rows, kept by value as it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.methods.oracle import ken
from tests.methods.paths import PATHS

CASES = range(31)


@pytest.fixture(scope="module")
def recorded(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "golden" / "ken.npz") as cases:
        return dict(cases)


def test_that_no_recorded_case_is_left_out(recorded: dict[str, np.ndarray]) -> None:
    assert len(recorded["names"]) == len(CASES)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES)
def test_recorded_rows(recorded: dict[str, np.ndarray], case: int, path: str) -> None:
    row, by_value, k = recorded[f"row_{case:02d}"], recorded[f"keep_{case:02d}"], recorded["k"]
    keep = PATHS[path](row[None, :], [int(k[case])], "ken")[0]
    assert keep.sum() == k[case]
    # published code keeps every copy of a taken value, and loses a taken 0.0
    np.testing.assert_array_equal(np.isin(row, row[keep]) & (row != 0), by_value)
    if len(np.unique(row)) == len(row) and (row != 0).all():
        np.testing.assert_array_equal(keep, by_value)


@pytest.mark.parametrize("case", CASES)
def test_the_oracle_of_the_other_tests(recorded: dict[str, np.ndarray], case: int) -> None:
    row, by_value = recorded[f"row_{case:02d}"], recorded[f"keep_{case:02d}"]
    keep = ken(row, int(recorded["k"][case]))
    np.testing.assert_array_equal(np.isin(row, row[keep]) & (row != 0), by_value)
