"""Labelled examples read from a file: sentences, or pairs of them, and their labels.

Importing this module is light; pandas is imported when a file is read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.errors import DataFileError

if TYPE_CHECKING:
    import pandas as pd

Label = int | str
ENDINGS = (".tsv", ".jsonl", ".parquet")
FIRST = ("sentence", "text", "sentence1", "premise")
SECOND = ("sentence2", "hypothesis")
LABEL = "label"
COLUMNS = (
    f"a column {LABEL} and one of {', '.join(FIRST)} "
    f"(for sentence pairs also one of {', '.join(SECOND)})"
)


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
    try:
        path = demo_sentences() if str(source) == "demo" else Path(source).expanduser()
    except RuntimeError as error:  # ~nobody
        raise _wrong(Path(source), str(error).lower(), "check the path") from None
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise _wrong(path, "of another kind", "name a file ending in " + ", ".join(ENDINGS))
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise _wrong(path, reason, "check the path and its permissions") from None
    if ending == ".parquet":
        table, first_row = _parquet(path, content), 1
    else:
        lines = _decoded(path, content)
        table, first_row = _tsv(path, lines) if ending == ".tsv" else (_jsonl(path, lines), 1)
    return _examples(path, table, first_row, str(source), hashlib.sha256(content).hexdigest())


def demo_sentences() -> Path:
    """The labelled sentences that ship with the project."""
    chosen = os.environ.get("KENVIZ_ASSETS")
    assets = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "assets"
    return assets / "demo" / "sentences.tsv"


# --- the three kinds of file --------------------------------------------------------------------


def _decoded(path: Path, content: bytes) -> list[str]:
    """The file's lines; only a line feed ends a line, since a sentence may hold other marks."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise _wrong(path, f"not UTF-8 at row {row}", "save the file as UTF-8") from None
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _tsv(path: Path, lines: list[str]) -> tuple[pd.DataFrame, int]:
    """The table and the row number, counted from 1, of its first example."""
    import pandas as pd

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


def _jsonl(path: Path, lines: list[str]) -> pd.DataFrame:
    import pandas as pd

    records: list[dict[str, Any]] = []
    for row, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError:
            raise _wrong(path, f"no JSON at row {row}", "give one object a line") from None
        if not isinstance(record, dict):
            raise _wrong(path, f"no JSON object at row {row}", "give one object a line")
        records.append(record)
    # dtype=object: a label that is missing in one row must not turn the others into floats
    return pd.DataFrame(records, dtype=object)


def _parquet(path: Path, content: bytes) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError):
        raise _wrong(path, "not readable as Parquet", "write the file again") from None


# --- from a table to examples -------------------------------------------------------------------


def _examples(
    path: Path, table: pd.DataFrame, first_row: int, source: str, sha256: str
) -> Examples:
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
            raise _wrong(
                path, f"no {column.name} at row {row}", "remove the row, or give it its text"
            )
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
