"""Compiled: the density of a sorted row, to the nearest level, without an exponential per pair.

The row is shared out to nodes ``h / 5`` apart with Lagrange weights (so that the kernel between
nodes is one table for every row), convolved with that table, and interpolated at the points
asked for. Both interpolations together are off by at most a known share of one kernel's peak; a
point whose density lies within that bound of the middle between two levels is computed directly.

Shapes: C columns, K points, M nodes (whole blocks of 32, so that loops over them have no
remainder), P order of the interpolation.
"""

from __future__ import annotations

import math

import numpy as np

from kencore.methods.compiled import inlined
from kencore.methods.ken.bandwidth import NODE_BLOCK, NODES_PER_BANDWIDTH, SQRT_TWO_PI

# Interpolation error of the kernel (order 8: 2.7e-7, order 24: 2e-14 of its peak), times one
# plus the sum of the weights' sizes (2.5, 2.9); the rest is the table's end and float64 rounding.
COARSE_BOUND, FINE_BOUND = 7.5e-7, 2e-13
COARSE_ENOUGH = 0.05  # levels: with a wider bound the fine pass comes first
HALF_CELL = 0.5 + 1e-9  # from a cell's middle to its ends, and what rounding adds
REACH = 9.0  # bandwidths: a kernel is then 2.6e-18 of its peak
FEW = 3  # points computed directly before a fine pass is the cheaper way


@inlined
def node_count(lo, hi, h, order):  # type: ignore[no-untyped-def]
    """Nodes that values from ``lo`` to ``hi`` are shared out to: M."""
    cells = int((hi - lo) * (NODES_PER_BANDWIDTH / h)) + 1
    return (cells + order + NODE_BLOCK - 1) // NODE_BLOCK * NODE_BLOCK


@inlined
def node_densities(values, h, weights, kernel, nodes, room):  # type: ignore[no-untyped-def]
    """Sum of kernels of peak 1 over the sorted ``values`` at each node, into ``nodes`` (M,).

    Node m stands ``m + 1 - P / 2`` steps of ``h / 5`` above the lowest value. ``room`` are work
    arrays: of M + 2 * reach + P, and of M * P.
    """
    m, order, reach = nodes.size, weights.shape[0], kernel.size - 1
    moments = room[1][: order * m].reshape((order, m))
    cell_moments(values, h, moments)
    shares = room[0][: m + 2 * reach + order]
    shares[:] = 0.0
    for p in range(order):
        own = moments[p]
        for j in range(order):
            weight, shifted = weights[p, j], shares[reach + j :]
            for c in range(m):
                shifted[c] += weight * own[c]
    for i in range(m):
        nodes[i] = shares[reach + i]
    for t in range(1, reach + 1):
        height, below, above = kernel[t], shares[reach - t :], shares[reach + t :]
        for i in range(m):
            nodes[i] += height * (below[i] + above[i])


