"""Larger kept differences, to make up for those that went back to the base.

A reset acts as if tuned - base were shrunk, by the kept share where the rule does not look at the
difference, and by the kept share of the squared difference otherwise: that is how far the kept
difference reaches along the whole one. Dividing by it undoes the shrinking.

``share`` divides by the kept share: drop and rescale, known as DARE (2311.03099, section 3), made
for a random choice.
Published code differs: DARE drops each entry with one probability and divides by 1 - that
probability over the whole model; here each row is divided by the share of it that was kept, which
is exact where rows keep unlike shares.

``energy`` divides by the kept share of the row's squared difference, so that the projection of the
kept difference onto the whole one is the whole one: <f d_kept, d> = <d, d>. For a random choice
that is ``share`` on average; for ``delta``, which keeps the large differences, it is much less, and
``share`` would overshoot. Not published anywhere that we know of; the evidence is in
docs/rescaling.md.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kencore.errors import NonFiniteWeightError

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def share(tuned: Floats, base: Floats, keep: Mask) -> Floats:
    """Factor of each row's kept differences, float32 (R, 1): columns over kept entries."""
    del tuned, base
    kept = keep.sum(axis=1, keepdims=True)  # R, 1
    return np.asarray(keep.shape[1] / np.maximum(kept, 1), np.float32)


def energy(tuned: Floats, base: Floats, keep: Mask) -> Floats:
    """Factor of each row's kept differences, float32 (R, 1): squared differences over the kept
    ones; 1 where nothing that was kept differs. Sums are taken in float64.
    """
    squared = np.square(tuned - base, dtype=np.float64)  # R, C
    whole = squared.sum(axis=1, keepdims=True)  # R, 1
    kept = np.where(keep, squared, 0).sum(axis=1, keepdims=True)
    factor = np.divide(whole, kept, out=np.ones_like(whole), where=kept > 0)
    return np.asarray(factor, np.float32)


FACTORS: dict[str, Callable[[Floats, Floats, Mask], Floats]] = {"share": share, "energy": energy}
"""Every way to rescale by its name: float32 (R, 1) from tuned, base and mask."""


def rescaled(tuned: Floats, base: Floats, keep: Mask, kind: str) -> Floats:
    """The pruned weight with its kept differences rescaled: float32 (R, C).

    base + factor * (tuned - base) where kept, the base elsewhere. A row that is kept whole stays
    as it is, to the bit. A value may be too large for float32, or for the dtype that it is stored
    in: once it is rounded to that, `check_rescaled` finds it.

    Args:
        tuned, base: float32 (R, C). Not changed.
        keep: bool (R, C).
        kind: a name in `FACTORS`.
    """
    factor = FACTORS[kind](tuned, base, keep)
    with np.errstate(over="ignore", invalid="ignore"):
        larger = base + (tuned - base) * factor  # R, C
    return np.where(keep, np.where(keep.all(axis=1, keepdims=True), tuned, larger), base)


def check_rescaled(values: Floats, name: str, first: int = 0) -> None:
    """Raise `NonFiniteWeightError` for a row (of R, counted from ``first``) that grew too large."""
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise NonFiniteWeightError(
            f"{name}, rescaled",
            got=f"infinity in row {first + int(np.argmin(finite))}",
            wanted="differences that stay finite when divided by the kept share",
            remedy="Keep more of each row, or leave rescale out.",
        )
