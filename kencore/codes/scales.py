"""Scales as half floats beside one power of two, and the gain that undoes shrinking.

A reset or a coarse code acts as if the difference were shrunk. With the gain <d, d> / <d, h> the coded difference goes
exactly as far along the real one as it should (`energy` of `kencore.methods.rescale`, for any code).

Shapes: R rows (outputs), C columns (inputs), S scales.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
LOWEST, HIGHEST = -120, 120  # powers of two
STEPS_PER_OCTAVE = 8
NOTHING = 127  # step of a row that has no difference
_MANTISSAS = np.array([2.0 ** (-step / STEPS_PER_OCTAVE) for step in range(STEPS_PER_OCTAVE)], np.float16)


def halves(scales: Any) -> tuple[int, NDArray[np.float16]]:
    """A power of two and half floats (S,) whose products are the scales, as near as half floats go."""
    values = np.clip(np.asarray(scales, np.float64), -(2.0**HIGHEST), 2.0**HIGHEST)
    largest = float(np.abs(values).max(initial=0.0))
    if not largest:
        return 0, np.zeros(values.shape, "<f2")
    power = min(max(math.frexp(largest)[1], LOWEST), HIGHEST)
    return power, np.ldexp(values, -power).astype("<f2")


def from_halves(power: int, stored: NDArray[Any]) -> Floats:
    """Scales (S,) as float32, exactly what is stored.

    Raises:
        ValueError: one is not finite.
    """
    found: Floats = np.ldexp(stored.astype(np.float64), power).astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError("a scale that is not finite")
    return found


def gain(squares: Doubles, along: Doubles) -> Doubles:
    """<d, d> / <d, h> of each row, 0 where nothing of it is coded."""
    return np.divide(squares, along, out=np.zeros_like(squares), where=along > 0)


def row_steps(size: Doubles) -> NDArray[np.int8]:
    """Sizes of rows (R,) in steps of an eighth of an octave below the largest; `NOTHING` of rows of size 0."""
    largest = float(size.max(initial=0.0))
    with np.errstate(divide="ignore"):
        steps = np.rint(-STEPS_PER_OCTAVE * np.log2(size / largest)) if largest else np.full(size.shape, np.inf)
    return np.where(np.isfinite(steps), np.minimum(steps, NOTHING - 1), NOTHING).astype(np.int8)


def from_steps(steps: NDArray[np.int8]) -> Floats:
    """What rows (R,) are multiplied by, exact in float32.

    Raises:
        ValueError: a step below 0.
    """
    if len(steps) and int(steps.min()) < 0:
        raise ValueError("a step below 0")
    number = steps.astype(np.int64)
    found = np.ldexp(_MANTISSAS[number % STEPS_PER_OCTAVE].astype(np.float32), -(number // STEPS_PER_OCTAVE))
    return np.where(number == NOTHING, np.float32(0), found).astype(np.float32)
