"""Row and matrix measures against direct float64 sums."""

from __future__ import annotations

import numpy as np
import pytest

from kencore.runs.measures import MatrixMeasures, row_measures, share_lost


@pytest.fixture
def weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    tuned = rng.normal(size=(40, 33)).astype(np.float32)
    base = tuned + rng.normal(scale=0.1, size=tuned.shape).astype(np.float32)
    return tuned, base, rng.random(tuned.shape) < 0.4


def test_rows(weights: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    tuned, base, keep = weights
    found = row_measures(tuned, base, keep)
    change = (tuned.astype(float) - base) ** 2
    np.testing.assert_array_equal(found["kept"], keep.sum(1))
    np.testing.assert_array_equal(found["value_max"], tuned.max(1))
    np.testing.assert_array_equal(found["value_min"], tuned.min(1))
    np.testing.assert_allclose(found["bandwidth"], 1.06 * tuned.std(1) * 33**-0.2, rtol=1e-5)
    np.testing.assert_allclose(found["diff_rms"], np.sqrt(change.mean(1)), rtol=1e-5)
    np.testing.assert_allclose(found["diff_share_kept"], (change * keep).sum(1) / change.sum(1), rtol=1e-5)


def test_a_matrix_in_parts_is_the_matrix_at_once(weights: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    tuned, base, keep = weights
    measures = MatrixMeasures()
    for part in (slice(0, 7), slice(7, 30), slice(30, 40)):
        measures.add(tuned[part], base[part], keep[part])
    found = measures.columns()
    change = (tuned.astype(float) - base) ** 2
    assert found["kept"] == keep.sum()
    assert (found["tuned_min"], found["tuned_max"]) == (tuned.min(), tuned.max())
    assert found["tuned_mean"] == pytest.approx(tuned.astype(float).mean(), rel=1e-6)
    assert found["tuned_std"] == pytest.approx(tuned.astype(float).std(), rel=1e-6)
    assert found["diff_rms"] == pytest.approx(np.sqrt(change.mean()), rel=1e-5)
    assert found["diff_share_kept"] == pytest.approx((change * keep).sum() / change.sum(), rel=1e-5)


def test_equal_models_have_no_share_of_a_difference() -> None:
    tuned = np.ones((2, 3), np.float32)
    keep = np.ones((2, 3), bool)
    assert np.isnan(row_measures(tuned, tuned, keep)["diff_share_kept"]).all()
    measures = MatrixMeasures()
    measures.add(tuned, tuned, keep)
    assert np.isnan(float(measures.columns()["diff_share_kept"]))
    assert np.isnan(float(measures.columns()["diff_lost"]))


@pytest.mark.parametrize("changed", [False, True])
def test_what_was_lost_is_the_distance_to_the_pruned_matrix(
    weights: tuple[np.ndarray, np.ndarray, np.ndarray], *, changed: bool
) -> None:
    tuned, base, keep = weights
    kept = tuned * np.float32(1.3) if changed else None
    measures = MatrixMeasures()
    parts = []
    for part in (slice(0, 7), slice(7, 40)):
        parts.append((tuned[part], base[part], keep[part], None if kept is None else kept[part]))
        measures.add(*parts[-1])
    pruned = base.astype(float).copy()
    for row, column in zip(*np.nonzero(keep), strict=True):
        pruned[row, column] = tuned[row, column] if kept is None else kept[row, column]
    wanted = ((tuned - pruned) ** 2).sum() / ((tuned.astype(float) - base) ** 2).sum()
    assert measures.columns()["diff_lost"] == pytest.approx(wanted, rel=1e-5)
    assert share_lost(parts) == pytest.approx(wanted, rel=1e-5)
    if not changed:
        assert wanted == pytest.approx(1 - measures.columns()["diff_share_kept"])
