"""One row's selection, explained: plain numpy and written out step by step, as published.

Runs where the pictures are drawn (no compiler, no torch) and is the reading copy of the rules
``ken`` and ``ken-density``: the fast paths give the same masks.

Shapes: C columns, K = min(k, C) grid points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import ShapeError, SpecError
from kencore.methods.checks import check_finite, check_float32, check_matrix, checked_budget
from kencore.methods.ken.bandwidth import SQRT_TWO_PI, Float32, Float64, bandwidth, density_unit, fine_unit, tame
from kencore.methods.table import METHODS

CURVE_REACH = 3.0  # bandwidths beyond the row's ends
NEAR = 9.0  # bandwidths; what lies further adds less than float64 can hold
BLOCK = 1 << 16  # pairs of a point and a value at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowExplanation:
    """What a rule made of one row. All lengths are in the weights' own unit.

    Attributes:
        rule: ``ken`` or ``ken-density``.
        k: entries kept, min(k, C).
        bandwidth: of the density estimate; 0 for a row without one (constant, or of squares
            that leave float32).
        curve_x, curve_y: float64 (P,), the density estimate as a curve; empty without one.
        grid: float32 (K,), the evenly spaced points; empty for ``ken-density``, as are the next
            four.
        grid_density: float64 (K,), the density at the grid points.
        level: int64 (K,), the density rounded to a whole number: it orders the visits.
        order: int64 (K,), the grid points as visited, by falling level, ties left to right.
        taken: int64 (K,), the column that each grid point (in grid order) took.
        entry_density: float64 (C,), the density at each entry.
        keep: bool (C,), the mask.
    """

    rule: str
    k: int
    bandwidth: float
    curve_x: Float64
    curve_y: Float64
    grid: Float32
    grid_density: Float64
    level: NDArray[np.int64]
    order: NDArray[np.int64]
    taken: NDArray[np.int64]
    entry_density: Float64
    keep: NDArray[np.bool_]


def explain_row(
    row: NDArray[Any], k: int, rule: str = "ken", *, curve_points: int = 256, name: str = "row"
) -> RowExplanation:
    """How ``rule`` chooses min(k, C) entries of ``row``.

    Args:
        row: floating (C,); rounded to float32.
        k: entries to keep, 1 or more.
        rule: ``ken`` or ``ken-density``.
        curve_points: of the density curve, from 3 bandwidths below the row to 3 above.

    Raises:
        ShapeError: not one row with entries.
        SpecError: k below 1 or not whole, or another rule.
        NonFiniteWeightError: a NaN or infinity in the row.
    """
    if rule not in METHODS or not METHODS[rule].density:
        drawn = ", ".join(row.name for row in METHODS.values() if row.density)
        raise SpecError("rule", got=repr(rule), wanted=f"one of {drawn}", remedy="Choose one of these.")
    tamed, factor = tame(_one_row(row, name)[None, :])  # (1, C)
    values, h = tamed[0], float(bandwidth(tamed)[0])
    k = int(checked_budget(k, 1, len(values))[0])
    curve_x, curve_y = density_curve(values, h, curve_points)
    if rule == "ken":
        steps = _ken_steps(values, k, h)
        steps["grid"] = steps["grid"] / factor[0]
    else:
        steps = _density_steps(values, k, h)
    keep = np.zeros(len(values), np.bool_)
    keep[steps.pop("kept")] = True
    return RowExplanation(rule=rule, k=k, bandwidth=h, curve_x=curve_x, curve_y=curve_y, keep=keep, **steps)


def _ken_steps(values: Float32, k: int, h: float) -> dict[str, NDArray[Any]]:
    """Grid, densities, visits: the published rule."""
    grid = np.linspace(values.min(), values.max(), k)  # float32 (K,)
    grid_density = density(values, grid, h)
    level = np.rint(grid_density / density_unit(h)).astype(np.int64)
    order = np.argsort(-level, kind="stable")
    taken = take_nearest(values, grid, order)
    return {
        "grid": grid,
        "grid_density": grid_density,
        "level": level,
        "order": order,
        "taken": taken,
        "entry_density": np.empty(0),
        "kept": taken,
    }


def _density_steps(values: Float32, k: int, h: float) -> dict[str, NDArray[Any]]:
    """The densest entries: the rule in the paper's words."""
    entry_density = density(values, values, h)
    level = np.rint(entry_density / fine_unit(h)) if h > 0 else np.zeros(len(values))
    none = np.empty(0, np.int64)
    return {
        "grid": np.empty(0, np.float32),
        "grid_density": np.empty(0),
        "level": none,
        "order": none,
        "taken": none,
        "entry_density": entry_density,
        "kept": np.argsort(-level, kind="stable")[:k],
    }


def take_nearest(values: Float32, grid: Float32, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The column that each grid point takes, visited in ``order``: int64 (K,).

    The nearest value not yet taken by float32 distance, the lowest column among equals.
    """
    taken = np.empty(len(grid), np.int64)
    free = values.copy()
    for point in order:
        taken[point] = np.abs(free - grid[point]).argmin()
        free[taken[point]] = np.inf
    return taken


def density(values: Float32, points: NDArray[Any], h: float) -> Float64:
    """Gaussian density estimate of ``values`` (C,) at ``points`` (K,): float64 (K,).

    The plain sum over the values; 0 everywhere without a bandwidth.
    """
    if h == 0.0:
        return np.zeros(len(points))
    data, counts = np.unique(values.astype(np.float64), return_counts=True)
    copies = counts.astype(np.float64)
    at, back = np.unique(points.astype(np.float64), return_inverse=True)
    sums = np.empty(len(at))
    rows = max(1, BLOCK // len(data))
    for first in range(0, len(at), rows):
        block = at[first : first + rows]
        near = slice(*np.searchsorted(data, [block[0] - NEAR * h, block[-1] + NEAR * h]))
        z = block[:, None] - data[near]  # (rows, distinct values nearby)
        z /= h
        z *= z
        z *= -0.5
        sums[first : first + rows] = np.exp(z, out=z) @ copies[near]
    found: Float64 = sums[back] / (len(values) * h * SQRT_TWO_PI)
    return found


def density_curve(values: Float32, h: float, points: int = 256) -> tuple[Float64, Float64]:
    """The density estimate from 3 bandwidths below the row to 3 above: float64 (P,), (P,)."""
    if h == 0.0:
        return np.empty(0), np.empty(0)
    reach = CURVE_REACH * h
    x = np.linspace(float(values.min()) - reach, float(values.max()) + reach, points)
    return x, density(values, x, h)


def _one_row(row: NDArray[Any], name: str) -> Float32:
    check_matrix(row.shape, row.dtype, floating=row.dtype.kind == "f", ranks=(1,), name=name)
    if row.size == 0:
        raise ShapeError(name, got="a row without weights", wanted="one row (C,)", remedy="Pass a row of weights.")
    check_finite(row[None, :], 0, name)
    with np.errstate(over="ignore"):
        rounded = row.astype(np.float32)
    check_float32(rounded[None, :], 0, name)
    return rounded
