"""Entropy coding of matrices of small whole numbers, by blocks of rows.

A matrix has one table of frequencies. Several neighbouring symbols go into the coder as one, whose chance is the
product of theirs: that changes no size and is several times quicker. The coder is `constriction`'s asymmetric numeral
system: ``AnsCoder`` of 32-bit words with ``Categorical(chances, perfect=False)``.

    lowest symbol (int8), symbols in the table A (uint8), frequencies (A,) uint16,
    words of each block (B,) uint32, words (uint32), all little-endian

Shapes: R rows, C columns, B blocks of rows, A symbols of the table, g symbols that are coded as one.
"""

from __future__ import annotations

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
    for first in range(0, shape[0], step):
        words.append(_words(symbols[first : first + step], low, frequencies))
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
    step, out = rows_per_block(shape[1]), np.empty((max(0, last - first), shape[1]), np.int8)
    for block in range(*blocks_of(rows, shape)):
        start, stop = block * step, min(block * step + step, shape[0])
        found = _symbols(words[ends[block] : ends[block + 1]], low, frequencies, (stop - start, shape[1]))
        a, b = max(start, first), min(stop, last)
        out[a - first : b - first] = found[a - start : b - start]
    return out


def ideal_bits(symbols: Symbols) -> float:
    """Entropy of symbols by their own frequencies, in bits."""
    counts = _counts(symbols)[1]
    counts = counts[counts > 0].astype(np.float64)
    return float((counts * np.log2(counts.sum() / counts)).sum()) if len(counts) else 0.0


def _counts(symbols: Symbols) -> tuple[int, NDArray[np.int64]]:
    """The lowest symbol, and how often it and all up to the highest occur (A,)."""
    flat = symbols.reshape(-1).view(np.uint8)
    found = np.zeros(256, np.int64)
    for at in range(0, len(flat), 1 << 22):
        found += np.bincount(flat[at : at + (1 << 22)], minlength=256)
    found = np.roll(found, 128)  # from -128
    present = np.flatnonzero(found)
    if not len(present):
        return 0, np.ones(1, np.int64)
    return int(present[0]) - 128, found[present[0] : present[-1] + 1]


def _joint(frequencies: NDArray[Any]) -> tuple[int, NDArray[np.float64]]:
    """How many symbols g are coded as one, and the chances of all combinations (A**g,)."""
    single = frequencies.astype(np.float64) / float(frequencies.sum(dtype=np.int64))
    size, joined, chances = len(single), 1, single
    while size > 1 and joined < MOST_JOINED and len(chances) * size <= JOINED:
        chances = (chances[:, None] * single[None, :]).reshape(-1)
        joined += 1
    return joined, chances


def _model(chances: NDArray[np.float64]) -> Any:
    import constriction

    return constriction.stream.model.Categorical(chances, perfect=False)


def _words(symbols: Symbols, low: int, frequencies: NDArray[Any]) -> NDArray[np.uint32]:
    """Coded words of a block."""
    import constriction

    if len(frequencies) == 1 or not symbols.size:
        return np.zeros(0, "<u4")
    joined, chances = _joint(frequencies)
    flat = (symbols.reshape(-1).astype(np.int16) - low).astype(np.int32)
    spare = -len(flat) % joined
    flat = np.concatenate([flat, np.full(spare, int(np.argmax(frequencies)), np.int32)])
    combined = np.zeros(len(flat) // joined, np.int32)
    for place in range(joined):
        combined *= len(frequencies)
        combined += flat[place::joined]
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(combined, _model(chances))
    return np.asarray(coder.get_compressed()).astype("<u4")


def _symbols(words: NDArray[Any], low: int, frequencies: NDArray[Any], shape: tuple[int, int]) -> Symbols:
    """The block (r, C) that words came from."""
    import constriction

    count = shape[0] * shape[1]
    if len(frequencies) == 1 or not count:
        if len(words):
            raise ValueError("words of a block that needs none")
        return np.full(shape, low, np.int8)
    joined, chances = _joint(frequencies)
    try:
        coder = constriction.stream.stack.AnsCoder(np.ascontiguousarray(words, np.uint32))
        combined = np.asarray(coder.decode(_model(chances), -(-count // joined)))
    except BaseException as error:  # the library panics on words that it never made
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise ValueError(f"words that cannot be decoded ({error})") from error
    if not coder.is_empty():
        raise ValueError("words to spare")
    digits = np.arange(len(chances))[:, None] // len(frequencies) ** np.arange(joined - 1, -1, -1)
    table = (digits % len(frequencies) + low).astype(np.int8)  # A**g, g
    return np.take(table, combined, axis=0).reshape(-1)[:count].reshape(shape)
