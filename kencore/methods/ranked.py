"""The rules ``delta`` and ``magnitude``: the largest entries of a row, lowest column among equals.

float32 is compared as it is, float64 in float64.

Shapes: R rows, C columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.methods.chunks import Rows
from kencore.methods.keys import Keys, Ordered, with_columns

if TYPE_CHECKING:
    from torch import Tensor

    from kencore.methods.statistics import RunningInputs


def magnitude(rows: Rows) -> Ordered:
    """Keep the entries of largest absolute value."""
    return Ordered(falling(np.abs(rows.tuned)))


def delta(rows: Rows) -> Ordered:
    """Keep the entries that tuning moved furthest, |tuned - base|.

    The difference is rounded to the wider dtype of the two (float32 for half precision).
    """
    assert rows.base is not None
    with np.errstate(over="ignore"):
        return Ordered(falling(np.abs(rows.tuned - rows.base)))


def magnitude_cuda(weight: Tensor, _: Tensor | None, budget: Tensor, *__: Any) -> Tensor:
    """`magnitude` on a device, for a batch of rows (R, C): bool (R, C), ``budget`` (R,) of each."""
    return largest(weight.abs(), budget)


def delta_cuda(weight: Tensor, base: Tensor | None, budget: Tensor, *_: Any) -> Tensor:
    """`delta` on a device, as `magnitude_cuda`."""
    assert base is not None
    return largest((weight - base).abs(), budget)


def largest(sizes: Tensor, budget: Tensor) -> Tensor:
    """The ``budget`` (R,) largest entries of each row, lowest column among equals: bool (R, C)."""
    import torch

    order = sizes.argsort(dim=1, descending=True, stable=True)
    first = torch.arange(sizes.shape[1], device=sizes.device) < budget[:, None]  # (R, C)
    return torch.zeros_like(first).scatter_(1, order, first)


def falling(sizes: NDArray[Any]) -> Keys:
    """Keys (R, C) that rise as ``sizes`` (R, C) >= 0 fall."""
    if sizes.dtype == np.float32:
        return with_columns(~sizes.view(np.uint32))  # bits rise with a float that is not negative
    order = np.argsort(-sizes, axis=1, kind="stable")
    ranks = np.empty(sizes.shape, np.uint64)
    places = np.arange(sizes.shape[1], dtype=np.uint64)
    np.put_along_axis(ranks, order, np.broadcast_to(places, sizes.shape), axis=1)
    return ranks


def size(weight: Tensor, statistics: RunningInputs | None = None) -> Tensor:
    """The score ``magnitude``, |W|, whatever flows through it: float32 (R, C)."""
    return weight.detach().float().abs()
