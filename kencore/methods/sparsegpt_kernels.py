"""SparseGPT's inner loop as machine code: row by row, since rows do not depend on each other.

No fast math: products are rounded before they are subtracted, as tensors do it, so that both ways
give the same bits.

Shapes: R rows (outputs), K columns of one column block.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from kencore.methods.compiled import compiled

Floats = NDArray[np.float32]
ENTRIES_PER_THREAD = 1 << 19


def prune_rows(block: Floats, gone: NDArray[np.bool_], factor: Floats, *, threads: int = 1) -> tuple[Floats, Floats]:
    """What is pruned goes as an error into the columns after it.

    Args:
        block: float32 (R, K). Not changed.
        gone: bool (R, K).
        factor: float32 (K, K), upper triangle.
        threads: at most so many; the result does not depend on it.

    Returns:
        The new columns and the errors, float32 (R, K) each.
    """
    values = np.array(block, dtype=np.float32, order="C")
    errors = np.zeros_like(values)
    pruned, upper = np.ascontiguousarray(gone), np.ascontiguousarray(factor)
    rows, columns = values.shape
    parts = max(1, min(threads, rows * columns // ENTRIES_PER_THREAD))
    edges = np.linspace(0, rows, parts + 1).astype(np.int64)

    def work(part: int) -> None:
        some = slice(edges[part], edges[part + 1])
        sweep_rows(values[some], errors[some], pruned[some], upper)

    if parts == 1:
        work(0)
    else:
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(work, range(parts)))
    return values, errors


@compiled("void(float32[:, ::1], float32[:, ::1], bool[:, ::1], float32[:, ::1])")
def sweep_rows(values, errors, gone, factor):  # type: ignore[no-untyped-def]
    """The columns of ``values`` and their ``errors``, in place; ``gone`` says which entries are pruned."""
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            if gone[row, column]:
                lost = values[row, column] / factor[column, column]
                errors[row, column] = lost
                values[row, column] = 0.0
                # slices counted from 0: the compiler then knows that no index is negative
                left, row_of_factor = values[row, column + 1 :], factor[column, column + 1 :]
                for later in range(len(left)):
                    left[later] -= row_of_factor[later] * lost
