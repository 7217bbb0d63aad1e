"""Compiled: the KEN rule over sorted rows, from the densities at the nodes to the keep mask.

Shapes: R rows, C columns; the nodes of all rows lie end to end in one array.
"""

from __future__ import annotations

import numpy as np

from kencore.methods.compiled import compiled, inlined
from kencore.methods.ken.bandwidth import COARSE_ORDER, FINE_ORDER, FINE_REACH, NODE_BLOCK, RANK_BITS
from kencore.methods.ken.kernels_density import density_levels, node_count, node_densities
from kencore.methods.ken.kernels_visits import (
    DIGIT,
    distinct_values,
    fill_grid,
    positions,
    take_nearest,
    visiting_order,
)

ROWS, ORDER, FLOATS, COUNTS = "float32[:, ::1]", "int32[:, ::1]", "float64[::1]", "int64[::1]"
TABLES = "Tuple((float64[:, ::1], float64[::1], float64[:, ::1], float64[::1]))"


@compiled(f"int64({ROWS}, {FLOATS}, {COUNTS})")
def node_offsets(values, h, offsets):  # type: ignore[no-untyped-def]
    """Where each sorted row's coarse nodes begin, into ``offsets`` (R + 1,); the most of a row."""
    widest, last = 0, values.shape[1] - 1
    offsets[0] = 0
    for r in range(values.shape[0]):
        m = 0
        if h[r] > 0.0:
            m = node_count(np.float64(values[r, 0]), np.float64(values[r, last]), h[r], COARSE_ORDER)
        offsets[r + 1] = offsets[r] + m
        widest = max(widest, m)
    return widest


@inlined
def work_arrays(widest):  # type: ignore[no-untyped-def]
    """What `density_levels` works in, for at most ``widest`` coarse nodes."""
    m = widest + NODE_BLOCK  # the fine order can need a block more
    sums = np.empty(m + FINE_ORDER)
    return sums, np.empty(m + 2 * FINE_REACH + FINE_ORDER), np.empty(m * (FINE_ORDER + 1))


@compiled(f"{FLOATS}({ROWS}, {FLOATS}, {COUNTS}, int64, {TABLES})")
def coarse_nodes(values, h, offsets, widest, tables):  # type: ignore[no-untyped-def]
    """Sums of kernels at the coarse nodes of all sorted rows: float64 (offsets[R],)."""
    nodes = np.empty(offsets[-1])
    _, shares, moments = work_arrays(widest)
    for r in range(values.shape[0]):
        own = nodes[offsets[r] : offsets[r + 1]]
        if own.size > 0:
            node_densities(values[r], h[r], tables[0], tables[1], own, (shares, moments))
    return nodes


@compiled(f"void({ROWS}, {ORDER}, {FLOATS}, {FLOATS}, {COUNTS}, int64, {FLOATS}, {COUNTS}, {TABLES}, bool[:, ::1])")
def keep_sorted(values, order, h, unit, offsets, widest, nodes, budget, tables, keep):  # type: ignore[no-untyped-def]
    """Set ``keep`` (R, C) where the KEN rule keeps an entry.

    Args:
        values, order: float32 and int32 (R, C), each row sorted, and the columns it came from.
        h, unit: float64 (R,), bandwidth and density unit.
        offsets, widest, nodes: where the coarse nodes of each row lie, the most of them in a
            row, and what `coarse_nodes` made of the same rows.
        budget: int64 (R,), entries to keep in each row, 1 <= budget <= C.
        tables: what `bandwidth.tables` holds.
    """
    rows, columns = values.shape
    most = 0
    for k in budget:
        most = max(most, k)
    grid, levels = np.empty(most, np.float32), np.zeros(most, np.int64)
    at, visits, spare = np.empty((3, most), np.uint32)
    counts = np.empty((1 << DIGIT) + 1, np.int64)
    distinct, starts = np.empty(columns + 2, np.float32), np.zeros(columns + 2, np.uint32)
    links = np.empty((3, columns + 2), np.uint32)
    room = work_arrays(widest)
    for r in range(rows):
        k, row = budget[r], values[r]
        if k == columns:
            keep[r] = True
            continue
        own = grid[:k]
        fill_grid(row[0], row[columns - 1], own)
        levels[:k] = 0
        if h[r] > 0.0:
            coarse = nodes[offsets[r] : offsets[r + 1]]
            density_levels(own, row, h[r], unit[r], coarse, tables, room, levels[:k])
        visiting_order(levels[:k], visits[:k], spare, counts)
        end = distinct_values(row, distinct, starts) + 2
        positions(distinct[:end], own, at[:k])
        take_nearest(distinct[:end], starts, order[r], own, at, visits[:k], (links[0], links[1], links[2]), keep[r])


@compiled(f"void({ROWS}, {ORDER}, {FLOATS}, {FLOATS}, int64, {TABLES}, uint32[:, ::1])")
def density_ranks(values, order, h, unit, widest, tables, ranks):  # type: ignore[no-untyped-def]
    """Rank of each entry by falling density in units of ``unit`` (R,), into ``ranks`` (R, C)."""
    rows, columns = values.shape
    levels, nothing = np.empty(columns, np.int64), np.empty(0)
    room = work_arrays(widest)
    for r in range(rows):
        if h[r] > 0.0:
            density_levels(values[r], values[r], h[r], unit[r], nothing, tables, room, levels)
            for i in range(columns):
                ranks[r, order[r, i]] = (1 << RANK_BITS) - levels[i]
