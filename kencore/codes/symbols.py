"""Entropy coding of matrices of small whole numbers, by blocks of rows.

A matrix has one table of frequencies. Several neighbouring symbols go into the coder as one, whose chance is the
product of theirs: that changes no size and is several times quicker. The coder is an asymmetric numeral system
(Duda, 1311.2540), the one that `constriction` 0.5 has: ``AnsCoder`` of 32-bit words with
``Categorical(chances, perfect=False)``, whose bytes these are. It is compiled here, where it is several times quicker.

    lowest symbol (int8), symbols in the table A (uint8), frequencies (A,) uint16,
    words of each block (B,) uint32, words (uint32), all little-endian

Shapes: R rows, C columns, B blocks of rows, A symbols of the table, g symbols that are coded as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.codes.coded import Reader, blocks_of, count_blocks, rows_per_block

Symbols = NDArray[np.int8]
JOINED = 2048  # chances in a joint table at most
MOST_JOINED = 8  # symbols


def encode_symbols(symbols: Symbols) -> bytes:
    """Bytes of symbols (R, C), -127 to 127."""
    shape = (symbols.shape[0], symbols.shape[1])
    low, counts = _counts(symbols)
    scale = 65535 / max(1, int(counts.max(initial=1)))
    frequencies = np.maximum(1, np.rint(counts * scale)).astype("<u2")  # A
    frequencies[counts == 0] = 0
    step, words = rows_per_block(shape[1]), []
    table = _table(low, frequencies)
    for first in range(0, shape[0], step):
        words.append(_words(symbols[first : first + step], table))
    head = np.array([low], np.int8).tobytes() + np.array([len(frequencies)], np.uint8).tobytes()
    lengths = np.array([len(block) for block in words], "<u4")
    return b"".join([head, frequencies.tobytes(), lengths.tobytes(), *(block.tobytes() for block in words)])


def decode_symbols(data: bytes | memoryview, shape: tuple[int, int], rows: slice = slice(None)) -> Symbols:
    """Symbols of some rows (r, C).

    Raises:
        ValueError: the data are not what `encode_symbols` makes of a matrix of this shape.
    """
    reader = Reader(data)
    low, size = int(reader.take("i1", 1)[0]), int(reader.take("u1", 1)[0])
    frequencies = reader.take("<u2", size)
    lengths = reader.take("<u4", count_blocks(shape)).astype(np.int64)  # B
    words = reader.take("<u4", int(lengths.sum()))
    if len(reader.rest()) or not size or not frequencies.any() or low + size - 1 > 127:
        raise ValueError("symbols with bytes to spare or without a table")
    ends = np.concatenate([[0], np.cumsum(lengths)])
    first, last, _ = rows.indices(shape[0])
    step, out, table = rows_per_block(shape[1]), np.empty((max(0, last - first), shape[1]), np.int8), None
    for block in range(*blocks_of(rows, shape)):
        table = table or _table(low, frequencies)
        start, stop = block * step, min(block * step + step, shape[0])
        a, b = max(start, first), min(stop, last)
        inside = (a, b) == (start, stop)
        found = out[a - first : b - first] if inside else np.empty((stop - start, shape[1]), np.int8)
        _symbols(words[ends[block] : ends[block + 1]], table, found.reshape(-1))
        if not inside:
            out[a - first : b - first] = found[a - start : b - start]
    return out


def ideal_bits(symbols: Symbols) -> float:
    """Entropy of symbols by their own frequencies, in bits."""
    counts = _counts(symbols)[1]
    counts = counts[counts > 0].astype(np.float64)
    return float((counts * np.log2(counts.sum() / counts)).sum()) if len(counts) else 0.0


def counts_of(symbols: Symbols) -> NDArray[np.int64]:
    """How often each symbol occurs, from -128 on (256,)."""
    from kencore.codes.kernels import count_symbols

    found = np.zeros(256, np.int64)
    count_symbols(np.ascontiguousarray(symbols).reshape(-1), found)
    return found


def _counts(symbols: Symbols) -> tuple[int, NDArray[np.int64]]:
    """The lowest symbol, and how often it and all up to the highest occur (A,)."""
    found = counts_of(symbols)
    present = np.flatnonzero(found)
    if not len(present):
        return 0, np.ones(1, np.int64)
    return int(present[0]) - 128, found[present[0] : present[-1] + 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The chances of symbols as the coder takes them.

    Args:
        low, size: the lowest symbol and how many there are; likely: the likeliest, counted from the lowest.
        edges: where the chances of each combination begin, in parts of 2**24, and their end (A**g + 1,).
        first: the combination that holds the start of each slot of parts.
        digits: symbols of each combination (A**g, g).
    """

    low: int
    size: int
    likely: int
    edges: NDArray[np.uint64]
    first: NDArray[np.int32]
    digits: Symbols


