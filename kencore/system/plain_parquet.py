"""Parquet files that somebody else may have written: the one place that reads them whole, with bounds.

A few bytes of such a file can stand for gigabytes (a value that is repeated), so that rows and bytes are counted
while they are unpacked.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS: Final = 2_000_000
MOST_BYTES: Final = 64 * 2**20
AT_ONCE: Final = 256  # rows


def read_parquet(source: Path | bytes, *, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> pa.Table:
    """The table in a file, or in the content of one.

    Raises:
        OSError: there is no such file, or it is no plain file.
        ValueError: it is no Parquet file, damaged, or has more rows or bytes than are read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
        raise OSError(f"{source.name} is no file")
    try:
        with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
            _check_size(file.metadata, most_rows)
            batches, size = [], 0
            for batch in file.iter_batches(AT_ONCE, use_threads=False):
                size += batch.nbytes
                if size > most_bytes:
                    raise ValueError(f"more than {most_bytes:,} bytes of values")
                batches.append(batch)
            return pa.Table.from_batches(batches, schema=file.schema_arrow).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(str(error).partition("\n")[0][:200] or type(error).__name__) from error


def _check_size(said: Any, most: int) -> None:
    """Refuse more rows or values in a column than ``most``, by what the file says of itself."""
    values = [said.num_rows]
    for number in range(said.num_row_groups):
        group = said.row_group(number)
        values += [group.num_rows, *(group.column(column).num_values for column in range(group.num_columns))]
    if min(values) < 0 or max(values) > most:
        raise ValueError(f"{max(values):,} rows, and {most:,} are read")
