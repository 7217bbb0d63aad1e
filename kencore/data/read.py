"""One reader for every kind of table.

Importing this module is light; pandas and pyarrow are imported when a file is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kencore.data.files import DataFile
    from kencore.data.tables import Table


def read_table(file: DataFile, is_header: Callable[[list[str]], bool]) -> Table:
    """The table of a file of one of `kencore.settings.common.TABLES`.

    Args:
        is_header: whether the fields of the first row, in lower case, are names; asked of ``.tsv`` and ``.csv``.

    Raises:
        DataFileError: it is not what its name says; the message has the row.
    """
    if file.ending == ".parquet":
        from kencore.data.parquet import read_parquet

        return read_parquet(file)
    if file.ending in (".jsonl", ".json"):
        from kencore.data.objects import read_objects

        return read_objects(file)
    from kencore.data.delimited import read_delimited

    return read_delimited(file, is_header)
