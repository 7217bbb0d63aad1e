"""Tables as text: comma- or tab-separated, quoted or not, with or without a header.

Two kinds of ``.tsv`` are about. GLUE's have no quoting: a quote is a letter like any other. pandas,
R and spreadsheets put a field that holds a quote, a tab or a line feed into quotes, and double the
quotes inside. Which one a file is shows in its quotes (`_is_quoted`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.data.tables import Table

if TYPE_CHECKING:
    from kencore.data.files import DataFile

IsHeader = Callable[[list[str]], bool]
COMMAS, TABS = ",", "\t"
_NEEDED = re.compile('["\t\n,;]')  # why a field is put into quotes; spreadsheets do so for a comma
WORDS = {",": "comma-separated", "\t": "tab-separated", ";": "semicolon-separated"}
# N rows: records of the file, of which a quoted field may span several lines


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a file would be, read in one way.

    Args:
        lines: one for each row; a quoted field is a single quote in it.
        fields: (N,) how many fields each row has, 0 of a blank one.
    """

    lines: list[str]
    fields: NDArray[np.int64]

    @property
    def even(self) -> bool:
        """Whether all rows have as many fields."""
        return len(set(self.fields[self.fields > 0].tolist())) <= 1


def read_delimited(file: DataFile, is_header: IsHeader) -> Table:
    """The table of a ``.csv`` or ``.tsv`` file; blank lines are no rows.

    Args:
        is_header: whether the fields of the first row, in lower case, are names.

    Raises:
        DataFileError: rows of unequal length, or a quote that is never closed.
    """
    separator = TABS if file.ending == ".tsv" else _separator(file, is_header)
    unquoted = _reading(file.text, separator)
    wholes = _field(separator).findall(file.text) if '"' in file.text else []
    skeleton = _field(separator).sub('"', file.text) if wholes else file.text
    said: list[str] = []
    if '"' not in file.text:
        quoted, reading = False, unquoted
    elif separator == TABS:
        quoted, reading, said = _told_apart(file, _reading(skeleton, separator), unquoted, wholes)
    else:
        quoted, reading = True, _reading(skeleton, separator)
        _check_closed(file, reading, separator, len(wholes))
    if separator not in (COMMAS, TABS):
        said.append("Its fields are separated by semicolons.")
    _check_even(file, reading, separator)
    return _table(file, reading, separator, is_header, quoted=quoted, notes=[*file.notes, *said])


def _separator(file: DataFile, is_header: IsHeader) -> str:
    """A comma, unless the first line is a header only with another separator."""
    first = next((line for line in file.text.split("\n") if line.strip()), "")
    for separator in (COMMAS, ";", TABS):
        if is_header([name.strip(' "').lower() for name in first.split(separator)]):
            return separator
    return COMMAS


def _field(separator: str) -> re.Pattern[str]:
    """A whole field in quotes, those inside doubled."""
    return re.compile(rf'(?:\A|(?<=[{separator}\n]))"[^"]*+(?:""[^"]*+)*+"(?=[{separator}\n]|\Z)')


def _reading(text: str, separator: str) -> _Reading:
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    fields = (line.count(separator) + 1 if separator in line or line.strip() else 0 for line in lines)
    return _Reading(lines, np.fromiter(fields, np.int64, len(lines)))


def _told_apart(
    file: DataFile, quoted: _Reading, unquoted: _Reading, wholes: list[str]
) -> tuple[bool, _Reading, list[str]]:
    """Whether the quotes of a ``.tsv`` are the writer's, the rows, and what to say of it."""
    if _is_quoted(quoted, unquoted, wholes):
        row = next(i for i, line in enumerate(quoted.lines, 1) if '"' in line)
        said = (
            f"{len(wholes):,} fields in quotes, the first at row {row}, were read without them, as pandas writes them"
        )
        return True, quoted, [f"{said}: no field holds a lone quote."]
    row = next(i for i, line in enumerate(unquoted.lines, 1) if '"' in line)
    said = f"Quotes were read as part of the sentence, as GLUE's files have them: the first is at row {row}"
    return False, unquoted, [f"{said}, and not every one is of a pair that its field needs."]


