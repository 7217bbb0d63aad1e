"""Every code by its name: one row says how it is opened and called. A new one is a file and a row.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from kencore.codes import grid, levels, lowrank, seeded
from kencore.codes.coded import Coded, Floats, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One way to code a matrix.

    Args:
        name: as in settings and in files. label: as people read it.
        explained: what it stores, in a sentence or two.
        rows: the coded difference of some rows (r, C), and where it is coded at all.
    """

    name: str
    label: str
    explained: str
    rows: Callable[[Coded, slice], tuple[Floats, Mask]]


def decode(coded: Coded, rows: slice = slice(None)) -> tuple[Floats, Mask]:
    """The coded difference of some rows, float32 (r, C), and bool (r, C): False where the base stays.

    Equal bytes give equal bits on every machine.

    Raises:
        ValueError: the data are not what this code makes of a matrix of this shape.
    """
    if coded.code not in CODES:
        raise ValueError(f"a code {coded.code!r}")
    with np.errstate(over="ignore", invalid="ignore"):
        values, mask = CODES[coded.code].rows(coded, rows)
    return values, mask


def _nothing(coded: Coded, rows: slice) -> tuple[Floats, Mask]:
    if coded.data or coded.facts:
        raise ValueError("data of a code that has none")
    first, last, _ = rows.indices(coded.shape[0])
    shape = (max(0, last - first), coded.shape[1])
    return np.zeros(shape, np.float32), np.zeros(shape, np.bool_)


_ROWS = (
    Code(name="none", label="Nothing", explained="The base's own values.", rows=_nothing),
    Code(
        name="levels",
        label="Levels",
        explained="A few levels, with a step and a gain of each row and a dead zone around zero.",
        rows=levels.rows_of,
    ),
    Code(
        name="signs",
        label="Signs",
        explained="The sign of each row's largest differences and one scale a row.",
        rows=levels.rows_of,
    ),
    Code(
        name="seeded",
        label="Seeded signs",
        explained="Signs of a random choice that a seed draws again, so the choice itself is not stored.",
        rows=seeded.rows_of,
    ),
    Code(
        name="lowrank",
        label="Low rank",
        explained="A product of two thin matrices of whole numbers, alone or followed by another code of what is left.",
        rows=lambda coded, rows: lowrank.rows_of(coded, rows, decode),
    ),
    Code(name="grid", label="8 bits", explained="One byte a weight and one scale: for vectors.", rows=grid.rows_of),
)
CODES: Final[dict[str, Code]] = {row.name: row for row in _ROWS}
"""The rows by name."""
