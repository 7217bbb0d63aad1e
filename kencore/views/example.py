"""What of a run is shown to people who do not read matrices: one row, two weights, a few numbers.

Every choice is made by the run's own numbers, the same one each time.

Shapes: C columns (entries of a row).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.views import sparsity

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
        kept, gone: columns of the kept and of the other entry that fine-tuning moved most (without
            a base: the largest ones); ``None`` where the row has none.
    """

    matrix: str
    row: int
    tuned: Floats
    base: Floats
    now: Floats
    keep: NDArray[np.bool_]
    kept: int | None
    gone: int | None


def example(run: Run) -> Example | None:
    """A row of the narrowest pruned matrix of the middle block, the first one of which some
    entries were kept and others not; ``None`` where the run pruned no matrix with rows.

    Raises as `Run.values`.
    """
    table = run.matrices
    chosen = table[(table["status"] == "pruned") & (table["rows"] > 1)]
    inside = chosen[chosen["block"].notna()]
    if len(inside):
        blocks = sorted(inside["block"].unique())
        chosen = inside[inside["block"] == blocks[len(blocks) // 2]]
    if chosen.empty:
        return None
    line = chosen.sort_values("cols", kind="stable").iloc[0]
    name = str(line["name"])
    kept = run.rows(name)["kept"].to_numpy()  # R
    mixed = np.flatnonzero((kept > 0) & (kept < int(line["cols"])))
    return example_row(run, name, int(mixed[0]) if len(mixed) else 0)


def example_row(run: Run, name: str, row: int) -> Example:
    """The same of a row that was chosen. Raises as `Run.values`."""
    place = slice(row, row + 1)
    tuned, base = run.values(name, "tuned", place)[0], run.values(name, "base", place)[0]
    keep = run.keep(name, place)[0]
    kept, gone = telling_entries(tuned, base, keep)
    return Example(
        matrix=name,
        row=row,
        tuned=tuned,
        base=base,
        now=run.values(name, "pruned", place)[0],
        keep=keep,
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


def typical_change(matrices: pd.DataFrame) -> float:
    """Root mean square of tuned - base over that of the weights' spread, in all matrices that were
    compared; NaN where none was.
    """
    known = matrices[matrices["diff_rms"].notna() & matrices["tuned_std"].notna()]
    count = known["params"].astype("float64")
    change, spread = (
        float((known[column].astype("float64") ** 2 * count).sum()) for column in ("diff_rms", "tuned_std")
    )
    return float(np.sqrt(change / spread)) if spread > 0 else float("nan")


def block_range(matrices: pd.DataFrame) -> tuple[float, float] | None:
    """Lowest and highest sparsity of a block; ``None`` where nothing in a block was pruned."""
    table = sparsity.by_block(matrices)
    if table.empty:
        return None
    return float(table["sparsity"].min()), float(table["sparsity"].max())
