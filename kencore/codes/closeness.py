"""How much a code harms the answers, without data: an order of codes, not a number of nats.

What was measured on real pairs (docs/bytes.md): where tuning moved weights little, error that has a structure (a coarse
step, only the largest entries) harms about thirty times as much as the same error drawn at random; where it moved them
a lot, random error ruins the model; and shrinking the whole difference harms far more than either. With s and r for the
two kinds of squared error, both in parts of |d|^2, t for |d|^2 / |W|^2 and a for how far the code goes along d:

    harm = N (s + (1/30 + 10 t) r + 5 t r^2 + 50 (1 - a)^2)

N, the entries, stands for what a matrix counts where the whole model moved a lot; where it moved little, matrices count
by how much of their own size they moved: t in place of N (`weighed`).

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from kencore.codes.coded import Floats, Matrix
from kencore.codes.levels import pieces
from kencore.codes.scales import Doubles

RANDOM: Final = 1 / 30
MOVED: Final = 10.0
RUINED: Final = 5.0
SHRUNK: Final = 50.0
LITTLE: Final = 0.01  # of a model's squared norm: less is little


def weighed(moved: float, model: float, size: int) -> float:
    """By what the harm of a matrix is multiplied to be compared with that of others.

    Args:
        moved, model: |d|^2 / |W|^2 of the matrix and of the whole model.
        size: entries of the matrix.
    """
    return moved / size if model < LITTLE and size else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """What a code makes of a difference d.

    Args:
        structured, random: squared error by its two kinds.
        along: how far the coded difference goes along d, 1: as far as d.
        squares: |d|^2.
    """

    structured: float
    random: float
    along: float
    squares: float

    def harm(self, weights: float, size: int) -> float:
        """The order of harm.

        Args:
            weights: squared norm of the tuned matrix.
            size: its entries.
        """
        if not self.squares:
            return 0.0
        structured, random = self.structured / self.squares, self.random / self.squares
        moved = self.squares / weights if weights > 0 else 0.0
        drawn = (RANDOM + MOVED * moved) * random + RUINED * moved * random * random
        return size * (structured + drawn + SHRUNK * (1 - self.along) ** 2)


def error_of(d: Matrix, values: Callable[[slice], Floats]) -> Error:
    """Error of a code without a random choice; ``values``: the coded difference of some rows (r, C)."""
    error = along = squares = 0.0
    for rows in pieces((d.shape[0], d.shape[1])):
        found = values(rows)
        error += float(np.square(found - d[rows], dtype=np.float64).sum())
        along += float((found * d[rows]).sum(dtype=np.float64))
        squares += float(np.square(d[rows], dtype=np.float64).sum())
    return Error(structured=error, random=0.0, along=along / squares if squares else 1.0, squares=squares)


def seeded_error(sizes: Doubles, squares: Doubles, factors: Floats, columns: int, share: float) -> Error:
    """Error to expect of `kencore.codes.seeded`, without coding anything.

    Args:
        sizes, squares: sum of |d| and of d^2 of each row (R,), float64.
        factors: scales of rows (R,) relative to each other.
        share: that is chosen.
    """
    total, along = float(squares.sum()), float((sizes * factors).sum())
    scale = total / along if along > 0 else 0.0  # of all signs together
    full = scale * factors.astype(np.float64)  # R
    structured = float((columns * full**2 - 2 * full * sizes + squares).sum())
    random = float((columns * full**2).sum()) * (1 - share) / share
    return Error(structured=max(0.0, structured), random=random, along=1.0, squares=total)
