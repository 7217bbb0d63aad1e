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
        symbols: the level of each entry of some rows (r, C), whole numbers as float32; ``None``: it has no levels.
        scales: bytes of the data that are scales, not symbols.
    """

    name: str
    label: str
    explained: str
    rows: Callable[[Coded, slice], tuple[Floats, Mask]]
    symbols: Callable[[Coded, slice], Floats] | None = None
    scales: Callable[[Coded], int] = lambda coded: 0


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


def levels_of(coded: Coded, rows: slice = slice(None)) -> Floats:
    """How finely each change of some rows is kept, float32 (r, C): its level, 0 where the base stays.

    A sign is a level of -1 or 1. Of a code without levels the coded difference in rms of its row, rounded.

    Raises:
        ValueError: as `decode`.
    """
    row = CODES.get(coded.code)
    if row is not None and row.symbols is not None:
        return row.symbols(coded, rows)
    values = decode(coded, rows)[0]
    rms = np.sqrt(np.square(values, dtype=np.float64).mean(axis=1, keepdims=True)) if values.size else np.ones((1, 1))
    return np.rint(np.divide(values, rms, out=np.zeros_like(values), where=rms > 0))


def parts_of(coded: Coded) -> dict[str, int]:
    """Bytes of a coded matrix by what they are: ``symbols`` and ``scales``."""
    if coded.code not in CODES:
        raise ValueError(f"a code {coded.code!r}")
    scales = min(CODES[coded.code].scales(coded), len(coded.data))
    return {"symbols": len(coded.data) - scales, "scales": scales}


def _in_levels(coded: Coded, rows: slice) -> Floats:
    return levels.symbols_of(coded, rows)[0].astype(np.float32)


def _row_scales(coded: Coded) -> int:
    return 2 * (coded.shape[0] + int(coded.facts.get("levels", 0)))


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
        symbols=_in_levels,
        scales=_row_scales,
    ),
    Code(
        name="signs",
        label="Signs",
        explained="The sign of each row's largest differences and one scale a row.",
        rows=levels.rows_of,
        symbols=_in_levels,
        scales=_row_scales,
    ),
    Code(
        name="seeded",
        label="Seeded signs",
        explained="Signs of a random choice that a seed draws again, so the choice itself is not stored.",
        rows=seeded.rows_of,
        symbols=lambda coded, rows: np.sign(seeded.rows_of(coded, rows)[0]),
        scales=seeded.scale_bytes,
    ),
    Code(
        name="lowrank",
        label="Low rank",
        explained="A product of two thin matrices of whole numbers, alone or followed by another code of what is left.",
        rows=lambda coded, rows: lowrank.rows_of(coded, rows, decode),
        scales=lambda coded: 5 * int(coded.facts.get("rank", 0)),  # a weight and a width of each component
    ),
    Code(
        name="grid",
        label="8 bits",
        explained="One byte a weight and one scale: for vectors.",
        rows=grid.rows_of,
        scales=lambda coded: 2,
    ),
)
CODES: Final[dict[str, Code]] = {row.name: row for row in _ROWS}
"""The rows by name."""
