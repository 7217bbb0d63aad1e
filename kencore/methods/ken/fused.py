"""KEN on a CUDA card as two kernels of Triton: densities without a tensor of all pairs, visits without memory traffic.

One program visits one row, whose entries stay in registers from the first visit to the last; the batched path of
`kencore.methods.ken.cuda` reads and writes every row once a visit. Same distances, same ties, same masks. No sorted
keys and no union-find: the nearest of all entries is found anew at each visit, which a card does faster than it
follows links. Triton comes with torch's builds for CUDA; importing this module without it raises `ImportError`.

Shapes: R rows of a batch, C columns, K grid points.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

WIDEST = 1 << 15  # columns of a row that fit into the registers of one program
POINTS, ENTRIES = 16, 128  # of one step of a density sum
LANES = 512  # columns of a warp


def take_nearest(rows: Tensor, points: Tensor, budget: Tensor) -> Tensor:
    """Each point in turn takes the nearest entry still free: bool (R, C).

    Args:
        rows: float32 (R, C), finite, C at most `WIDEST`.
        points: float32 (R, K), in the order of the visits.
        budget: int64 (R,), how many points of each row are visited.
    """
    keep = torch.empty(rows.shape, dtype=torch.bool, device=rows.device)
    width = triton.next_power_of_2(rows.shape[1])
    # Triton launches on the current card, whichever the rows lie on
    with torch.cuda.device_of(rows):  # type: ignore[no-untyped-call]
        _visit[(rows.shape[0],)](
            rows.contiguous(),
            points.contiguous(),
            budget,
            keep,
            rows.shape[1],
            points.shape[1],
            width=width,
            num_warps=max(1, min(32, width // LANES)),
        )
    return keep


def kernel_sums(rows: Tensor, points: Tensor, widths: Tensor) -> Tensor:
    """Sums of kernels of peak 1 over ``rows`` (R, C) at ``points`` (R, K), in float64: (R, K).

    Args:
        widths: float64 (R,), the bandwidths, above 0.
    """
    sums = torch.empty(points.shape, dtype=torch.float64, device=rows.device)
    grid = (rows.shape[0], triton.cdiv(points.shape[1], POINTS))
    with torch.cuda.device_of(rows):  # type: ignore[no-untyped-call]
        _density[grid](
            points.contiguous(),
            rows.contiguous(),
            widths,
            sums,
            rows.shape[1],
            points.shape[1],
            at_once=POINTS,
            step=ENTRIES,
        )
    return sums


@triton.jit  # type: ignore[untyped-decorator]
def _visit(rows, points, budget, keep, columns, most, width: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    lanes = tl.arange(0, width)
    inside = lanes < columns
    free = tl.load(rows + row * columns + lanes, mask=inside, other=float("inf"))  # infinite: taken
    count = tl.load(budget + row)
    for visit in range(0, count):
        point = tl.load(points + row * most + visit)
        nearest = tl.argmin(tl.abs(free - point), axis=0)  # the lowest column among equals
        free = tl.where(lanes == nearest, float("inf"), free)
    tl.store(keep + row * columns + lanes, free == float("inf"), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _density(points, rows, widths, sums, columns, most, at_once: tl.constexpr, step: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * at_once + tl.arange(0, at_once)
    asked = place < most
    point = tl.load(points + row * most + place, mask=asked, other=0.0).to(tl.float64)
    h = tl.load(widths + row)
    total = tl.zeros([at_once], dtype=tl.float64)
    for first in range(0, columns, step):
        column = first + tl.arange(0, step)
        entry = tl.load(rows + row * columns + column, mask=column < columns, other=float("inf")).to(tl.float64)
        z = (point[:, None] - entry[None, :]) / h  # points, entries; infinite beyond the row: a kernel of 0
        total += tl.sum(tl.exp(-0.5 * z * z), axis=1)
    tl.store(sums + row * most + place, total, mask=asked)
