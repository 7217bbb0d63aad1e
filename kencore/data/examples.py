"""Labelled examples read from a file: sentences, or pairs of them, and their labels.

Importing this module is light; pandas is imported when a file is read.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.data.files import TEXT_COLUMNS, DataFile, read_file
from kencore.errors import DataFileError
from kencore.settings.demo import SENTENCES, sentences_file

if TYPE_CHECKING:
    import pandas as pd

Label = int | str
ENDINGS = (".tsv", ".jsonl", ".parquet")
FIRST = TEXT_COLUMNS
SECOND = ("sentence2", "hypothesis")
LABEL = "label"
COLUMNS = f"a column {LABEL} and one of {', '.join(FIRST)} (for sentence pairs also one of {', '.join(SECOND)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Labelled sentences in the order of their file.

    Args:
        texts: one sentence each, or the first of a pair.
        labels: class numbers, or class names; all of one kind.
        pairs: the second sentence of each pair, or ``None``.
        source: the path as it was given, or ``"demo"``.
        sha256: of the file's bytes.
    """

    texts: tuple[str, ...]
    labels: tuple[Label, ...]
    pairs: tuple[str, ...] | None = None
    source: str = ""
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.labels)


def read_examples(source: str | Path) -> Examples:
    """Read labelled sentences.

    Args:
        source: ``"demo"`` for the sentences that ship with the project, or a file:
            ``.tsv`` (UTF-8, tab-separated, no quoting; either with a header, or without one as
            ``sentence<TAB>label`` or ``sentence1<TAB>sentence2<TAB>label``), ``.jsonl`` (UTF-8,
            one object a line) or ``.parquet``. Columns: ``label`` and one of ``sentence``,
            ``text``, ``sentence1``, ``premise``; pairs also ``sentence2`` or ``hypothesis``.

    Raises:
        DataFileError: no such file, another ending, undecodable or malformed content, no such
            columns, no rows, or a row without a sentence or with an unusable label.
    """
    file = read_file(sentences_file() if str(source) == SENTENCES else source, ENDINGS, _wrong)
    if file.ending == ".parquet":
        table, first_row = file.parquet(), 1
    else:
        table, first_row = _tsv(file) if file.ending == ".tsv" else (_jsonl(file), 1)
    return _examples(file.path, table, first_row, str(source), file.sha256)


# --- two of the three kinds of file -------------------------------------------------------------


def _tsv(file: DataFile) -> tuple[pd.DataFrame, int]:
    """The table and the row number, counted from 1, of its first example."""
    import pandas as pd

    path, lines = file.path, file.lines()
    if not lines:
        raise _empty(path)
    header = [field.strip().lower() for field in lines[0].split("\t")]
    named = LABEL in header and any(name in header for name in FIRST)
    if not named:
        bare = {2: [FIRST[0], LABEL], 3: ["sentence1", SECOND[0], LABEL]}
        if len(header) not in bare:
            raise _wrong(
                path,
                f"a first row that is no known header and has {len(header)} tab-separated fields",
                f"give {COLUMNS}, or rows of sentence, tab, label without a header",
            )
        header = bare[len(header)]
    body = lines[1:] if named else lines
    for row, line in enumerate(body, start=2 if named else 1):
        if line.count("\t") + 1 != len(header):
            got = f"{line.count(chr(9)) + 1} tab-separated fields at row {row}"
            raise _wrong(path, got, f"give every row {len(header)} fields")
    if not body:
        raise _empty(path)
    table = pd.read_csv(
        io.StringIO("\n".join(body)),
        sep="\t",
        names=header,
        header=None,
        dtype=str,
        keep_default_na=False,
        quoting=csv.QUOTE_NONE,
        skip_blank_lines=False,
        lineterminator="\n",
    )
    return table, 2 if named else 1


def _jsonl(file: DataFile) -> pd.DataFrame:
    import pandas as pd

    # dtype=object: a label that is missing in one row must not turn the others into floats
    return pd.DataFrame(file.records(), dtype=object)


# --- from a table to examples -------------------------------------------------------------------


def _examples(path: Path, table: pd.DataFrame, first_row: int, source: str, sha256: str) -> Examples:
    if len(table) == 0:
        raise _empty(path)
    names = {str(name).strip().lower(): name for name in table.columns}
    first = next((names[name] for name in FIRST if name in names), None)
    second = next((names[name] for name in SECOND if name in names), None)
    if first is None or LABEL not in names:
        got = "columns " + ", ".join(map(str, table.columns))
        raise _wrong(path, got, f"give {COLUMNS}")
    return Examples(
        texts=_sentences(path, table[first], first_row),
        labels=_labels(path, table[names[LABEL]], first_row),
        pairs=None if second is None else _sentences(path, table[second], first_row),
        source=source,
        sha256=sha256,
    )


def _sentences(path: Path, column: pd.Series[Any], first_row: int) -> tuple[str, ...]:
    for row, value in enumerate(column, start=first_row):
        if not isinstance(value, str) or not value.strip():
            raise _wrong(path, f"no {column.name} at row {row}", "remove the row, or give it its text")
    return tuple(column)


def _labels(path: Path, column: pd.Series[Any], first_row: int) -> tuple[Label, ...]:
    labels = [_label(value) for value in column]
    for row, label in enumerate(labels, start=first_row):
        if label is None:
            raise _wrong(path, f"no usable label at row {row}", "give a class number or name")
    names = [str(label) for label in labels]
    if all(_whole(name) for name in names):
        return tuple(int(name) for name in names)
    return tuple(names)


def _label(value: object) -> Label | None:
    """A class number or name; ``None`` where the cell holds neither."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    return None


def _whole(name: str) -> bool:
    return name.removeprefix("-").isascii() and name.removeprefix("-").isdigit()


def _empty(path: Path) -> DataFileError:
    return _wrong(path, "no rows", "give at least one labelled sentence")


def _wrong(path: Path, got: str, remedy: str) -> DataFileError:
    return DataFileError(
        f"Evaluation file {path}",
        got=got,
        wanted="a file of labelled sentences (.tsv, .jsonl or .parquet)",
        remedy=remedy[0].upper() + remedy[1:] + ".",
    )
