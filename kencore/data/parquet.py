"""Tables of Parquet, whichever way Arrow keeps their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kencore.data.tables import Table
from kencore.system.plain_parquet import read_parquet as read_parquet_table

if TYPE_CHECKING:
    import pyarrow as pa

    from kencore.data.files import DataFile


MOST_ROWS: Final = 10_000_000
MOST_BYTES: Final = 192 * 2**20  # of values, whatever they are packed to


def read_parquet(file: DataFile) -> Table:
    """The table of a ``.parquet`` file; what lies inside a field becomes columns too.

    Dictionaries (categories), views, large texts and bytes come as plain values.

    Raises:
        DataFileError: not Parquet, or bytes that are no UTF-8.
    """
    import pyarrow as pa

    try:
        table = read_parquet_table(file.content, most_rows=MOST_ROWS, most_bytes=MOST_BYTES)
        while any(pa.types.is_struct(kind) for kind in table.schema.types):
            table = table.flatten()
    except (pa.ArrowException, OSError, ValueError):
        raise file.wrong(file.path, "not readable as Parquet", "write the file again") from None
    return Table(
        names=tuple(map(str, table.column_names)),
        rows=np.arange(1, table.num_rows + 1),
        take=lambda n: _cells(file, table.column_names[n], table.column(n)),
    )


def _cells(file: DataFile, name: str, column: pa.ChunkedArray[Any]) -> list[Any]:
    import pyarrow as pa

    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if _is_bytes(column.type):
            column = column.cast(pa.string())
    except pa.ArrowException:
        raise file.wrong(file.path, f"bytes that are no UTF-8 in column {name}", "write them as text") from None
    cells: list[Any] = column.to_pylist()
    return cells


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)
