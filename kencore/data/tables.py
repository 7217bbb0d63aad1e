"""Every kind of table as one: names, rows as the file counts them, and the cells of a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kencore.data.files import DataFile

SHORT = 40  # letters of a cell that a message shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a file holds.

    Args:
        names: of the columns, as in the file; their numbers where it names none. A field inside
            another has both names, with a dot between.
        rows: (N,) where each line stands in the file, counted from 1; a header is row 1.
        take: the N cells of the column at a place.
        headed: whether the file names its columns.
        notes: what a person should know of how it was read.
    """

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    take: Callable[[int], list[Any]]
    headed: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def find_column(file: DataFile, table: Table, wanted: Sequence[str]) -> int | None:
    """The place of the column of the first of some names that there is, else of a field inside one.

    Raises:
        DataFileError: two columns may be meant.
    """
    names = [name.strip().lower() for name in table.names]
    for fits in (str.__eq__, lambda name, one: name.endswith(f".{one}")):
        for one in wanted:
            found = [n for n, name in enumerate(names) if fits(name, one)]
            if len(found) > 1:
                both = " and ".join(f"{table.names[n]} (column {n + 1})" for n in found[:2])
                raise file.wrong(file.path, f"two columns that may be {one}: {both}", f"name one of them {one}")
            if found:
                return found[0]
    return None


def texts_of(file: DataFile, table: Table, n: int, word: str, *, empty: bool) -> tuple[str, ...]:
    """The texts of a column.

    Args:
        word: what they are, for the message.
        empty: may a text be empty?

    Raises:
        DataFileError: a cell holds no text, or none that can be written.
    """
    cells = table.take(n)
    for row, cell in zip(table.rows, cells, strict=True):
        if not isinstance(cell, str) or not (empty or cell.strip()):
            got = f"no {word} at row {row}{_place(table, n, word, cell)}"
            raise file.wrong(file.path, got, "remove the row, or give it its text")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        row = next(row for row, cell in zip(table.rows, cells, strict=True) if _is_half(cell))
        got = f"half a letter (a lone surrogate) at row {row}{_place(table, n, word, '')}"
        raise file.wrong(file.path, got, "write the text again, in UTF-8") from None
    return tuple(cells)


def _place(table: Table, n: int, word: str, cell: object) -> str:
    """Which column, where the word does not say it, and what stands there instead."""
    name = table.names[n]
    said = "" if name.strip().lower() == word else f", column {name}"
    if isinstance(cell, str) or cell is None or cell != cell:  # NaN: nothing
        return said
    text = repr(cell)
    return f"{said} ({text if len(text) <= SHORT else text[:SHORT] + '...'})"


def _is_half(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
