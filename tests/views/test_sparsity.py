"""How sparsity is spread: sums against brute force, densities, searches, alignment."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore.views import sparsity


def line(name: str, block: int | None, role: str, **rest: object) -> dict[str, object]:
    return {
        "name": name,
        "block": block,
        "stack": "blocks",
        "role": role,
        "rows": 4,
        "cols": 5,
        "params": 20,
        "status": "pruned",
        "kept": 10,
        "target_keep": 0.5,
    } | rest


@pytest.fixture
def matrices() -> pd.DataFrame:
    return pd.DataFrame(
        [
            line("embed", None, "embedding", params=100, kept=0),
            line("0.o", 0, "o", kept=4, target_keep=0.21),
            line("0.q", 0, "q", params=60, kept=30),
            line("0.norm", 0, "norm", rows=1, params=5, kept=5, status="untouched", target_keep=math.nan),
            line("1.q", 1, "q", kept=16, target_keep=0.8),
            line("1.o", 1, "o", kept=20, status="untouched"),
        ]
    )


def test_blocks_sum_what_was_pruned_in_them(matrices: pd.DataFrame) -> None:
    table = sparsity.by_block(matrices)
    assert table["block"].tolist() == [0, 1]
    assert table["params"].tolist() == [80, 20]
    assert table["kept"].tolist() == [34, 16]
    assert table["matrices"].tolist() == [2, 1]
    np.testing.assert_allclose(table["sparsity"], [1 - 34 / 80, 0.2])
    np.testing.assert_allclose(table["target"], [1 - (0.21 * 20 + 0.5 * 60) / 80, 0.2])


def test_blocks_without_targets_have_none(matrices: pd.DataFrame) -> None:
    assert sparsity.by_block(matrices.drop(columns="target_keep"))["target"].isna().all()


def test_roles_come_in_the_order_of_pictures(matrices: pd.DataFrame) -> None:
    table = sparsity.by_block_and_role(matrices)
    assert list(zip(table["role"], table["block"], strict=True)) == [("q", 0), ("q", 1), ("o", 0)]
    assert table["name"].tolist() == ["0.q", "1.q", "0.o"]
    assert not sparsity.same_in_a_block(table)
    assert not sparsity.alike(table)
    assert sparsity.same_in_a_block(table[table["role"] == "q"])


def test_what_rounding_alone_does_is_no_difference(matrices: pd.DataFrame) -> None:
    table = sparsity.by_block(matrices).assign(sparsity=[0.69, 0.71])
    assert table["cols"].tolist() == [5, 5]
    assert sparsity.alike(table.assign(cols=50))
    assert not sparsity.alike(table.assign(cols=51))
    assert sparsity.alike(table[:0])


def test_vectors_alone_are_shown(matrices: pd.DataFrame) -> None:
    vectors = matrices.assign(rows=1)
    assert len(sparsity.by_block_and_role(vectors)) == 3
    outside = matrices[matrices["block"].isna()]
    assert sparsity.by_block_and_role(outside).empty
    assert sparsity.same_in_a_block(sparsity.by_block_and_role(outside))


def test_the_exact_sparsity_counts_pruned_matrices_only(matrices: pd.DataFrame) -> None:
    assert sparsity.overall(matrices) == (150, 200)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_a_spread_holds_its_rows(kept: list[int]) -> None:
    found = sparsity.spread(np.array(kept, np.int32), 50)
    shares = sorted(1 - count / 50 for count in kept)
    assert (found.low, found.high) == pytest.approx((shares[0], shares[-1]))
    assert found.low <= found.lower <= found.middle <= found.upper <= found.high
    assert found.even == (max(kept) - min(kept) <= 1)
    if not found.even:
        assert len(found.grid) == len(found.density) == sparsity.POINTS
        assert found.density.max() == 1
        assert found.density.min() >= 0
        assert found.grid[[0, -1]].tolist() == [found.low, found.high]


def test_a_density_peaks_where_most_rows_are() -> None:
    kept = np.array([20] * 90 + [80] * 10)
    found = sparsity.spread(kept, 100)
    assert found.grid[found.density.argmax()] == pytest.approx(0.8, abs=0.02)
    second = found.density[found.grid < 0.5].max()
    assert second == pytest.approx(1 / 9, rel=0.15)


def test_flatness_of_a_search() -> None:
    found = sparsity.flatness([0.01, 0.02, 0.05, 0.1], [2.0, 1.0, 1.005, 1.5])
    assert found == sparsity.Flatness(
        best=0.02, second=0.05, margin=pytest.approx(0.005), worst=pytest.approx(1.0), near=2, total=4
    )


def test_flatness_of_searches_without_a_choice() -> None:
    assert sparsity.flatness([], []) is None
    assert sparsity.flatness([0.1], [float("nan")]) is None
    one = sparsity.flatness([0.1], [3.0])
    assert one is not None
    assert math.isnan(one.margin)
    assert (one.near, one.total) == (1, 1)
    zero = sparsity.flatness([0.1, 0.2], [0.0, 0.0])
    assert zero is not None
    assert (zero.best, zero.near) == (0.1, 2)  # the first on ties
    assert math.isnan(zero.margin)


def test_alignment_by_hand() -> None:
    found = sparsity.alignment(np.array([1.0, 3.0, 0.0]), np.array([2.0, 1.0, 1.0]))
    assert found.order.tolist() == [1, 0, 2]
    assert found.dense.tolist() == [0.75, 0.25, 0]
    assert found.sparse.tolist() == [0.25, 0.5, 0.25]
    assert found.moved == pytest.approx(0.5)
    assert found.cost == pytest.approx(math.sqrt(0.25 + 0.0625 + 0.0625) / 3)


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_equal_norms_are_aligned_whatever_their_size(columns: int, seed: int) -> None:
    norms = np.random.default_rng(seed).exponential(size=columns).astype(np.float32)
    found = sparsity.alignment(norms, norms * 8)
    assert found.moved == pytest.approx(0, abs=1e-12)
    assert sorted(found.order) == list(range(columns))
    assert (np.diff(found.dense) <= 0).all()


def test_norms_that_are_all_zero_are_no_fault() -> None:
    found = sparsity.alignment(np.zeros(4), np.ones(4))
    assert found.dense.tolist() == [0, 0, 0, 0]
    assert found.moved == pytest.approx(0.5)


def test_what_cannot_be_compared() -> None:
    first = {"task": "language", "data_sha256": "a", "window": 128, "windows": 30}
    assert sparsity.why_not_comparable(first, dict(first)) is None
    assert sparsity.why_not_comparable(first, first | {"data_sha256": "b"}) == "other data"
    assert sparsity.why_not_comparable(first, first | {"window": 64}) == "another window"
    assert "number of windows" in str(sparsity.why_not_comparable(first, first | {"windows": 9}))
    classes = {"data_sha256": "a", "examples": 400}
    assert sparsity.why_not_comparable(first, classes) == "another task"
    assert "examples" in str(sparsity.why_not_comparable(classes, classes | {"examples": 9}))