@inlined
def cell_moments(values, h, moments):  # type: ignore[no-untyped-def]
    """Sums of the powers 0 ... P-1 of the values of each cell, from its middle: (P, M).

    Sorted values of one cell are neighbours; eight sums at a time stay in registers.
    """
    lo, per_step = np.float64(values[0]), NODES_PER_BANDWIDTH / h
    moments[:] = 0.0
    first = 0
    while first < values.size:
        cell = int((np.float64(values[first]) - lo) * per_step)
        last = first + 1
        while last < values.size and (np.float64(values[last]) - lo) * per_step < cell + 1:
            last += 1
        for block in range(moments.shape[0] // 8):
            s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(first, last):
                f = (np.float64(values[i]) - lo) * per_step - cell - 0.5
                f2 = f * f
                f4 = f2 * f2
                base = 1.0
                for _ in range(block):
                    base *= f4 * f4
                odd = base * f
                s0, s1 = s0 + base, s1 + odd
                s2, s3 = s2 + base * f2, s3 + odd * f2
                base, odd = base * f4, odd * f4
                s4, s5 = s4 + base, s5 + odd
                s6, s7 = s6 + base * f2, s7 + odd * f2
            own = moments[8 * block : 8 * block + 8, cell]
            own[0], own[1], own[2], own[3] = s0, s1, s2, s3
            own[4], own[5], own[6], own[7] = s4, s5, s6, s7
        first = last


@inlined
def interpolate(points, values, h, nodes, weights, bound, levels, room):  # type: ignore[no-untyped-def]
    """Level of each point by interpolation, into ``levels`` (K,); -1 where it is in doubt.

    ``nodes`` are in levels and followed by P zeros, ``room`` holds M * (P + 1). Returns how many
    points are in doubt.
    """
    lo, per_step = np.float64(values[0]), NODES_PER_BANDWIDTH / h
    order = weights.shape[0]
    m = nodes.size - order
    polynomials = room[: order * m].reshape((order, m))
    for p in range(order):
        own = polynomials[p]
        own[:] = 0.0
        for j in range(order):
            weight, shifted = weights[p, j], nodes[j:]
            for c in range(m):
                own[c] += weight * shifted[c]
    flat = room[order * m : order * m + m]
    _flat_levels(polynomials, bound, flat)
    doubts = 0
    for i in range(points.size):
        u = (np.float64(points[i]) - lo) * per_step
        c = min(int(u), m - 1)  # nodes reach beyond the row: rounding can put a point there
        if flat[c] >= 0.0:
            levels[i] = int(flat[c])
            continue
        f = u - c - 0.5
        density = polynomials[order - 1, c]
        for p in range(order - 2, -1, -1):
            density = density * f + polynomials[p, c]
        level = np.floor(density + 0.5)
        levels[i] = int(level)
        if abs(density - level) >= 0.5 - bound:
            levels[i] = -1
            doubts += 1
    return doubts


@inlined
def _flat_levels(polynomials, bound, flat):  # type: ignore[no-untyped-def]
    """The level that all points of a cell have for certain, else -1, into ``flat`` (M,)."""
    order, m = polynomials.shape
    flat[:] = 0.0
    for p in range(order - 1, 0, -1):
        own = polynomials[p]
        for c in range(m):
            flat[c] = (flat[c] + abs(own[c])) * HALF_CELL
    for c in range(m):
        level = np.floor(polynomials[0, c] + 0.5)
        sure = abs(polynomials[0, c] - level) + flat[c] < 0.5 - bound
        flat[c] = level if sure else -1.0


@inlined
def settle(points, values, h, scale, levels):  # type: ignore[no-untyped-def]
    """Levels still in doubt (-1), by the sum in float64 over the sorted values that reach them."""
    for i in range(points.size):
        if levels[i] < 0:
            point, total = np.float64(points[i]), 0.0
            first = np.searchsorted(values, point - REACH * h)
            last = np.searchsorted(values, point + REACH * h)
            for v in range(first, last):
                z = (point - values[v]) / h
                total += math.exp(-0.5 * z * z)
            levels[i] = int(np.rint(total * scale))


@inlined
def density_levels(points, values, h, unit, coarse, tables, room, levels):  # type: ignore[no-untyped-def]
    """Density of the sorted ``values`` at ``points`` in whole ``unit``s, into ``levels`` (K,).

    Args:
        coarse: sums at the coarse nodes (M,); empty to begin with the fine ones.
        tables: coarse weights, coarse kernel, fine weights, fine kernel.
        room: float64 work arrays: of M + P, of M + 2 * reach + P, of M * (P + 1).
    """
    coarse_weights, _, fine_weights, fine_kernel = tables
    peak = 1.0 / (h * SQRT_TWO_PI * unit)  # of one kernel, in levels
    scale = peak / values.size
    doubts = points.size
    levels[:] = -1
    if coarse.size > 0 and COARSE_BOUND * peak < COARSE_ENOUGH:
        nodes = _in_levels(coarse, scale, coarse_weights.shape[0], room[0])
        bound = COARSE_BOUND * peak
        doubts = interpolate(points, values, h, nodes, coarse_weights, bound, levels, room[2])
    if doubts > FEW:
        order = fine_weights.shape[0]
        m = node_count(np.float64(values[0]), np.float64(values[-1]), h, order)
        nodes = room[0][:m]
        node_densities(values, h, fine_weights, fine_kernel, nodes, (room[1], room[2]))
        nodes = _in_levels(nodes, scale, order, room[0])
        bound = FINE_BOUND * peak
        interpolate(points, values, h, nodes, fine_weights, bound, levels, room[2])
    settle(points, values, h, scale, levels)


@inlined
def _in_levels(nodes, scale, order, room):  # type: ignore[no-untyped-def]
    m = nodes.size
    for i in range(m):
        room[i] = nodes[i] * scale
    for i in range(m, m + order):
        room[i] = 0.0
    return room[: m + order]
