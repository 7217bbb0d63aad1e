"""One reader for every kind of table.

Importing this module is light; pandas and pyarrow are imported when a file is read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from kencore.errors import JobCancelled, KencoreError

if TYPE_CHECKING:
    from kencore.data.files import DataFile
    from kencore.data.tables import Table

LOG = logging.getLogger("kencore")
LONGEST = 200


def read_table(file: DataFile, is_header: Callable[[list[str]], bool]) -> Table:
    """The table of a file of one of `kencore.settings.common.TABLES`.

    Args:
        is_header: whether the fields of the first row, in lower case, are names; asked of ``.tsv`` and ``.csv``.

    Raises:
        DataFileError: it is not what its name says; the message has the row. What a library raises is one of
            these, too, chained and logged.
    """
    try:
        return _read(file, is_header)
    except (KencoreError, JobCancelled):
        raise
    except Exception as error:  # libraries raise what they like
        LOG.info("Reading %s failed", file.path, exc_info=True)
        said = " ".join(str(error).split())[:LONGEST] or type(error).__name__
        got = f"not readable ({type(error).__name__}: {said})"
        raise file.wrong(file.path, got, f"a guess: it is damaged, or not what {file.ending} says") from error


def _read(file: DataFile, is_header: Callable[[list[str]], bool]) -> Table:
    if file.ending == ".parquet":
        from kencore.data.parquet import read_parquet

        return read_parquet(file)
    if file.ending in (".jsonl", ".json"):
        from kencore.data.objects import read_objects

        return read_objects(file)
    from kencore.data.delimited import read_delimited

    return read_delimited(file, is_header)
