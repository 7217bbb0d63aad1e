"""Input norms of one matrix: two curves in one order, and a difference that adds up."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts import alignment
from kencore.views import sparsity
from kencore.words.palette import DARK, LIGHT, RUNS


def draw(columns: int, noise: float = 0.3) -> alignment.Chart:
    rng = np.random.default_rng(1)
    dense = rng.lognormal(size=columns).astype(np.float32)
    sparse = dense * rng.uniform(1 - noise, 1, columns).astype(np.float32)
    return alignment.norm_curves(sparsity.alignment(dense, sparse), RUNS[0], LIGHT)


def test_both_curves_go_by_the_dense_norm_and_the_areas_are_their_difference() -> None:
    chart = draw(64)
    pruned, dense, more, less = chart.figure.data
    assert (np.diff(dense.y) <= 0).all()
    assert dense.y.sum() == pytest.approx(1, abs=1e-5)
    assert pruned.y.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(more.y + less.y, pruned.y - dense.y, atol=1e-6)
    assert (more.y >= 0).all()
    assert (less.y <= 0).all()
    np.testing.assert_array_equal(dense.customdata[:, 0], chart.data["feature"])
    assert "of the input norm to other features" in chart.finding


def test_nothing_moved_is_said() -> None:
    assert "nothing before this matrix was pruned" in draw(16, noise=0.0).finding
    assert "unchanged" in draw(16, noise=1e-6).finding


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_the_widest_layers_stay_light(palette) -> None:  # type: ignore[no-untyped-def]
    assert len(draw(28_672).figure.to_json()) < 2_000_000
