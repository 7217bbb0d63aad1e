"""What a Parquet file says of its sizes, read before Arrow unpacks anything.

A page of a few bytes can stand for gigabytes, and of a column whose record does not fit together Arrow's own record
ends the process. So the footer and the header of every page are read here: they are structs of Thrift's compact
protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md) whose fields have the
numbers of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

MAGIC: Final = b"PAR1"
MOST_PARTS: Final = 1_000_000  # values of footer and headers: about a second
DEEPEST: Final = 16
_GROUPS, _COLUMNS, _COLUMN = 4, 1, 3  # of a file, a group of rows, a column in it
_VALUES, _BYTES, _DATA, _DICTIONARY = 5, 7, 9, 11  # of a column's record
_UNPACKED, _PACKED = 2, 3  # of a page
_COUNTED: Final = {5: True, 7: False, 8: True}  # headers of a page that begin with a count; whether of the column's


@dataclass(slots=True)
class Sizes:
    """The largest of what a file holds: values of a column in one group of rows, bytes of one page when unpacked."""

    values: int = 0
    page: int = 0


def sizes(content: bytes | mmap.mmap) -> Sizes:
    """What a file says of its sizes.

    Raises:
        ValueError: it is no Parquet file, encrypted, or damaged where it says so.
    """
    if content[:4] != MAGIC or content[-4:] != MAGIC or len(content) < 12:
        raise ValueError("no Parquet file")
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    read, found = _Thrift(content, begin), Sizes()
    try:
        for group in read.struct()[_GROUPS]:
            for column in group[_COLUMNS]:
                said = column[_COLUMN]
                found.values = max(found.values, _count(said[_VALUES]))
                for values, unpacked in _pages(read, said):
                    found.values, found.page = max(found.values, values), max(found.page, unpacked)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("a footer or a page that is damaged") from None
    return found


def _pages(read: _Thrift, said: dict[int, Any]) -> Iterator[tuple[int, int]]:
    """Values and unpacked bytes of each page of a column, values counted from its first page on."""
    place, first = said[_DATA], said.get(_DICTIONARY)
    if first is not None and 0 < first < place:
        place = first
    end, left, seen = place + said[_BYTES], said[_VALUES], 0
    while left > 0 and place < end:
        read.place = place
        header = read.struct()
        ours = min(_COUNTED.keys() & header.keys(), default=0)
        values, counted = _count(header[ours][1]), _COUNTED[ours]
        left, seen = left - values * counted, seen + values * counted
        yield (seen if counted else values), _count(header[_UNPACKED])
        place = read.place + _count(header[_PACKED])


def _count(value: int) -> int:
    if value < 0:
        raise ValueError("a size below nothing")
    return value


class _Thrift:
    """Structs of the compact protocol in some bytes, one after the other from ``place`` on."""

    def __init__(self, content: bytes | mmap.mmap, place: int) -> None:
        self._content, self.place, self._left = content, place, MOST_PARTS
        if place < 0:
            raise ValueError("a footer longer than the file")

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of the struct that begins here, by their numbers."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            raise ValueError("more in its footer and pages than is read")
        if kind in (1, 2, 3):  # true and false in a list, a byte
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 8:
            return self._skip(self._number())
        if kind in (9, 10):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._number()
            return [self._value(head & 15, depth + 1) for _ in range(size)]
        if kind == 12:
            return self.struct(depth + 1)
        if kind == 7:
            return self._skip(8)
        raise ValueError("a footer or a page that is damaged")  # Parquet has no maps

    def _byte(self) -> int:
        self.place += 1
        return self._content[self.place - 1]

    def _skip(self, size: int) -> None:
        self.place += size

    def _number(self) -> int:
        found = shift = 0
        while (byte := self._byte()) & 128:
            found |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number beyond 64 bits")
        return found | byte << shift

    def _signed(self) -> int:
        found = self._number()
        return (found >> 1) ^ -(found & 1)
