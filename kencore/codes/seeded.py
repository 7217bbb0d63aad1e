"""A random share of the entries, chosen by a seed and never stored: one sign each, and the gain of the matrix.

The choice is drawn by Philox4x64-10 (Salmon et al. 2011) as `numpy.random.Philox` has it, whose streams numpy keeps:
block b of a matrix (`kencore.codes.coded.BLOCK`) takes the raw words of key (seed, stream) from counter (0, b, 0, 0)
on, as little-endian 16-bit numbers, one per entry, row by row; an entry is chosen where its number is below
``share``, in parts of 65,536.

What is not chosen stays at the base; what is stands for all, so the expected difference points where the real signs
do. Undirected noise hardly hurts small differences and ruins large ones.

    scale (1,) float16, bytes of each block (B,) uint32, steps of rows (R,) as `encode_symbols` has them where there
    are any, with their length (uint32) before them, signs of chosen entries as bits, lowest first, each block from a
    new byte

Shapes: R rows (outputs), C columns (inputs), B blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.codes.coded import Coded, Floats, Mask, Matrix, Reader, blocks_of, count_blocks, rows_per_block, whole
from kencore.codes.levels import laid, row_squares
from kencore.codes.scales import HIGHEST, LOWEST, from_halves, from_steps, halves, row_steps
from kencore.codes.symbols import decode_symbols, encode_symbols

PARTS = 1 << 16


def chosen(block: int, count: int, share: int, seed: int, stream: int) -> Mask:
    """Which entries (n,) of a block are chosen."""
    return numbers(block, count, share, seed, stream) < share


def numbers(block: int, count: int, share: int, seed: int, stream: int) -> NDArray[np.uint16]:
    """The number (n,) of each entry of a block; zeros where all are chosen, which takes no draw."""
    if share >= PARTS:
        return np.zeros(count, np.uint16)
    generator = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=np.array([0, block, 0, 0], np.uint64))
    words: Any = generator.random_raw(-(-count // 4))
    return np.asarray(words.astype("<u8", copy=False).view("<u2")[:count], np.uint16)


def seeded(d: Matrix, share: float, *, seed: int, stream: int, by_row: bool) -> Coded:
    """Code a difference (R, C) by a random choice.

    Args:
        share: that is chosen, 0 to 1.
        seed, stream: of the choice: whole numbers from 0, below 2**63 and 2**32.
        by_row: rows have scales of their own, in steps of an eighth of an octave.
    """
    from kencore.codes.kernels import draw_signs

    shape, parts = (d.shape[0], d.shape[1]), min(max(1, round(share * PARTS)), PARTS)
    squares = row_squares(d)
    steps = row_steps(np.sqrt(squares)) if by_row else np.zeros(shape[0], np.int8)
    factors = from_steps(steps)
    bits, along = [], 0.0
    for _, rows, drawn in _blocks(shape, slice(None), parts, seed, stream):
        signs = np.empty(len(drawn) // 8 + 1, np.uint8)
        count, more = draw_signs(laid(d[rows]), factors[rows], drawn, parts, signs)
        along += more
        bits.append(signs[: -(-count // 8)])
    power, scale = halves([float(squares.sum()) / along if along > 0 else 0.0])
    coarse = encode_symbols(steps[None, :]) if by_row else b""
    sizes = np.array([len(block) for block in bits], "<u4")
    head = scale.tobytes() + sizes.tobytes() + (np.array([len(coarse)], "<u4").tobytes() + coarse if by_row else b"")
    facts = {"share": parts, "seed": seed, "stream": stream, "power": power} | ({"rows": 1} if by_row else {})
    return Coded(code="seeded", shape=shape, facts=facts, data=head + b"".join(block.tobytes() for block in bits))


def rows_of(coded: Coded, rows: slice) -> tuple[Floats, Mask]:
    """The coded difference of some rows (r, C), and which entries were chosen."""
    from kencore.codes.kernels import open_signs

    reader, facts, shape = Reader(coded.data), coded.facts, coded.shape
    parts, seed = whole(facts, "share", 1, PARTS), whole(facts, "seed", 0, 2**63 - 1)
    stream = whole(facts, "stream", 0, 2**32 - 1)
    scale = from_halves(whole(facts, "power", LOWEST, HIGHEST), reader.take("<f2", 1))
    sizes = reader.take("<u4", count_blocks(shape)).astype(np.int64)
    factors = np.ones(shape[0], np.float32)
    if whole({"rows": 0, **facts}, "rows", 0, 1):
        coarse = reader.take("u1", int(reader.take("<u4", 1)[0]))
        factors = from_steps(decode_symbols(coarse.data, (1, shape[0]))[0])
    stored = reader.take("u1", int(sizes.sum()))
    if len(reader.rest()):
        raise ValueError("signs with bytes to spare")
    ends = np.concatenate([[0], np.cumsum(sizes)])
    first, last, _ = rows.indices(shape[0])
    values = np.empty((max(0, last - first), shape[1]), np.float32)
    mask = np.empty(values.shape, np.bool_)
    for block, part, drawn in _blocks(shape, rows, parts, seed, stream):
        count = int(np.count_nonzero(drawn < parts))
        if sizes[block] != -(-count // 8):
            raise ValueError(f"{sizes[block]:,} bytes for {count:,} signs")
        signs = np.append(stored[ends[block] : ends[block + 1]], np.uint8(0))
        start, stop = max(part.start, first), min(part.stop, last)
        before = drawn[: (start - part.start) * shape[1]]
        own = drawn[len(before) : (stop - part.start) * shape[1]]
        skipped = int(np.count_nonzero(before < parts))
        here = slice(start - first, stop - first)
        open_signs(own, parts, signs, skipped, scale[0], factors[start:stop], values[here], mask[here])
    return values, mask


def scale_bytes(coded: Coded) -> int:
    """Bytes of the data that are scales: of the matrix, and of its rows where they have some."""
    if not coded.facts.get("rows"):
        return 2
    reader = Reader(coded.data)
    reader.take("<f2", 1)
    reader.take("<u4", count_blocks(coded.shape))
    return 2 + 4 + int(reader.take("<u4", 1)[0])


def _blocks(
    shape: tuple[int, int], rows: slice, share: int, seed: int, stream: int
) -> Iterator[tuple[int, slice, NDArray[np.uint16]]]:
    """Number, rows and numbers (n,) of every block that some rows reach into."""
    step = rows_per_block(shape[1])
    for block in range(*blocks_of(rows, shape)):
        part = slice(block * step, min(block * step + step, shape[0]))
        yield block, part, numbers(block, (part.stop - part.start) * shape[1], share, seed, stream)