def _table(low: int, frequencies: NDArray[Any]) -> _Table:
    from kencore.codes.kernels import PRECISION, SLOT

    joined, chances = _joint(frequencies)
    edges = _edges(chances, PRECISION)
    slots = np.arange((1 << SLOT) + 1, dtype=np.uint64) << np.uint64(PRECISION - SLOT)
    first = np.minimum(np.searchsorted(edges, slots, side="right") - 1, len(chances) - 1).astype(np.int32)
    places = np.arange(len(chances))[:, None] // len(frequencies) ** np.arange(joined - 1, -1, -1)
    digits = np.ascontiguousarray(places % len(frequencies) + low, np.int8)
    likely, size = int(np.argmax(frequencies)), len(frequencies)
    return _Table(low=low, size=size, likely=likely, edges=edges, first=first, digits=digits)


def _joint(frequencies: NDArray[Any]) -> tuple[int, NDArray[np.float64]]:
    """How many symbols g are coded as one, and the chances of all combinations (A**g,)."""
    single = frequencies.astype(np.float64) / float(frequencies.sum(dtype=np.int64))
    size, joined, chances = len(single), 1, single
    while size > 1 and joined < MOST_JOINED and len(chances) * size <= JOINED:
        chances = (chances[:, None] * single[None, :]).reshape(-1)
        joined += 1
    return joined, chances


def _edges(chances: NDArray[np.float64], precision: int) -> NDArray[np.uint64]:
    """Where chances (J,) begin in parts of 2**precision, and their end (J + 1,): each has a part at least.

    Sums are taken one after the other, so that every machine finds the same.
    """
    sums = np.cumsum(chances)
    scale = float((1 << precision) - len(chances)) / float(sums[-1])
    starts = np.concatenate([[0.0], sums[:-1]]) * scale
    return np.append(starts.astype(np.uint64) + np.arange(len(chances), dtype=np.uint64), np.uint64(1 << precision))


def _words(symbols: Symbols, table: _Table) -> NDArray[np.uint32]:
    """Coded words of a block."""
    from kencore.codes.kernels import encode

    if table.size == 1 or not symbols.size:
        return np.zeros(0, "<u4")
    joined = table.digits.shape[1]
    words = np.empty(-(-symbols.size // joined) + 2, np.uint32)
    flat = np.ascontiguousarray(symbols).reshape(-1)
    return words[: encode(flat, table.low, table.size, joined, table.likely, table.edges, words)].astype("<u4")


def _symbols(words: NDArray[Any], table: _Table, out: Symbols) -> None:
    """Put the symbols of a block that words came from into ``out``, laid flat."""
    from kencore.codes.kernels import decode

    if table.size == 1 or not out.size:
        if len(words):
            raise ValueError("words of a block that needs none")
        out[:] = table.low
        return
    if not len(words) or not words[-1]:
        raise ValueError("words that no writer ends with")
    if not decode(np.array(words, np.uint32), table.edges, table.first, table.digits, out):
        raise ValueError("words to spare")
