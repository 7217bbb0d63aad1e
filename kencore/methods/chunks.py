"""A matrix in chunks of whole rows: small enough for the processor's cache, shared by threads.

What a rule does with a row never depends on the rows beside it, nor on where a chunk ends.

Shapes: R rows, C columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kencore.methods.checks import check_finite, check_float32

Mask = NDArray[np.bool_]
Budget = NDArray[np.int64]
CHUNK_ENTRIES = 1 << 16

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Neighbouring rows of one matrix, as a rule gets them.

    Args:
        tuned: float32 or float64 (R, C), finite, contiguous.
        base: the same of the base model, or ``None``.
        draws: uint32 (R, C), what each entry drew, for the ``random`` rule.
        first: which row of the matrix the first one is.
        name: of the tensor, for messages.
    """

    tuned: NDArray[Any]
    base: NDArray[Any] | None = None
    draws: NDArray[np.uint32] | None = None
    first: int = 0
    name: str = "weight"

    def as_float32(self) -> NDArray[np.float32]:
        """``tuned`` rounded to float32, which the rules with a density are defined in."""
        if self.tuned.dtype == np.float32:
            return self.tuned
        with np.errstate(over="ignore"):
            rounded = self.tuned.astype(np.float32)
        check_float32(rounded, self.first, self.name)
        return rounded


class Prepared(Protocol):
    """Rows after all the work that does not depend on how many entries are kept."""

    def keep(self, budget: Budget) -> Mask:
        """The keep mask (R, C) for a budget (R,) of 1 to C entries per row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A whole matrix, handed out in `Rows`; see there for the fields."""

    tuned: NDArray[Any]
    base: NDArray[Any] | None
    draws: NDArray[np.uint32] | None
    name: str

    @property
    def height(self) -> int:
        """Rows per chunk."""
        columns: int = self.tuned.shape[1]
        return max(1, CHUNK_ENTRIES // max(1, columns))

    @property
    def starts(self) -> range:
        """First row of each chunk; none for a matrix without entries."""
        return range(0, self.tuned.shape[0] if self.tuned.size else 0, self.height)

    def rows(self, first: int) -> Rows:
        """The chunk that begins at row ``first``, copied only where dtype or strides ask for it.

        Raises:
            NonFiniteWeightError: NaN or infinity in it.
        """
        own = slice(first, first + self.height)
        tuned, base = _contiguous(self.tuned[own]), None
        check_finite(tuned, first, self.name)
        if self.base is not None:
            base = _contiguous(self.base[own])
            check_finite(base, first, f"base of {self.name}")
        draws = None if self.draws is None else self.draws[own]
        return Rows(tuned=tuned, base=base, draws=draws, first=first, name=self.name)


def in_order(function: Callable[[T], S], items: Sequence[T], threads: int) -> list[S]:
    """``function`` of each item, on ``threads`` threads; raises the first failing item's error."""
    if threads <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        try:
            return list(pool.map(function, items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _contiguous(rows: NDArray[Any]) -> NDArray[Any]:
    dtype = np.float64 if rows.dtype == np.float64 else np.float32
    return np.ascontiguousarray(rows, dtype=dtype)
