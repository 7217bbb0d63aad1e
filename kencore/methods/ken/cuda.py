"""The rules on tensors of any device, many rows at once: what a CUDA device runs.

The same masks as the compiled path: deviation, grid and distances take the same float32
roundings, densities are summed directly. Exact by brute force: one ``argmin`` per grid point
over all rows of a batch.

Shapes: R rows of a batch, C columns, K grid points.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kencore.methods.checks import check_finite, check_float32, row_budget
from kencore.methods.ken import cuda_density as batched_kde
from kencore.methods.ken.bandwidth import density_unit, fine_unit
from kencore.methods.table import METHODS
from kencore.registry import load

BATCH_ENTRIES = 1 << 22


def select_batched(weight: Tensor, base: Tensor | None, k: Any, rule: str, name: str = "weight") -> Tensor:
    """The keep mask, on the weight's device: bool (R, C), exactly min(k, C) per row.

    Args:
        weight, base: float32 or float64 (R, C) on one device.
        k: entries kept per row, one number or one per row.
        rule: one that has a ``cuda`` in `METHODS`.

    Raises:
        SpecError, ShapeError, NonFiniteWeightError: as `kencore.methods.select.select`.
    """
    rows, columns = weight.shape
    row = METHODS[rule]
    assert row.cuda is not None
    choose = load(row.cuda)
    budget = torch.as_tensor(row_budget(k, rows, columns), device=weight.device)
    keep = torch.empty(weight.shape, dtype=torch.bool, device=weight.device)
    height = max(1, BATCH_ENTRIES // max(1, columns))
    for first in range(0, rows if columns else 0, height):
        own = slice(first, first + height)
        _check(weight[own], first, name)
        if base is not None:
            _check(base[own], first, f"base of {name}")
        keep[own] = choose(weight[own], None if base is None else base[own], budget[own], first, name)
    return keep


def ken(weight: Tensor, _: Tensor | None, budget: Tensor, first: int, name: str) -> Tensor:
    rows = _as_float32(weight, first, name)
    h = batched_kde.bandwidth(rows)
    grid = batched_kde.linspace(rows.amin(1), rows.amax(1), budget)  # (R, K)
    levels = batched_kde.levels(grid, rows, h, density_unit(h))
    beyond = torch.arange(grid.shape[1], device=rows.device) >= budget[:, None]
    levels[beyond] = -1.0  # a row with fewer points than the batch's most visits them last
    visits = levels.argsort(dim=1, descending=True, stable=True)  # (R, K)
    return _take_nearest(rows, grid.gather(1, visits), budget)


def _take_nearest(rows: Tensor, points: Tensor, budget: Tensor) -> Tensor:
    """Each point in turn takes the nearest entry still free: bool (R, C)."""
    free = rows.clone()
    for visit in range(points.shape[1]):
        distance = (free - points[:, visit, None]).abs_()  # (R, C), infinite where taken
        nearest = distance.argmin(dim=1, keepdim=True)  # the lowest column among equals
        taken = torch.where(visit < budget[:, None], torch.inf, free.gather(1, nearest))
        free.scatter_(1, nearest, taken)
    return free.isinf()


def ken_density(weight: Tensor, _: Tensor | None, budget: Tensor, first: int, name: str) -> Tensor:
    rows = _as_float32(weight, first, name)
    h = batched_kde.bandwidth(rows)
    return _largest(batched_kde.levels(rows, rows, h, fine_unit(h)), budget)


def delta(weight: Tensor, base: Tensor | None, budget: Tensor, *_: Any) -> Tensor:
    assert base is not None
    return _largest((weight - base).abs(), budget)


def magnitude(weight: Tensor, _: Tensor | None, budget: Tensor, *__: Any) -> Tensor:
    return _largest(weight.abs(), budget)


def _largest(sizes: Tensor, budget: Tensor) -> Tensor:
    """The largest entries of each row, lowest column among equals: bool (R, C)."""
    order = sizes.argsort(dim=1, descending=True, stable=True)
    first = torch.arange(sizes.shape[1], device=sizes.device) < budget[:, None]  # (R, C)
    return torch.zeros_like(first).scatter_(1, order, first)


def _as_float32(rows: Tensor, first: int, name: str) -> Tensor:
    rounded = rows.to(torch.float32)
    if not bool(rounded.isfinite().all()):
        check_float32(rounded.cpu().numpy(), first, name)
    return batched_kde.tame(rounded)


def _check(rows: Tensor, first: int, name: str) -> None:
    if not bool(rows.isfinite().all()):
        check_finite(rows.cpu().numpy(), first, name)
