"""A data file that a person named: its bytes, lines and tables, or a plain error.

Importing this module is light; pandas is imported when a table is read.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.errors import DataFileError

if TYPE_CHECKING:
    import pandas as pd

# names of the column that holds the text, the first that a file has
TEXT_COLUMNS = ("sentence", "text", "sentence1", "premise")
Wrong = Callable[[Path, str, str], DataFileError]  # path, what was got, what to do


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file that was read whole.

    Args:
        path: where it is.
        content: its bytes.
        wrong: makes the error for what is amiss with it.
    """

    path: Path
    content: bytes
    wrong: Wrong

    @property
    def ending(self) -> str:
        """The file's ending in lower case, with its dot."""
        return self.path.suffix.lower()

    @property
    def sha256(self) -> str:
        """Of the bytes, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    def text(self) -> str:
        """The content as text, without a byte order mark; a carriage return before a line feed goes."""
        try:
            text = self.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            row = self.content[: error.start].count(b"\n") + 1
            raise self.wrong(self.path, f"not UTF-8 at row {row}", "save the file as UTF-8") from None
        return text.replace("\r\n", "\n")

    def lines(self) -> list[str]:
        """The file's lines; only a line feed ends a line, since a sentence may hold other marks."""
        lines = self.text().split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    def records(self) -> list[dict[str, Any]]:
        """The objects of a ``.jsonl`` file."""
        records: list[dict[str, Any]] = []
        for row, line in enumerate(self.lines(), start=1):
            try:
                record = json.loads(line)
            except ValueError:
                got, advice = f"no JSON at row {row}", "give one object a line"
                raise self.wrong(self.path, got, advice) from None
            if not isinstance(record, dict):
                raise self.wrong(self.path, f"no JSON object at row {row}", "give one object a line")
            records.append(record)
        return records

    def parquet(self) -> pd.DataFrame:
        """The table of a ``.parquet`` file."""
        import pandas as pd
        import pyarrow as pa

        try:
            return pd.read_parquet(io.BytesIO(self.content))
        except (pa.ArrowException, OSError, ValueError):
            got = "not readable as Parquet"
            raise self.wrong(self.path, got, "write the file again") from None


def read_file(place: str | Path, endings: Collection[str], wrong: Wrong) -> DataFile:
    """Read a file whole.

    Args:
        place: the path; ``~`` is the user's own folder.
        endings: what its name may end in.
        wrong: makes the error.

    Raises:
        DataFileError: as ``wrong`` makes it: no such file, another ending, no permission.
    """
    try:
        path = Path(place).expanduser()
    except RuntimeError as error:  # ~nobody
        raise wrong(Path(place), str(error).lower(), "check the path") from None
    if path.suffix.lower() not in endings:
        raise wrong(path, "of another kind", "name a file ending in " + ", ".join(endings))
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise wrong(path, reason, "check the path and its permissions") from None
    return DataFile(path=path, content=content, wrong=wrong)
