"""KEN on tensors of any device, many rows at once: what a CUDA device runs.

The same masks as the compiled path: deviation, grid and distances take the same float32
roundings, densities are summed directly. Exact by brute force: one ``argmin`` per grid point
over all rows of a batch. Where Triton is there, its kernels (`kencore.methods.ken.fused`) do both.

Shapes: R rows of a batch, C columns, K grid points.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kencore.methods.checks import check_float32
from kencore.methods.ken.bandwidth import SQRT_TWO_PI, bandwidth_from_spread, density_unit, fine_unit
from kencore.methods.ranked import largest

SUM_ENTRIES = 1 << 22
"""Pairs of a point and an entry in one density sum: three float64 tensors of this size."""


def ken(weight: Tensor, _: Tensor | None, budget: Tensor, first: int, name: str) -> Tensor:
    """The rule of `kencore.methods.ken.rule.ken` on a CUDA card: True = kept, (R, C)."""
    rows = _as_float32(weight, first, name)
    h = bandwidth(rows)
    grid = linspace(rows.amin(1), rows.amax(1), budget)  # (R, K)
    found = levels(grid, rows, h, density_unit(h))
    beyond = torch.arange(grid.shape[1], device=rows.device) >= budget[:, None]
    found[beyond] = -1.0  # a row with fewer points than the batch's most visits them last
    visits = found.argsort(dim=1, descending=True, stable=True)  # (R, K)
    return _fused_or("take_nearest", _take_nearest, rows, grid.gather(1, visits), budget)


def _take_nearest(rows: Tensor, points: Tensor, budget: Tensor) -> Tensor:
    """Each point in turn takes the nearest entry still free: bool (R, C)."""
    free = rows.clone()
    for visit in range(points.shape[1]):
        distance = (free - points[:, visit, None]).abs_()  # (R, C), infinite where taken
        nearest = distance.argmin(dim=1, keepdim=True)  # the lowest column among equals
        taken = torch.where(visit < budget[:, None], torch.inf, free.gather(1, nearest))
        free.scatter_(1, nearest, taken)
    return free.isinf()


@cache
def _kernels() -> ModuleType | None:
    """The kernels of Triton; ``None``: it is not there."""
    try:
        from kencore.methods.ken import fused
    except ImportError:
        return None
    return fused


def _fused_or(name: str, batched: Callable[[Tensor, Tensor, Tensor], Tensor], rows: Tensor, *rest: Tensor) -> Tensor:
    """What a kernel of Triton makes of rows on a card, else the batched path: as exact, and slower.

    Triton needs a C compiler and a card that it knows. The first kernel that fails is told once, and none is tried
    again in this process.
    """
    fused = _kernels() if rows.is_cuda and len(rows) and not _failed else None
    if fused is not None and rows.shape[1] <= fused.WIDEST:
        try:
            found: Tensor = getattr(fused, name)(rows, *rest)
            return found
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a compiler or a driver raises
            _failed.append(name)
            warnings.warn(f"Triton's kernel {name} failed, torch's own run in its place: {error}", stacklevel=2)
    return batched(rows, *rest)


_failed: list[str] = []


def ken_density(weight: Tensor, _: Tensor | None, budget: Tensor, first: int, name: str) -> Tensor:
    """The rule of `kencore.methods.ken.density.ken_density` on a CUDA card: True = kept, (R, C)."""
    rows = _as_float32(weight, first, name)
    h = bandwidth(rows)
    return largest(levels(rows, rows, h, fine_unit(h)), budget)


def _as_float32(rows: Tensor, first: int, name: str) -> Tensor:
    rounded = rows.to(torch.float32)
    if not bool(rounded.isfinite().all()):
        check_float32(rounded.cpu().numpy(), first, name)
    return tame(rounded)


# --- the numbers of the rule, with the roundings of the numpy path ----------------------------


def tame(rows: Tensor) -> Tensor:
    """`kencore.methods.ken.bandwidth.tame` for tensors: rows whose range overflows, divided by 4."""
    wide = (rows.amax(1) - rows.amin(1)).isinf()
    return torch.where(wide[:, None], rows * 0.25, rows)


def bandwidth(rows: Tensor) -> NDArray[np.float64]:
    """The bits of `kencore.methods.ken.bandwidth.bandwidth` for float32 rows (R, C): float64 (R,)."""
    columns = rows.shape[1]
    mean = pairwise_sum(rows) / columns
    variance = pairwise_sum((rows - mean[:, None]).square()) / columns
    # torch's own float32 root can be an ulp off; a float64 one rounds to the right float32
    deviation = variance.double().sqrt().float()
    h = bandwidth_from_spread(deviation.cpu().numpy(), columns)
    h[(rows.amin(1) == rows.amax(1)).cpu().numpy()] = 0.0
    return h


def pairwise_sum(rows: Tensor) -> Tensor:
    """Sum of each row in numpy's order of additions (pairwise, eight at a time): (R,)."""
    columns = rows.shape[1]
    if columns > 128:
        half = columns // 2 - columns // 2 % 8
        return pairwise_sum(rows[:, :half]) + pairwise_sum(rows[:, half:])
    whole = columns - columns % 8
    total = torch.zeros_like(rows[:, 0])
    if whole:
        lanes = rows[:, :8]
        for start in range(8, whole, 8):
            lanes = lanes + rows[:, start : start + 8]
        pairs = lanes[:, 0::2] + lanes[:, 1::2]  # (R, 8) -> (R, 4)
        total = (pairs[:, 0] + pairs[:, 1]) + (pairs[:, 2] + pairs[:, 3])
    for column in range(whole, columns):
        total = total + rows[:, column]
    return total


