"""A coded matrix: a few facts that go into JSON, and bytes.

What reads one trusts nothing: sizes follow from the shape, which the base's tensor must have, and whatever does not
fit is a `ValueError`.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Matrix(Protocol):
    """Numbers (R, C), float32, that are read some rows at a time: an array, or what lies in files."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(R, C)."""

    @property
    def size(self) -> int:
        """R C."""

    def __getitem__(self, rows: slice, /) -> Floats:
        """Some rows (r, C)."""


Mask = NDArray[np.bool_]
BLOCK = 1 << 18  # symbols that are coded together, so that a row opens without the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One matrix in one code.

    Args:
        code: its name in `kencore.codes.table.CODES`.
        shape: (R, C) of the matrix.
        facts: numbers that its reader needs, as JSON has them.
        data: everything else.
    """

    code: str
    shape: tuple[int, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    data: bytes | memoryview = b""

    @property
    def bits(self) -> int:
        """Bits of the data; the facts come to a few bytes."""
        return 8 * len(self.data)


def rows_per_block(columns: int) -> int:
    """Rows that are coded together."""
    return max(1, BLOCK // max(1, columns))


def blocks_of(rows: slice, shape: tuple[int, int]) -> tuple[int, int]:
    """First block that some rows reach into, and the one after the last; none of no rows."""
    first, last, _ = rows.indices(shape[0])
    step = rows_per_block(shape[1])
    return (first // step, -(-last // step)) if last > first else (0, 0)


def count_blocks(shape: tuple[int, int]) -> int:
    """Blocks of a matrix."""
    return -(-shape[0] // rows_per_block(shape[1]))


class Reader:
    """Reads arrays off bytes, one after the other.

    Raises:
        ValueError: fewer bytes than are asked for.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, dtype: str, count: int) -> NDArray[Any]:
        """The next ``count`` numbers, a read-only view."""
        size = np.dtype(dtype).itemsize * count
        if count < 0 or self.at + size > len(self.data):
            raise ValueError(f"{len(self.data):,} bytes, which end before all is read")
        found = np.frombuffer(self.data, np.uint8, size, self.at).view(dtype)
        self.at += size
        return found

    def rest(self) -> memoryview:
        """All that was not read."""
        return self.data[self.at :]


def whole(facts: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """A whole number among the facts, from ``low`` to ``high``.

    Raises:
        ValueError: it is none, or out of range.
    """
    value = facts.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} {value!r}, not from {low} to {high}")
    return value
