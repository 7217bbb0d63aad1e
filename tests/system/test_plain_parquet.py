"""Parquet files of others: their sizes are known before anything is unpacked; no byte of a footer ends the process."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kencore.system.parquet_pages import sizes
from kencore.system.plain_parquet import read_parquet

TABLE = pa.table({"text": ["a", "b", None] * 400, "many": [[1, None], [], None] * 400})
EVERY_BYTE = """
import sys
from kencore.system.plain_parquet import read_parquet
content, ends = bytearray(sys.stdin.buffer.read()), {True: 0, False: 0}
for place in range(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), len(content) - 8):
    for value in (0, content[place] ^ 2):
        changed = bytes(content[:place]) + bytes([value]) + bytes(content[place + 1:])
        try:
            read_parquet(changed)
            ends[True] += 1
        except ValueError:
            ends[False] += 1
assert min(ends.values()) > 5, ends
"""


def written(table: pa.Table, **options: Any) -> bytes:
    place = io.BytesIO()
    pq.write_table(table, place, **options)
    return place.getvalue()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_sizes_are_those_of_arrow(version: str, dictionary: bool, tmp_path: Path) -> None:
    content = written(
        TABLE, row_group_size=500, data_page_version=version, use_dictionary=dictionary, data_page_size=64
    )
    said = pq.ParquetFile(io.BytesIO(content)).metadata
    columns = [said.row_group(group).column(column) for group in range(3) for column in range(2)]
    found = sizes(content)
    assert found.values == max(column.num_values for column in columns) > 500
    assert 0 < found.page < max(column.total_uncompressed_size for column in columns)
    (tmp_path / "a.parquet").write_bytes(content)
    assert read_parquet(tmp_path / "a.parquet").equals(TABLE)
    assert read_parquet(content).equals(TABLE)
    with pytest.raises(ValueError, match="are read"):
        read_parquet(content, most_rows=found.values - 1)
    with pytest.raises(ValueError, match="a page of"):
        read_parquet(content, most_bytes=found.page - 1)


def test_what_a_page_says_counts_more_than_what_the_footer_says() -> None:
    content = written(pa.table({"a": pa.array([[None] * 10_000], pa.list_(pa.int32()))}), compression="none")
    number = bytes((0xA0, 0x9C, 0x01))  # 10,000 as a number with a sign
    place = content.index(number)
    assert sizes(content).values == 10_000
    assert sizes(content[:place] + bytes((0xFE, 0xFF, 0x7F)) + content[place + 3 :]).values == 2**20 - 1


def test_texts_are_utf_8() -> None:
    content = written(pa.table({"a": ["abcdefgh"]}), compression="none", use_dictionary=False, write_statistics=False)
    with pytest.raises(ValueError, match=r"(?i)utf-?8"):
        read_parquet(content.replace(b"abcdefgh", b"abc\xffefgh"))


def test_no_byte_of_a_footer_ends_the_process() -> None:
    content = written(pa.table({"a": ["x"]}), store_schema=False, compression="none")
    ended = subprocess.run([sys.executable, "-c", EVERY_BYTE], input=content, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr[-500:]
