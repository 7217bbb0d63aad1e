"""The difference of a matrix to its base as codes take it: rows are read when they are asked for.

Shapes: R rows (outputs), C columns (inputs), r rows of one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.codes.levels import pieces

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.checkpoint.parameter import Parameter

Floats = NDArray[np.float32]


class Difference:
    """Tuned minus base, float32 (R, C), of a matrix that stays in its files.

    Raises (when it is read):
        NonFiniteWeightError: NaN or infinity in either model.
    """

    def __init__(self, pair: Pair, parameter: Parameter) -> None:
        self.pair, self.parameter = pair, parameter
        self.shape = (parameter.rows, parameter.cols)
        self.size = parameter.rows * parameter.cols

    def __getitem__(self, rows: slice) -> Floats:
        """Some rows (r, C); a step above 1 reads each of them by itself."""
        first, last, step = rows.indices(self.shape[0])
        if step > 1 and last > first:
            return np.concatenate([self[row : row + 1] for row in range(first, last, step)])
        tuned, base = self.sides(slice(first, last))
        return tuned - base

    def sides(self, rows: slice) -> tuple[Floats, Floats]:
        """Tuned and base values of some rows (r, C)."""
        first, last, _ = rows.indices(self.shape[0])
        found = np.zeros((0, self.shape[1]), np.float32), np.zeros((0, self.shape[1]), np.float32)
        for _, tuned, base in self.pair.rows(self.parameter, max(1, last - first), slice(first, last)):
            found = tuned, base
        self.pair.release()
        return found

    def whole(self) -> Floats:
        """All of it (R, C), in memory."""
        found = np.empty(self.shape, np.float32)
        for rows in pieces(self.shape):
            found[rows] = self[rows]
        return found
