"""Labelled examples read from a file: sentences, or pairs of them, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kencore.data.columns import COLUMNS, FIRST, LABEL, PAIRS, sentence_columns
from kencore.data.files import DataFile, read_file
from kencore.data.read import read_table
from kencore.data.tables import Table, find_column, texts_of
from kencore.errors import DataFileError
from kencore.settings.common import TABLES
from kencore.settings.demo import LABELLED_FILES, sentences_file

Label = int | str
HEADERS = {*FIRST, *(second for _, second in PAIRS), LABEL, "labels", "sentiment", "target", "class", "category"}
SOME = 0.02  # of examples that may be repeated without a word
MOST_DIGITS = 18  # of the number of a class
TYPED = (".jsonl", ".json", ".parquet")  # files that say whether a label is a number or a string


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Labelled sentences in the order of their file.

    Args:
        texts: one sentence each, or the first of a pair.
        labels: class numbers, or class names; all of one kind.
        pairs: the second sentence of each pair, or ``None``.
        source: the path or the name as it was given.
        sha256: of the file's bytes.
        notes: what a person should know of how the file was read, and of what its labels mean to the model.
        strings: whether the file says that its labels are text: digits then may well be names.
    """

    texts: tuple[str, ...]
    labels: tuple[Label, ...]
    pairs: tuple[str, ...] | None = None
    source: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()
    strings: bool = False

    def __len__(self) -> int:
        return len(self.labels)


def read_examples(source: str | Path) -> Examples:
    """Read labelled sentences.

    Args:
        source: ``"demo"`` or ``"demo-training"`` for sentences that ship with the project, or a file: ``.tsv`` or
            ``.csv`` (with a header, or without one as sentence, label or as sentence1, sentence2,
            label), ``.jsonl``, ``.json`` or ``.parquet``. Columns: ``label`` and one of
            ``sentence``, ``text``, ``sentence1``, ``premise``; for pairs both columns of one of
            `kencore.data.columns.PAIRS`.

    Raises:
        DataFileError: no such file, another ending, undecodable or malformed content, no such
            columns, further text that nothing says how to use, no rows, or a row without a
            sentence or with an unusable label.
    """
    named = str(source) in LABELLED_FILES
    file = read_file(sentences_file(str(source)) if named else source, TABLES, _wrong)
    table = read_table(file, lambda names: LABEL in names and not set(FIRST).isdisjoint(names))
    if not len(table):
        raise _empty(file.path)
    return _examples(file, table if table.headed else _named(file, table), str(source))


# --- from a table to examples -------------------------------------------------------------------


def _named(file: DataFile, table: Table) -> Table:
    """A table without a header, its columns named by how many there are."""
    bare = {2: (FIRST[0], LABEL), 3: (*PAIRS[0], LABEL)}
    if len(table.names) not in bare:
        word = "tab-separated" if file.ending == ".tsv" else "separated"
        raise _wrong(
            file.path,
            f"a first row that is no known header and has {len(table.names)} {word} fields",
            f"give {COLUMNS}, or rows of sentence and label without a header",
        )
    first = [str(table.take(n)[0]).strip() for n in range(len(table.names))]
    if not {name.lower() for name in first}.isdisjoint(HEADERS):
        raise _wrong(file.path, f"columns {', '.join(first)}", f"give {COLUMNS}")
    return replace(table, names=bare[len(table.names)])


def _examples(file: DataFile, table: Table, source: str) -> Examples:
    (first, second), label = sentence_columns(file, table), find_column(file, table, [LABEL])
    if first is None or label is None:
        got = "columns " + ", ".join(table.names)
        raise _wrong(file.path, got, f"give {COLUMNS}")
    sides = [
        None if n is None else texts_of(file, table, n, table.names[n].strip().lower(), empty=False)
        for n in (first, second)
    ]
    labels = table.take(label)
    return Examples(
        texts=sides[0] or (),
        labels=_labels(file.path, labels, table.rows.tolist()),
        pairs=sides[1],
        source=source,
        sha256=file.sha256,
        notes=(*table.notes, *_repeated(sides, labels)),
        strings=file.ending in TYPED and all(isinstance(cell, str) for cell in labels),
    )


def _repeated(sides: Sequence[Sequence[str] | None], labels: Sequence[object]) -> list[str]:
    """A note where examples stand more than once: a test counts each as if it were new."""
    rows = list(zip(*(side for side in sides if side is not None), map(str, labels), strict=True))
    again = len(rows) - len(set(rows))
    if again < SOME * len(rows):
        return []
    return [
        f"{again:,} of {len(rows):,} examples stand there more than once. Each counts as one more, so intervals are "
        "narrower than they should be."
    ]


def _labels(path: Path, column: Sequence[object], rows: Sequence[int]) -> tuple[Label, ...]:
    labels = [_label(value) for value in column]
    for row, label in zip(rows, labels, strict=True):
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
    """Whether a label is the number of a class; with more digits than one has it is a name."""
    digits = name.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS


def _empty(path: Path) -> DataFileError:
    return _wrong(path, "no rows", "give at least one labeled sentence")


def _wrong(path: Path, got: str, remedy: str) -> DataFileError:
    return DataFileError(
        f"Evaluation file {path}",
        got=got,
        wanted=f"a file of labeled sentences ({', '.join(TABLES)})",
        remedy=remedy[0].upper() + remedy[1:] + ".",
    )
