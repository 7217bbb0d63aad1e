"""Wanda (arXiv 2306.11695, equation 1): the size of an entry times the norm of its input.

Shapes: R rows, C columns.
"""

from __future__ import annotations

from torch import Tensor

from kencore.errors import ShapeError, SpecError
from kencore.methods.ranked import size
from kencore.methods.statistics import RunningInputs


def wanda(weight: Tensor, statistics: RunningInputs | None) -> Tensor:
    """|W_ij| * ||x_j||: float32 (R, C).

    Args:
        weight: floating (R, C).
        statistics: of the layer's inputs, with ``norm``.

    Raises:
        SpecError: no statistics, or none of the norm.
        ShapeError: of another layer's inputs.
    """
    return size(weight) * input_norm(weight, statistics).reshape(1, -1)  # (R, C)


def input_norm(weight: Tensor, statistics: RunningInputs | None) -> Tensor:
    """The norms of the weight's inputs, float32 (C,); errors as in `wanda`."""
    if statistics is None:
        raise SpecError(
            "statistics",
            got="none",
            wanted="those of the layer's inputs",
            remedy="Run the model on calibration text first.",
        )
    if weight.shape[-1] != statistics.columns:
        raise ShapeError(
            "statistics",
            got=f"{statistics.columns} inputs",
            wanted=f"{weight.shape[-1]}, one per column of the weight",
            remedy="Pass the statistics of this layer.",
        )
    return statistics.norm()
