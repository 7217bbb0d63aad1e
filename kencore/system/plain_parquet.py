"""Parquet files that somebody else may have written: the one place that reads them whole, with bounds.

A few bytes of such a file can stand for gigabytes (a value that is repeated), so that what it says of its sizes is
looked at first (`kencore.system.parquet_pages`), and rows and bytes are counted while they are unpacked.
"""

from __future__ import annotations

import mmap
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kencore.system.parquet_pages import sizes

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
    at_once = _rows_at_once(source, most_rows, most_bytes)
    try:
        with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
            _check_size(file.metadata.num_rows, most_rows)
            batches, size = [], 0
            for batch in file.iter_batches(at_once, use_threads=False):
                size += batch.nbytes
                if size > most_bytes:
                    raise ValueError(f"more than {most_bytes:,} bytes of values")
                batch.validate(full=True)  # texts in UTF-8: Parquet itself takes any bytes
                batches.append(batch)
            return pa.Table.from_batches(batches, schema=file.schema_arrow).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(str(error).partition("\n")[0][:200] or type(error).__name__) from error


def _rows_at_once(source: Path | bytes, most_rows: int, most_bytes: int) -> int:
    """So many rows that each may hold all that a page of the file does, after a look at what it says of its sizes."""
    if isinstance(source, bytes):
        said = sizes(source)
    else:
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            said = sizes(content)
    _check_size(said.values, most_rows)
    if said.page > most_bytes:
        raise ValueError(f"a page of {said.page:,} bytes, and {most_bytes:,} are read")
    return max(1, min(AT_ONCE, most_bytes // max(1, said.page)))


def _check_size(rows: int, most: int) -> None:
    """Refuse more rows or values in a column than ``most``, by what the file says of itself."""
    if not 0 <= rows <= most:
        raise ValueError(f"{rows:,} rows, and {most:,} are read")
