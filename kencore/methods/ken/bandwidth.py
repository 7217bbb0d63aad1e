"""The numbers that every path of the KEN rule shares: bandwidth, density unit, node tables.

Plain numpy, so that the compiled, the batched and the explained path start from the same bits.

Shapes: R rows, C columns.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SQRT_TWO_PI = math.sqrt(2.0 * math.pi)
LEVEL_BITS = 32
RANK_BITS = 31
"""Bits of one kernel's peak that densities are told apart to: by ``ken`` and ``ken-density``."""
NODES_PER_BANDWIDTH = 5
NODE_BLOCK = 32
COARSE_ORDER, FINE_ORDER = 8, 24
COARSE_REACH, FINE_REACH = 32, 45
"""Steps between nodes after which a kernel is below 1e-8 and 1e-17 of its peak."""


def spread(rows: Float32) -> Float32:
    """Population standard deviation of each row, the very bits of ``np.std(row)``: float32 (R,).

    A row whose squares leave float32 gives 0 or infinity.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        deviation: Float32 = np.std(rows, axis=1, dtype=np.float32)
    return deviation


def bandwidth_from_spread(deviation: Float32, columns: int) -> Float64:
    """Bandwidth 1.06 * std * C ** (-1/5): float64 (R,), in the published order of roundings.

    Published code: ``1.06 * std`` is one float32 product, the power a float64 one. 0 where the
    deviation is 0 or not finite: such a row has no density estimate (published code crashes).
    """
    with np.errstate(over="ignore"):
        h = (np.float32(1.06) * deviation).astype(np.float64)
    h *= np.power(float(columns), -1 / 5)
    h[~np.isfinite(h)] = 0.0
    return h


def bandwidth(rows: Float32) -> Float64:
    """Bandwidth of each row's density estimate: float64 (R,), 0 for a constant row."""
    h = bandwidth_from_spread(spread(rows), rows.shape[1])
    # rounding of the mean can leave a constant row a tiny deviation
    h[rows.min(axis=1) == rows.max(axis=1)] = 0.0
    return h


def kernel_peak(h: Any) -> Any:
    """Height of one normalised kernel, 1 / (h * sqrt(2 pi)); 0 where there is no bandwidth."""
    width = np.asarray(h, np.float64)
    with np.errstate(divide="ignore"):
        return np.where(width > 0, 1.0 / (width * SQRT_TWO_PI), 0.0)


def density_unit(h: Any) -> Any:
    """What the densities of the ``ken`` rule are rounded to a multiple of: 1, as published.

    Where one kernel's peak exceeds 2**32 (std below about 4e-10) the unit is peak / 2**32:
    published code rounds to 1 there too, and so orders the visits by float64 noise.
    """
    return np.maximum(1.0, kernel_peak(h) * 2.0**-LEVEL_BITS)


def fine_unit(h: Any) -> Any:
    """What the densities of the ``ken-density`` rule are compared to: 2**-31 of a kernel's peak."""
    return kernel_peak(h) * 2.0**-RANK_BITS


def tame(rows: Float32) -> tuple[Float32, Float32]:
    """Rows whose range overflows float32 divided by 4 (published code crashes on them).

    Returns:
        The rows (the very array where none overflows) and the factor of each row, float32 (R, 1).
        A power of two changes no rounding, hence no comparison between distances.
    """
    with np.errstate(over="ignore"):
        wide = np.isinf(rows.max(axis=1) - rows.min(axis=1))
    factor = np.where(wide, np.float32(0.25), np.float32(1.0))[:, None]  # (R, 1)
    return (rows * factor if wide.any() else rows), factor


@cache
def kernel_table(reach: int) -> Float64:
    """The Gaussian kernel at 0 ... ``reach`` steps between nodes, peak 1: float64 (reach + 1,)."""
    z = np.arange(reach + 1) / NODES_PER_BANDWIDTH
    return np.exp(-0.5 * z * z)


@cache
def lagrange_table(order: int) -> Float64:
    """Coefficients of the Lagrange polynomials of ``order`` equidistant nodes: (order, order).

    Entry [p, j] belongs to power p of the j-th polynomial, the nodes being -(order-1)/2 ...
    (order-1)/2: the interval that is interpolated is [-1/2, 1/2]. Exact before rounding.
    """
    nodes = [Fraction(2 * j - order + 1, 2) for j in range(order)]
    table = np.empty((order, order))
    for j, own in enumerate(nodes):
        coefficients = [Fraction(1)]
        for other in nodes[:j] + nodes[j + 1 :]:
            # times (x - other) / (own - other)
            shifted = [Fraction(0), *coefficients]
            scaled = [other * c for c in coefficients] + [Fraction(0)]
            coefficients = [(a - b) / (own - other) for a, b in zip(shifted, scaled, strict=True)]
        table[:, j] = [float(c) for c in coefficients]
    return table


@cache
def tables() -> tuple[Float64, Float64, Float64, Float64]:
    """What the compiled density needs: weights and kernel of the coarse and the fine pass."""
    return (
        lagrange_table(COARSE_ORDER),
        kernel_table(COARSE_REACH),
        lagrange_table(FINE_ORDER),
        kernel_table(FINE_REACH),
    )