def _is_quoted(quoted: _Reading, unquoted: _Reading, wholes: list[str]) -> bool:
    """Whether fields in quotes are written so, and no sentences that begin and end with a quote.

    They are where every quote belongs to such a field, and each had to be in quotes or a column
    has nothing else. A pair of lone quotes may look like a field that spans rows: if rows are even
    without quoting, that is what it is.

    Args:
        wholes: the fields in quotes.
    """
    if not wholes or not quoted.even:
        return False
    if not unquoted.even:
        return _opened(quoted) == len(wholes)
    lone = sum(line.count('"') for line in quoted.lines) - len(wholes)
    if lone or len(quoted.lines) != len(unquoted.lines):
        return False
    return all(_NEEDED.search(whole, 1, len(whole) - 1) for whole in wholes) or _fills_a_column(quoted)


def _opened(reading: _Reading) -> int:
    """Fields that begin with a quote."""
    return sum(field.startswith('"') for line in reading.lines for field in line.split(TABS))


def _fills_a_column(reading: _Reading) -> bool:
    """Whether every row has the same field in quotes, a header apart."""
    rows = [
        {n for n, field in enumerate(line.split(TABS)) if field == '"'}
        for line, count in zip(reading.lines, reading.fields, strict=True)
        if count
    ]
    body = rows[1:] if not rows[0] else rows
    used, always = set().union(*rows), set(body[0]).intersection(*body) if len(body) > 1 else set()
    return bool(used) and used == always


def _check_closed(file: DataFile, reading: _Reading, separator: str, count: int) -> None:
    # one that is whole stands there as a single quote
    opened = [
        (field != '"', row, n)
        for row, line in enumerate(reading.lines, 1)
        for n, field in enumerate(line.split(separator), 1)
        if field.startswith('"')
    ]
    if len(opened) != count or any(more for more, *_ in opened):
        _, row, n = max(opened, key=lambda place: (place[0], -place[1] if place[0] else place[1]))
        got = f"a quote that opens and does not close a whole field at row {row}, field {n}"
        raise file.wrong(file.path, got, "double the quotes inside a field and close it, as pandas' to_csv does")


def _check_even(file: DataFile, reading: _Reading, separator: str) -> None:
    if reading.even:
        return
    filled = np.flatnonzero(reading.fields)
    wanted = int(reading.fields[filled[0]])
    row = int(filled[np.argmax(reading.fields[filled] != wanted)])
    got = f"{reading.fields[row]} {WORDS[separator]} fields at row {row + 1}, {wanted} at row {filled[0] + 1}"
    advice = f"give every row {wanted} fields"
    if separator != TABS:
        advice += "; a field that holds the separator stands in quotes"
    raise file.wrong(file.path, got, advice)


def _table(
    file: DataFile, reading: _Reading, separator: str, is_header: IsHeader, *, quoted: bool, notes: list[str]
) -> Table:
    import pandas as pd

    filled = np.flatnonzero(reading.fields)  # rows that are not blank
    if not len(filled):
        return Table(names=(), rows=np.zeros(0, np.int64), take=lambda _: [], headed=False, notes=tuple(notes))
    frame = pd.read_csv(
        io.StringIO(file.text),
        sep=separator,
        names=range(int(reading.fields[filled[0]])),
        header=None,
        dtype=object,
        na_filter=False,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skip_blank_lines=False,
        lineterminator="\n",
    )
    blank = int(filled[-1] - filled[0]) + 1 - len(filled)
    if blank:
        notes.append(f"{blank:,} blank {'line was' if blank == 1 else 'lines were'} left out.")
    first = [str(cell).strip() for cell in frame.iloc[filled[0]]]
    headed = is_header([name.lower() for name in first])
    body = filled[headed:]
    return Table(
        names=tuple(first) if headed else tuple(map(str, range(1, len(first) + 1))),
        rows=body + 1,
        take=lambda n: frame.iloc[body, n].tolist(),
        headed=headed,
        notes=tuple(notes),
    )
