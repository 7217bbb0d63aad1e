"""What can be wrong with what is asked of `kencore.select`, each mistake with its message."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import NonFiniteWeightError, ShapeError, SpecError
from kencore.methods.table import METHODS, rules


def check_rule(rule: str, *, has_base: bool) -> None:
    """Raise `SpecError` for a rule there is none of, or one that lacks the base that it compares with."""
    known = rules()
    if rule not in known:
        raise SpecError("rule", got=repr(rule), wanted=f"one of {', '.join(known)}", remedy="Choose one of these.")
    if METHODS[rule].compares and not has_base:
        raise SpecError(
            "base",
            got="none",
            wanted=f"the base weight that {rule} compares with",
            remedy="Pass base=, a tensor of the same shape.",
        )


def check_matrix(shape: tuple[int, ...], dtype: object, *, floating: bool, ranks: tuple[int, ...], name: str) -> None:
    """Raise `ShapeError` unless it has floating entries and one of the ``ranks`` allowed."""
    if len(shape) not in ranks:
        raise ShapeError(
            name,
            got=f"shape {tuple(shape)}",
            wanted=" or ".join({1: "one row (C,)", 2: "a matrix (R, C)"}[rank] for rank in ranks),
            remedy="Reshape it so that each row is one output neuron's weights.",
        )
    if not floating:
        raise ShapeError(
            name,
            got=f"dtype {dtype}",
            wanted="a floating dtype",
            remedy="Integer buffers are not weights: leave them out.",
        )


def check_base(
    shape: tuple[int, ...], base_shape: tuple[int, ...], dtype: object, *, floating: bool, name: str
) -> None:
    """Raise `ShapeError` unless the base is floating and has the tuned weight's shape."""
    if tuple(shape) != tuple(base_shape) or not floating:
        raise ShapeError(
            f"base of {name}",
            got=f"shape {tuple(base_shape)}, dtype {dtype}",
            wanted=f"shape {tuple(shape)} and a floating dtype",
            remedy="Pass the same parameter of the model that the tuned one started from.",
        )


def checked_budget(k: Any, rows: int, columns: int) -> NDArray[np.int64]:
    """How many entries each row keeps, min(k, C): int64 (R,).

    Args:
        k: one whole number for all rows, or one per row (sequence, array or tensor).

    Raises:
        SpecError: a number below 1, or not whole.
        ShapeError: not one number per row.
    """
    if hasattr(k, "detach"):  # a tensor, on whatever device
        k = k.detach().cpu().numpy()
    counts = np.asarray(k)
    big = counts.dtype.kind == "O" and _is_whole(k)
    whole = counts.dtype.kind in "iu" or counts.size == 0 or big
    if not whole:
        raise SpecError(
            "k",
            got=repr(k),
            wanted="a whole number of entries per row",
            remedy="kencore.allocate.budget.row_budget(columns, keep=share) turns a share into k.",
        )
    if counts.ndim and counts.shape != (rows,):
        raise ShapeError(
            "k",
            got=f"shape {counts.shape}",
            wanted=f"one number, or one per row ({rows},)",
            remedy="Pass k of as many entries as the weight has rows.",
        )
    if counts.size and counts.min() < 1:
        raise SpecError(
            "k", got=str(counts.min()), wanted="1 or more entries per row", remedy="A row shorter than k is kept whole."
        )
    budget = np.asarray(np.minimum(counts, columns), dtype=np.int64)
    return np.broadcast_to(budget, (rows,)).copy()


def _is_whole(k: Any) -> bool:
    """A Python int beyond 64 bits: more than any row has."""
    try:
        operator.index(k)
    except TypeError:
        return False
    return True


def check_finite(rows: NDArray[Any], first: int, name: str) -> None:
    """Raise `NonFiniteWeightError` naming the first row with a NaN or infinity."""
    finite = np.isfinite(rows)
    if finite.all():
        return
    row = int(np.argmin(finite.all(axis=1)))
    column = int(np.argmin(finite[row]))
    raise NonFiniteWeightError(
        name,
        got=f"{rows[row, column]} in row {first + row}, column {column}",
        wanted="finite weights",
        remedy="Check the checkpoint: no rule can rank such a weight.",
    )


def check_float32(rounded: NDArray[np.float32], first: int, name: str) -> None:
    """Raise `NonFiniteWeightError` where rounding to float32 overflowed."""
    finite = np.isfinite(rounded).all(axis=1)
    if not finite.all():
        raise NonFiniteWeightError(
            name,
            got=f"a value beyond float32 in row {first + int(np.argmin(finite))}",
            wanted="weights within float32, which this rule is defined in",
            remedy="Scale the matrix, or use the delta or magnitude rule.",
        )
