"""What of a run is shown to people who do not read matrices: one row, two weights, a few numbers.

Every choice is made by the run's own numbers, the same one each time.

Shapes: C columns (entries of a row).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.errors import ShapeError
from kencore.views.guide import guide
from kencore.views.walk import Walk, run_walk

if TYPE_CHECKING:
    from kencore.runs.run import Run

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One row to tell of, and two of its entries.

    Attributes:
        matrix, row: where it is.
        tuned, base: float32 (C,); of a run without a base ``base`` is zero.
        now: float32 (C,), what the run made of it.
        keep: bool (C,).
        walk: how the row was chosen.
        kept, gone: columns of the kept and of the other entry that fine-tuning moved most (without
            a base: the largest ones), or of the one that was asked for; ``None`` where the row has none.
    """

    matrix: str
    row: int
    tuned: Floats
    base: Floats
    now: Floats
    keep: NDArray[np.bool_]
    walk: Walk
    kept: int | None
    gone: int | None


def example(run: Run, at: str | None = None, row: int | None = None, col: int | None = None) -> Example | None:
    """A row of the matrix that a guided zoom goes into (`kencore.views.guide`): by default the first one of which some
    entries were kept and others not; ``None`` where the run pruned no matrix with rows, or ships without its masks.

    Args:
        at, row, col: a matrix, a row and an entry to tell of instead, as far as they are named.

    Raises:
        ShapeError: the matrix has no such row or column.
        Others as `Run.values`.
    """
    name = guide(run.matrices, at).matrix
    if name is None or run.thin:
        return None
    if name != at or row is None:
        row, col = _mixed_row(run, name), None
    return example_row(run, name, row, col)


def _mixed_row(run: Run, name: str) -> int:
    kept = run.rows(name)["kept"].to_numpy()  # R
    mixed = np.flatnonzero((kept > 0) & (kept < run.shape(name)[1]))
    return int(mixed[0]) if len(mixed) else 0


def example_row(run: Run, name: str, row: int, col: int | None = None) -> Example:
    """The same of a row that was chosen, and of one of its entries. Raises as `example`."""
    rows, cols = run.shape(name)
    if not 0 <= row < rows or not (col is None or 0 <= col < cols):
        raise ShapeError(
            f"row {row}, column {col} of {name}" if col is not None else f"row {row} of {name}",
            got=f"a matrix of {rows:,} × {cols:,}",
            wanted="a row and a column of it",
            remedy="Choose a weight on the map.",
        )
    place = slice(row, row + 1)
    tuned, base = run.values(name, "tuned", place)[0], run.values(name, "base", place)[0]
    keep = run.keep(name, place)[0]
    kept, gone = telling_entries(tuned, base, keep)
    if col is not None:
        kept, gone = (col, gone) if keep[col] else (kept, col)
    return Example(
        matrix=name,
        row=row,
        tuned=tuned,
        base=base,
        now=run.values(name, "pruned", place)[0],
        keep=keep,
        walk=run_walk(run, name, tuned, base, keep),
        kept=kept,
        gone=gone,
    )


def telling_entries(tuned: Floats, base: Floats, keep: NDArray[np.bool_]) -> tuple[int | None, int | None]:
    """The kept and the other entry of largest ``|tuned - base|``; the first among equals."""
    size = np.abs(tuned.astype(np.float64) - base)  # C
    found = []
    for side in (keep, ~keep):
        places = np.flatnonzero(side)
        found.append(int(places[size[places].argmax()]) if len(places) else None)
    return found[0], found[1]
