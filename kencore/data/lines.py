"""Sentences without labels: the lines of a text file, or a column of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kencore.data.files import DataFile, read_file
from kencore.data.text import ENDINGS, column_of
from kencore.errors import DataFileError
from kencore.settings.common import PLAIN

LEAST = 2  # sentences: one alone has no interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Sentences in the order of their file.

    Args:
        texts: one sentence each.
        source: the path as it was given.
        sha256: of the file's bytes.
        notes: what a person should know of how the file was read, and of how the model embeds it.
    """

    texts: tuple[str, ...]
    source: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


def read_lines(source: str | Path) -> Lines:
    """Read sentences: one a line of a ``.txt`` or ``.md`` file, or the column of text of a table.

    Raises:
        DataFileError: no such file, an unreadable one, no such column, or fewer than two sentences.
    """
    file = read_file(source, ENDINGS, _wrong)
    texts, notes = _texts(file)
    kept = tuple(text.strip() for text in texts if text.strip())
    if len(kept) < LEAST:
        raise _wrong(file.path, f"{len(kept)} sentences", f"give {LEAST} or more, one a line")
    return Lines(texts=kept, source=str(source), sha256=file.sha256, notes=notes)


def _texts(file: DataFile) -> tuple[Sequence[str], tuple[str, ...]]:
    return (file.text.splitlines(), file.notes) if file.ending in PLAIN else column_of(file)


def _wrong(path: Path, got: str, remedy: str) -> DataFileError:
    return DataFileError(
        f"Sentences {path}",
        got=got,
        wanted=f"a file of sentences, one a line or a column of text ({', '.join(ENDINGS)})",
        remedy=remedy[0].upper() + remedy[1:] + ".",
    )
