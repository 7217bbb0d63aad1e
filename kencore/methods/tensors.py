"""`select` for tensors: checks, then the compiled path, or the batched one on a CUDA device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kencore.errors import ShapeError
from kencore.methods.checks import check_base, check_matrix, check_rule
from kencore.methods.ken.cuda import select_batched
from kencore.methods.rows import select_rows
from kencore.methods.table import METHODS

BATCHED_DEVICES = frozenset({"cuda"})
"""Devices that run the rules themselves; for any other (MPS knows no float64) the CPU does."""


def select_tensor(
    weight: torch.Tensor, k: Any, rule: str, base: torch.Tensor | None, generator: torch.Generator | None, name: str
) -> torch.Tensor:
    """The keep mask; arguments and errors as in `kencore.methods.select.select`."""
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


def _as_matrix(weight: torch.Tensor) -> torch.Tensor:
    rows = weight.detach()
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.to(torch.float32)
    return rows.unsqueeze(0) if rows.ndim == 1 else rows


def _as_numpy(rows: torch.Tensor) -> NDArray[Any]:
    return rows.cpu().numpy()


def _draw(generator: torch.Generator | None) -> int:
    """One number of the generator; of torch's own on the CPU where there is none."""
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(1 << 62, (1,), generator=generator, device=device).item())


def _check_tensor(weight: object, name: str) -> None:
    if not isinstance(weight, torch.Tensor):
        raise ShapeError(
            name,
            got=f"a {type(weight).__name__}",
            wanted="a torch tensor",
            remedy="Use kencore.methods.select.select_rows for numpy arrays.",
        )
    if weight.layout is not torch.strided or weight.is_meta:
        raise ShapeError(
            name,
            got=f"layout {weight.layout} on {weight.device}",
            wanted="a dense tensor with data",
            remedy="Call .to_dense() on it, or load it first.",
        )
