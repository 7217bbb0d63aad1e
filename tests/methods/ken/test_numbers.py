"""The numbers under the rules: bandwidth bits, grids, densities to the level, orders of visit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kencore.methods.ken import bandwidth as numbers
from kencore.methods.ken import cuda as batched_kde
from kencore.methods.ken import kernels as kernels_ken
from kencore.methods.ken import kernels_density as kernels_kde
from kencore.methods.ken import kernels_visits as kernels_greedy
from kencore.methods.keys import sorted_rows
from tests.methods.oracle import densities, published_bandwidth
from tests.methods.rows_of import KINDS, rows_of


@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 127, 128, 129, 136, 300, 768, 1023, 4096])
def test_bandwidths_have_the_published_bits(columns: int) -> None:
    scales = 10.0 ** np.random.default_rng(columns).uniform(-6, 3, size=(40, 1))
    rows = (rows_of("normal", columns, 40, columns) * scales + scales[::-1]).astype(np.float32)
    h = numbers.bandwidth(rows)
    wanted = [0.0 if np.ptp(row) == 0 else published_bandwidth(row) for row in rows]
    np.testing.assert_array_equal(h, wanted)
    np.testing.assert_array_equal(batched_kde.bandwidth(torch.from_numpy(rows)), h)


def test_rows_without_a_bandwidth() -> None:
    rows = np.array([[1, 1, 1], [1e-30, 0, 2e-30], [1e30, 0, 2e30], [0.1, 0.1, 0.1]], np.float32)
    assert numbers.bandwidth(rows).tolist() == [0, 0, 0, 0]
    assert batched_kde.bandwidth(torch.from_numpy(rows)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 2, 3, 10, 257])
def test_grids_have_the_bits_of_numpy(kind: str, k: int) -> None:
    rows, _ = numbers.tame(rows_of(kind, k, 6, 40))
    lo, hi = rows.min(axis=1), rows.max(axis=1)
    batched = batched_kde.linspace(torch.from_numpy(lo), torch.from_numpy(hi), torch.full((6,), k)).numpy()
    for r in range(6):
        wanted = np.linspace(lo[r], hi[r], k)
        grid = np.empty(k, np.float32)
        kernels_greedy.fill_grid(lo[r], hi[r], grid)
        np.testing.assert_array_equal(grid, wanted)
        np.testing.assert_array_equal(batched[r], wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_sorted_stably(kind: str) -> None:
    rows = rows_of(kind, 15, 5, 120)
    values, columns = sorted_rows(rows)
    order = np.argsort(rows, axis=1, kind="stable")  # -0.0 equals 0.0
    np.testing.assert_array_equal(columns, order)
    np.testing.assert_array_equal(values, np.take_along_axis(rows, order, axis=1))
    assert not np.signbit(values[values == 0]).any()


@pytest.mark.parametrize("order", [numbers.COARSE_ORDER, numbers.FINE_ORDER])
def test_interpolation_of_the_kernel_is_within_half_its_bound(order: int) -> None:
    """Two interpolations share the bound, the second weighted: each may use a third of it."""
    table = numbers.lagrange_table(order)
    nodes = np.arange(order) - (order - 1) / 2
    at = np.linspace(-0.5, 0.5, 101)
    weights = np.vander(at, order, increasing=True) @ table
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-14)
    bound = {8: kernels_kde.COARSE_BOUND, 24: kernels_kde.FINE_BOUND}[order]
    errors = []
    for centre in np.linspace(0, 6, 121):
        z_nodes, z = nodes / numbers.NODES_PER_BANDWIDTH, at / numbers.NODES_PER_BANDWIDTH
        kernel = np.exp(-0.5 * (z_nodes - centre) ** 2)
        errors.append(np.abs(weights @ kernel - np.exp(-0.5 * (z - centre) ** 2)).max())
    assert max(errors) * (1 + np.abs(weights).sum(axis=1).max()) < bound


@pytest.mark.parametrize("start", ["coarse nodes", "fine nodes"])
@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e-6, 1e-3, 0.04, 10.0])
def test_levels_are_those_of_the_direct_sum(scale: float, start: str) -> None:
    """Few points and many, so that the direct sum, the coarse and the fine pass all decide."""
    for kind in ("normal", "t3", "one outlier", "few levels"):
        row = rows_of(kind, 16, 1, 400) / np.float32(0.04) * np.float32(scale)
        values, _ = sorted_rows(row)
        h = numbers.bandwidth(row)
        unit = numbers.density_unit(h)
        offsets = np.empty(2, np.int64)
        widest = kernels_ken.node_offsets(values, h, offsets)
        coarse = kernels_ken.coarse_nodes(values, h, offsets, widest, numbers.tables())
        if start == "fine nodes":
            coarse = coarse[:0]
        room = kernels_ken.work_arrays(widest)
        for k in (1, 2, 3, 4, 300):
            points = np.linspace(row.min(), row.max(), k)
            levels = np.full(k, 12345)
            kernels_kde.density_levels(points, values[0], h[0], unit[0], coarse, numbers.tables(), room, levels)
            z = (points[:, None].astype(np.float64) - values[0].astype(np.float64)) / h[0]
            direct = np.exp(-0.5 * z * z).sum(axis=1) / (400 * h[0] * np.sqrt(2 * np.pi) * unit[0])
            # the oracle has rounding errors of its own: nearest, or within them of the middle
            assert np.abs(levels - direct).max() <= 0.5 + 1e-14 * direct.max()


@pytest.mark.parametrize("top", [0, 1, 5, 2047, 2048, 10**6, 2**32])
def test_visits_fall_by_level_and_go_left_to_right(top: int) -> None:
    levels = np.random.default_rng(top).integers(0, top + 1, size=1000)
    visits, spare = np.empty((2, 1000), np.int32)
    counts = np.empty((1 << kernels_greedy.DIGIT) + 1, np.int64)
    kernels_greedy.visiting_order(levels.copy(), visits, spare, counts)
    np.testing.assert_array_equal(visits, np.argsort(-levels, kind="stable"))


def test_nodes_stay_few_for_any_variance() -> None:
    """The deviation bounds the range, also where its squares are subnormal: no huge node array."""
    generator = np.random.default_rng(0)
    for columns in (2, 10, 300, 3072):
        for exponent in np.linspace(-24, -18, 61):
            rows = np.zeros((3, columns), np.float32)
            rows[0, 0] = 10.0**exponent
            rows[1, : columns // 2] = 10.0**exponent
            rows[2] = generator.normal(size=columns) * 10.0**exponent
            rows[2, -1] *= 30
            values, _ = sorted_rows(rows)
            widest = kernels_ken.node_offsets(values, numbers.bandwidth(rows), np.empty(4, np.int64))
            assert widest <= 100 + 20 * np.sqrt(columns) * columns**0.2


def test_positions_follow_a_grid_that_steps_back() -> None:
    """Rounding can do that to a float32 grid of very many points."""
    distinct = np.array([-np.inf, -1, 0, 0.5, 2, np.inf], np.float32)
    grid = np.array([-2, -1, -0.5, 0.6, 0.5, 0.4, 2, 3, 1.9], np.float32)
    at = np.empty(grid.size, np.int32)
    kernels_greedy.positions(distinct, grid, at)
    np.testing.assert_array_equal(at, np.searchsorted(distinct, grid))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 2, 3, 40, 399])
def test_positions_are_those_of_a_binary_search(kind: str, k: int) -> None:
    rows, _ = numbers.tame(rows_of(kind, k, 6, 400))
    for row in rows:
        distinct = np.concatenate(([-np.inf], np.unique(row), [np.inf])).astype(np.float32)
        grid = np.linspace(row.min(), row.max(), k, dtype=np.float32)
        at = np.empty(k, np.uint32)
        kernels_greedy.positions(distinct, grid, at)
        np.testing.assert_array_equal(at, np.searchsorted(distinct, grid))


@pytest.mark.parametrize("spread", [1e-3, 0.05, 1.0])
def test_points_in_doubt_are_settled_by_the_values_that_reach_them(spread: float) -> None:
    values = np.sort(rows_of("t3", 3, 1, 3000)[0])
    points = np.concatenate((values[::500], [values[0] - 8 * spread, values[-1] + 9.5 * spread]))
    levels = np.full(len(points), -1)
    levels[1] = 77  # in no doubt
    kernels_kde.settle(points, values, spread, 1e3, levels)
    z = (points[:, None].astype(np.float64) - values.astype(np.float64)) / spread
    wanted = np.rint(np.exp(-0.5 * z * z).sum(axis=1) * 1e3)
    wanted[1] = 77
    np.testing.assert_array_equal(levels, wanted)


def test_levels_of_points_beyond_the_row() -> None:
    row = rows_of("normal", 17, 1, 300)
    values, _ = sorted_rows(row)
    h = numbers.bandwidth(row)
    offsets = np.empty(2, np.int64)
    widest = kernels_ken.node_offsets(values, h, offsets)
    coarse = kernels_ken.coarse_nodes(values, h, offsets, widest, numbers.tables())
    points = (row.max() + h[0] * np.linspace(0, 1.5, 30)).astype(np.float32)
    levels = np.empty(30, np.int64)
    room = kernels_ken.work_arrays(widest)
    kernels_kde.density_levels(points, values[0], h[0], 0.01, coarse, numbers.tables(), room, levels)
    np.testing.assert_array_equal(levels, np.rint(densities(row[0], points) / 0.01))
    assert levels[0] > levels[-1]
