"""Magnitude: the size of an entry, whatever flows through it.

Shapes: R rows, C columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kencore.methods.statistics import RunningInputs


def magnitude(weight: Tensor, statistics: RunningInputs | None = None) -> Tensor:
    """|W|: float32 (R, C)."""
    return weight.detach().to(torch.float32).abs()
