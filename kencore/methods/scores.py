"""Importance of the entries of one weight: pure tensor functions, one file per method.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from kencore.methods.magnitude import magnitude
from kencore.methods.multiflow import multiflow
from kencore.methods.statistics import RunningInputs
from kencore.methods.wanda import wanda

__all__ = ["NEEDS", "SCORES", "RunningInputs"]

SCORES: dict[str, Callable[[Tensor, RunningInputs | None], Tensor]] = {
    "magnitude": magnitude,
    "wanda": wanda,
    "multiflow": multiflow,
}
"""Weight (R, C) and its inputs' statistics -> score, float32 (R, C): the lowest are pruned."""

NEEDS: dict[str, frozenset[str]] = {
    "magnitude": frozenset(),
    "wanda": frozenset({"norm"}),
    "multiflow": frozenset({"norm"}),
    "sparsegpt": frozenset({"hessian"}),
}
"""The statistics that each method needs of a layer's inputs."""
