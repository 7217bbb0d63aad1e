"""How far two paths through a model have parted, and which weights part them. Numpy alone.

Shapes: B places (before the first block, after each), T tokens, H hidden size, R rows (outputs)
and C columns (inputs) of a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import ShapeError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distance:
    """How far pruned activations are from dense ones, at every place.

    Attributes:
        relative: float64 (B,), ``|pruned - dense| / |dense|`` over all tokens together (L2); NaN
            where the dense ones are all zero.
        cosine: float64 (B,), cosine of the angle between the two, over all tokens together.
        token_relative, token_cosine: float64 (B, T), the same for each token.
    """

    relative: Floats
    cosine: Floats
    token_relative: Floats
    token_cosine: Floats


def grows_most(relative: Floats) -> int | None:
    """The place (B,) at which the relative distance grows most, in whole points; ``None``: at none alone."""
    steps = [round(100 * float(grown)) for grown in np.diff(np.nan_to_num(relative), prepend=0.0)]
    widest = max(steps)
    return steps.index(widest) if widest > 0 and steps.count(widest) == 1 else None


def compare(dense: NDArray[Any], pruned: NDArray[Any]) -> Distance:
    """Distance of pruned from dense hidden states, both (B, T, H).

    Raises:
        ShapeError: two shapes, or not three axes.
    """
    if dense.shape != pruned.shape or dense.ndim != 3:
        raise ShapeError(
            "Hidden states",
            got=f"shapes {dense.shape} and {pruned.shape}",
            wanted="twice the same (places, tokens, hidden size)",
            remedy="Record both on one sentence.",
        )
    a, b = dense.astype(np.float64), pruned.astype(np.float64)
    gap = ((b - a) ** 2).sum(axis=2)  # (B, T)
    one, other, both = (a**2).sum(axis=2), (b**2).sum(axis=2), (a * b).sum(axis=2)  # (B, T)
    return Distance(
        relative=_ratio(np.sqrt(gap.sum(axis=1)), np.sqrt(one.sum(axis=1))),
        cosine=_ratio(both.sum(axis=1), np.sqrt(one.sum(axis=1) * other.sum(axis=1))),
        token_relative=_ratio(np.sqrt(gap), np.sqrt(one)),
        token_cosine=_ratio(both, np.sqrt(one * other)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contributions:
    """Why one output of one matrix is not what it was, for one token.

    ``dense - pruned == weights + inputs + bias``, to the rounding of float64.

    Attributes:
        dense, pruned: the output before any activation function, in either model.
        entries: float64 (C,), ``(w_dense - w_pruned) * x_dense``: what each weight that pruning
            changed would have added on what the dense model reads; 0 where it was not changed.
        weights: their sum: what the changed weights took away, given the same input.
        inputs: ``w_pruned . (x_dense - x_pruned)``: what earlier changes took away, through the
            input of this matrix.
        bias: ``b_dense - b_pruned``.
    """

    dense: float
    pruned: float
    entries: Floats
    weights: float
    inputs: float
    bias: float

    def top(self, number: int) -> NDArray[np.int64]:
        """Columns of the changed weights that added or took most, largest first; those that added
        nothing are left out. Equal ones go by column.
        """
        order = np.argsort(-np.abs(self.entries), kind="stable")[:number]
        found: NDArray[np.int64] = order[self.entries[order] != 0]
        return found


def contributions(
    dense_row: NDArray[Any],
    pruned_row: NDArray[Any],
    dense_input: NDArray[Any],
    pruned_input: NDArray[Any],
    *,
    dense_bias: float = 0.0,
    pruned_bias: float = 0.0,
) -> Contributions:
    """What each changed weight of a row did to its output.

    Args:
        dense_row, pruned_row: (C,) weights of one output.
        dense_input, pruned_input: (C,) what the matrix reads for one token in either model.

    Raises:
        ShapeError: not four vectors of one length.
    """
    given = [dense_row, pruned_row, dense_input, pruned_input]
    if len({vector.shape for vector in given}) != 1 or dense_row.ndim != 1:
        raise ShapeError(
            "A row and its inputs",
            got=f"shapes {', '.join(str(v.shape) for v in given)}",
            wanted="four vectors of one length",
            remedy="Pass one row and one token.",
        )
    w, v, x, y = (vector.astype(np.float64) for vector in given)  # (C,)
    entries = (w - v) * x  # (C,)
    return Contributions(
        dense=float(w @ x) + dense_bias,
        pruned=float(v @ y) + pruned_bias,
        entries=entries,
        weights=float(entries.sum()),
        inputs=float(v @ (x - y)),
        bias=dense_bias - pruned_bias,
    )


def effects(steps: tuple[NDArray[Any], NDArray[Any]], gradients: tuple[NDArray[Any], NDArray[Any]]) -> Floats:
    """What the changed weights of one matrix did to a number that the model answers, by neuron and token.

    To first order a change D of the weights moves an answer by ``g . (D x)`` for each token, with g the answer's
    gradient at the matrix's outputs and x what the matrix reads. It is taken in the dense and in the pruned model,
    and the mean of both is given: the trapezoid rule for the path from one to the other (integrated gradients,
    Sundararajan et al. 2017, over weights). Over all matrices and everything else that changed it adds up to what
    the answer moved by, as far as the path is not bent.

    Args:
        steps: (T, R) each, ``D x`` in the dense and in the pruned model.
        gradients: (T, R) each, g in the same order.

    Returns:
        float64 (T, R).

    Raises:
        ShapeError: not four arrays of one shape.
    """
    given = [*steps, *gradients]
    if len({array.shape for array in given}) != 1 or given[0].ndim != 2:
        raise ShapeError(
            "Steps and gradients",
            got=f"shapes {', '.join(str(array.shape) for array in given)}",
            wanted="four of one shape (tokens, neurons)",
            remedy="Record both on one sentence.",
        )
    parts = [step.astype(np.float64) * g for step, g in zip(steps, gradients, strict=True)]
    found: Floats = (parts[0] + parts[1]) / 2  # T, R
    return found


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(whole > 0, part / whole, np.nan)
    return found
