"""Which entries of a tensor are kept: on the CPU the compiled rules, on a CUDA device many rows at once.

For numpy matrices alone, without torch, see `kencore.methods.rows`.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kencore.errors import ShapeError
from kencore.methods.checks import check_base, check_finite, check_matrix, check_rule, checked_budget
from kencore.methods.registry import load
from kencore.methods.rows import select_rows
from kencore.methods.table import METHODS

__all__ = ["select", "select_batched", "select_rows"]
BATCHED_DEVICES = frozenset({"cuda"})
"""Devices that run the rules themselves; for any other (MPS knows no float64) the CPU does."""
BATCH_ENTRIES = 1 << 22
"""Entries that such a device ranks at once."""


def select(
    weight: Tensor,
    k: Any,
    rule: str = "ken",
    base: Tensor | None = None,
    generator: torch.Generator | None = None,
    *,
    name: str = "weight",
) -> Tensor:
    """Which entries of each row are kept: a bool mask of the weight's shape, on its device.

    Exactly min(k, C) entries per row, picked by index: a tie never adds entries, the lowest
    index wins. A constant row keeps its first k. Nothing passed in is changed.

    Args:
        weight: floating tensor (R, C), or (C,) for one row. Half precision is raised to float32;
            float64 is ranked as it is by ``delta`` and ``magnitude``, rounded to float32 by
            ``ken`` and ``ken-density``.
        k: entries kept per row: a whole number, or one per row (R,) as sequence, array or tensor.
        rule: a method of `kencore.methods.table` that has a rule, such as ``ken`` or ``magnitude``.
        base: the pretrained weight, same shape; needed by rules that compare, such as ``delta``.
        generator: for ``random``; torch's own when ``None``. One number is drawn per call, on
            the CPU, so that a seed gives one mask on every device.
        name: of the tensor, for messages.

    Returns:
        bool tensor (R, C) or (C,). CPU work is shared by ``torch.get_num_threads()`` threads,
        which changes no mask.

    Raises:
        ShapeError: not a floating tensor of one or two dimensions, or base or k do not fit it.
        SpecError: unknown rule, k below 1 or not whole, a missing base.
        NonFiniteWeightError: a NaN or infinity; the message names tensor and row.
    """
    _check_tensor(weight, name)
    check_rule(rule, has_base=base is not None)
    check_matrix(weight.shape, weight.dtype, floating=weight.is_floating_point(), ranks=(1, 2), name=name)
    if base is not None:
        _check_tensor(base, f"base of {name}")
        floating = base.is_floating_point()
        check_base(weight.shape, base.shape, base.dtype, floating=floating, name=name)
    matrix = _as_matrix(weight)  # (C,) -> (1, C)
    compared = base if METHODS[rule].compares else None
    rows_base = None if compared is None else _as_matrix(compared).to(weight.device)
    if weight.device.type in BATCHED_DEVICES and METHODS[rule].cuda is not None:
        keep = select_batched(matrix, rows_base, k, rule, name)
    else:
        rng = np.random.default_rng(_draw(generator)) if METHODS[rule].draws else None
        numpy_base = None if rows_base is None else _as_numpy(rows_base)
        keep = torch.from_numpy(
            select_rows(_as_numpy(matrix), numpy_base, k, rule, rng=rng, threads=torch.get_num_threads(), name=name)
        ).to(weight.device)
    return keep.reshape(weight.shape)


def select_batched(weight: Tensor, base: Tensor | None, k: Any, rule: str, name: str = "weight") -> Tensor:
    """The keep mask, on the weight's device: bool (R, C), exactly min(k, C) per row.

    Args:
        weight, base: float32 or float64 (R, C) on one device.
        k: entries kept per row, one number or one per row.
        rule: one that has a ``cuda`` in `METHODS`.

    Raises:
        SpecError, ShapeError, NonFiniteWeightError: as `select`.
    """
    rows, columns = weight.shape
    row = METHODS[rule]
    assert row.cuda is not None
    choose = load(row.cuda)
    budget = torch.as_tensor(checked_budget(k, rows, columns), device=weight.device)
    keep = torch.empty(weight.shape, dtype=torch.bool, device=weight.device)
    height = max(1, BATCH_ENTRIES // max(1, columns))
    for first in range(0, rows if columns else 0, height):
        own = slice(first, first + height)
        _check(weight[own], first, name)
        if base is not None:
            _check(base[own], first, f"base of {name}")
        keep[own] = choose(weight[own], None if base is None else base[own], budget[own], first, name)
    return keep


def _as_matrix(weight: Tensor) -> Tensor:
    rows = weight.detach()
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.to(torch.float32)
    return rows.unsqueeze(0) if rows.ndim == 1 else rows


def _as_numpy(rows: Tensor) -> NDArray[Any]:
    return rows.cpu().numpy()


def _draw(generator: torch.Generator | None) -> int:
    """One number of the generator; of torch's own on the CPU where there is none."""
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(1 << 62, (1,), generator=generator, device=device).item())


def _check_tensor(weight: object, name: str) -> None:
    if not isinstance(weight, Tensor):
        raise ShapeError(
            name,
            got=f"a {type(weight).__name__}",
            wanted="a torch tensor",
            remedy="Use kencore.methods.rows.select_rows for numpy arrays.",
        )
    if weight.layout is not torch.strided or weight.is_meta:
        raise ShapeError(
            name,
            got=f"layout {weight.layout} on {weight.device}",
            wanted="a dense tensor with data",
            remedy="Call .to_dense() on it, or load it first.",
        )


def _check(rows: Tensor, first: int, name: str) -> None:
    if not bool(rows.isfinite().all()):
        check_finite(rows.cpu().numpy(), first, name)
