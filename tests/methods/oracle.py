"""The published loop, written as plainly as possible: the oracle of every path.

Density by scipy's `gaussian_kde`; distances, grid and deviation in float32; by index.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

Row = NDArray[np.float32]


def published_bandwidth(row: Row) -> float:
    return float(np.float64(1.06 * np.std(row)) * np.power(len(row), -1 / 5))


def densities(row: Row, points: NDArray[np.float32]) -> NDArray[np.float64]:
    """The row's density estimate at ``points``."""
    data = row.astype(np.float64)
    h = published_bandwidth(row)
    estimate = gaussian_kde(data, bw_method=h / np.std(data, ddof=1))
    return np.asarray(estimate(points.astype(np.float64)))


def has_density(row: Row) -> bool:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        h = published_bandwidth(row)
    return bool(np.isfinite(h) and h > 0 and row.min() < row.max())


def ken(row: Row, k: int) -> NDArray[np.bool_]:
    """What the published rule keeps of ``row``, by index."""
    keep = np.zeros(len(row), bool)
    k = min(k, len(row))
    grid = np.linspace(row.min(), row.max(), k)
    assert grid.dtype == np.float32
    levels = np.rint(densities(row, grid)) if has_density(row) else np.zeros(k)
    for j in np.argsort(-levels, kind="stable"):
        distance = np.abs(row - grid[j])
        distance[keep] = np.inf
        keep[distance.argmin()] = True
    return keep


def ken_density(row: Row, k: int) -> NDArray[np.bool_]:
    """The k entries of highest density, lowest index first among those equal to 2**-31 of the
    peak of one kernel."""
    keep = np.zeros(len(row), bool)
    if not has_density(row):
        keep[:k] = True
        return keep
    peak = 1 / (np.sqrt(2 * np.pi) * published_bandwidth(row))
    rank = np.rint(densities(row, row) / peak * 2**31)
    keep[np.argsort(-rank, kind="stable")[:k]] = True
    return keep