def linspace(lo: Tensor, hi: Tensor, budget: Tensor) -> Tensor:
    """``np.linspace(lo, hi, k)`` of numpy 2 in float32, row by row: (R, K), K the largest k.

    Row r is defined in its first ``budget[r]`` columns.
    """
    places = torch.arange(int(budget.max()), device=lo.device).to(torch.float32)  # (K,)
    parts = (budget - 1).clamp(min=1).to(torch.float32)[:, None]
    delta = (hi - lo)[:, None]
    step = delta / parts
    # numpy's own way out where the step underflows
    offsets = torch.where(step == 0, places / parts * delta, places * step)
    grid = offsets + lo[:, None]
    ends = torch.where(budget > 1, hi, lo)[:, None]  # a single point is the minimum
    return grid.scatter_(1, (budget - 1)[:, None], ends)


def levels(points: Tensor, rows: Tensor, h: NDArray[np.float64], unit: NDArray[np.float64]) -> Tensor:
    """Density of ``rows`` (R, C) at ``points`` (R, K) in whole ``unit``s (R,): float64 (R, K).

    Summed directly in float64; 0 in rows without a bandwidth.
    """
    found = torch.zeros(points.shape, dtype=torch.float64, device=rows.device)
    with np.errstate(divide="ignore"):
        peaks = torch.as_tensor(1.0 / (h * SQRT_TWO_PI * unit), device=rows.device)
    widths = torch.as_tensor(h, device=rows.device)
    dense = widths > 0
    sums = _fused_or("kernel_sums", _kernel_sums, rows[dense], points[dense], widths[dense])
    found[dense] = (sums * (peaks[dense] / rows.shape[1])[:, None]).round_()
    return found


def _kernel_sums(rows: Tensor, points: Tensor, widths: Tensor) -> Tensor:
    """Sums of kernels of peak 1 and of these widths (R,) over ``rows`` (R, C) at ``points`` (R, K): float64 (R, K)."""
    data, width = rows.double()[:, None, :], widths[:, None, None]
    at_once = max(1, SUM_ENTRIES // max(1, data.numel()))
    sums = [
        ((part[:, :, None] - data) / width).square_().mul_(-0.5).exp_().sum(2)
        for part in torch.split(points.double(), at_once, dim=1)  # (R, at_once, C) -> (R, at_once)
    ]
    return torch.cat(sums, dim=1)
