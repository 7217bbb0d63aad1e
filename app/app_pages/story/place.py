"""Where in the story the address is: the step, and the weight that is zoomed into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from app.frame import links
from kencore.errors import MatrixNotFoundError

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.example import Example

WEIGHT: Final = "weight"  # the step of the weight that the address names, kept or not


def target(run: Run) -> tuple[str | None, int | None, int | None]:
    """The matrix, row and column of the address, as far as it names them.

    Raises:
        MatrixNotFoundError: no such matrix, or one that was not pruned row by row.
        LinkError: no such row or column.
    """
    at = links.value("at")
    if at is None:
        return None, None, None
    line = run.matrix(at)
    if line["status"] != "pruned" or line["rows"] < 2:
        why = f"it was not pruned: {line['reason']}" if line["status"] != "pruned" else "it has one row alone"
        raise MatrixNotFoundError(
            at, got=why, wanted="a pruned matrix to zoom into", remedy="The zoom goes into another one."
        )
    row = links.number("row", high=int(line["rows"]) - 1)
    col = links.number("col", high=int(line["cols"]) - 1)
    return at, row, None if row is None else col


def step_number(keys: Sequence[str], example: Example | None, col: int | None) -> int:
    """The step that the address names by its number or its key, from 1.

    Raises:
        LinkError: there is no such step.
    """
    asked = links.value("step")
    if asked == WEIGHT and example is not None:
        asked = "gone" if col is not None and col == example.gone else "kept"
    if asked in keys:
        return keys.index(asked) + 1
    if asked in ("row", WEIGHT, "kept", "gone"):  # its weights cannot be read
        return next((keys.index(key) + 1 for key in ("kept", "gone", "row", "matrix") if key in keys), 1)
    return links.number("step", low=1, high=len(keys)) or 1
