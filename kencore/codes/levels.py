"""Levels by row, and signs of the largest differences: symbols (R, C), a scale of each row, what each level stands for.

``levels``: q = sign(d) floor(|d| / (c rms of the row) + .33), so that values near zero become zero (a dead zone). A
level stands for the mean of what fell into it, in units of its row's rms, and every row has its gain.

``signs``: the sign of each row's largest differences, one level. With all of them it is BitDelta (2402.10193) by row
and with a gain. Published code differs: it has one scale for a matrix, mean |d|, which shrinks; it is then distilled.

Shapes: R rows (outputs), C columns (inputs), L levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.codes.coded import Coded, Floats, Mask, Matrix, Reader, rows_per_block, whole
from kencore.codes.scales import HIGHEST, LOWEST, from_halves, gain, halves
from kencore.codes.symbols import Symbols, counts_of, decode_symbols, encode_symbols, ideal_bits

ROUNDED_UP = 0.33  # of a step: what is less above a level falls to it
MOST = 127
BLOCKS_AT_ONCE = 16


def pieces(shape: tuple[int, int], blocks: int = BLOCKS_AT_ONCE) -> list[slice]:
    """Rows of some blocks, about four million weights as is usual."""
    step = blocks * rows_per_block(shape[1])
    return [slice(first, min(first + step, shape[0])) for first in range(0, shape[0], step)]


def row_squares(d: Matrix) -> NDArray[np.float64]:
    """Sum of squares of each row (R,), in float64."""
    from kencore.codes.kernels import squares_of_rows

    found = np.zeros(d.shape[0])
    for rows in pieces((d.shape[0], d.shape[1])):
        squares_of_rows(laid(d[rows]), found[rows])
    return found


def laid(d: Any) -> Floats:
    """The same numbers row after row, as kernels want them."""
    return np.require(d, np.float32, ["C", "A", "W"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """Symbols (R, C) with the scales of rows and the means of levels, as they are stored."""

    symbols: Symbols
    power: int
    scales: NDArray[np.float16]
    unit: int
    means: NDArray[np.float16]

    def values(self, rows: slice = slice(None)) -> Floats:
        """The difference that some rows (r, C) stand for."""
        scales, means = from_halves(self.power, self.scales), from_halves(self.unit, self.means)
        return _values(self.symbols[rows], scales[rows], means)[0]

    @property
    def bits(self) -> float:
        """Bits that it comes to, by its entropy."""
        return ideal_bits(self.symbols) + 16 * (len(self.scales) + 3 * len(self.means))

    def coded(self, code: str) -> Coded:
        """The same as bytes."""
        facts = {"power": self.power, "unit": self.unit, "levels": len(self.means)}
        shape = (self.symbols.shape[0], self.symbols.shape[1])
        data = self.scales.tobytes() + self.means.tobytes() + encode_symbols(self.symbols)
        return Coded(code=code, shape=shape, facts=facts, data=data)


def levels(d: Matrix, step: float) -> Coded:
    """Code a difference (R, C) in levels; ``step``: c, in rms of the row, above 0."""
    return in_levels(d, step).coded("levels")


def signs(d: Matrix, share: float) -> Coded:
    """Code a difference (R, C) as signs; ``share``: of a row, rounded to whole entries, at least one."""
    return in_signs(d, share).coded("signs")


def bitdelta(d: Matrix) -> Coded:
    """BitDelta (2402.10193) as published before its scales are distilled: sign(d) times mean |d| of the matrix."""
    shape = (d.shape[0], d.shape[1])
    symbols, total = np.empty(shape, np.int8), 0.0
    for rows in pieces(shape):
        symbols[rows] = np.sign(d[rows])
        total += float(np.abs(d[rows]).sum(dtype=np.float64))
    power, scales = halves(np.full(shape[0], total / max(1, d.size)))
    unit, means = halves(np.ones(1))
    return Quantised(symbols=symbols, power=power, scales=scales, unit=unit, means=means).coded("signs")


def in_levels(d: Matrix, step: float) -> Quantised:
    """The symbols of `levels`."""
    from kencore.codes.kernels import quantise

    squares = row_squares(d)
    rms = np.sqrt(squares / max(1, d.shape[1]))
    with np.errstate(divide="ignore", over="ignore"):
        units = np.where(rms > 0, 1 / (rms * step), 0).astype(np.float32)
    symbols = np.empty(d.shape, np.int8)
    for rows in pieces((d.shape[0], d.shape[1])):
        quantise(laid(d[rows]), units[rows], np.float32(ROUNDED_UP), symbols[rows])
    return _quantised(d, symbols, squares, rms)


def in_signs(d: Matrix, share: float) -> Quantised:
    """The symbols of `signs`."""
    squares = row_squares(d)
    kept = min(max(1, round(share * d.shape[1])), d.shape[1])
    symbols = np.zeros(d.shape, np.int8)
    for rows in pieces((d.shape[0], d.shape[1])):
        size = np.abs(d[rows])
        found = np.sign(d[rows]).astype(np.int8)
        if kept < d.shape[1]:
            least = np.partition(size, d.shape[1] - kept, axis=1)[:, d.shape[1] - kept, None]
            found[size < least] = 0
        symbols[rows] = found
    return _quantised(d, symbols, squares, np.sqrt(squares / max(1, d.shape[1])))


def rows_of(coded: Coded, rows: slice) -> tuple[Floats, Mask]:
    """The coded difference of some rows (r, C), and where it is coded at all."""
    symbols, scales, means = _opened(coded, rows)
    return _values(symbols, scales, means)


def symbols_of(coded: Coded, rows: slice) -> tuple[Symbols, Floats]:
    """Symbols of some rows (r, C), and the difference that they stand for."""
    symbols, scales, means = _opened(coded, rows)
    return symbols, _values(symbols, scales, means)[0]


def _opened(coded: Coded, rows: slice) -> tuple[Symbols, Floats, Floats]:
    """Symbols of some rows (r, C), scales of the rows (r,) and means of levels (L,)."""
    reader, facts = Reader(coded.data), coded.facts
    scales = from_halves(whole(facts, "power", LOWEST, HIGHEST), reader.take("<f2", coded.shape[0]))[rows]
    means = from_halves(whole(facts, "unit", LOWEST, HIGHEST), reader.take("<f2", whole(facts, "levels", 0, MOST)))
    symbols = decode_symbols(reader.rest(), coded.shape, rows)
    if symbols.size and max(int(symbols.max()), -int(symbols.min())) > len(means):
        raise ValueError("a symbol without a level")
    return symbols, scales, means


def _values(symbols: Symbols, scales: Floats, means: Floats) -> tuple[Floats, Mask]:
    """What symbols (r, C) stand for, with scales of their rows (r,) and means of levels (L,); and where it is not 0."""
    from kencore.codes.kernels import spread

    stands = np.zeros(256, np.float32)  # by the symbol as a byte
    stands[1 : len(means) + 1] = means
    stands[256 - len(means) :] = -means[::-1]
    values, mask = np.empty(symbols.shape, np.float32), np.empty(symbols.shape, np.bool_)
    spread(np.ascontiguousarray(symbols), np.ascontiguousarray(scales), stands, values, mask)
    return values, mask


def _quantised(d: Matrix, symbols: Symbols, squares: Any, rms: Any) -> Quantised:
    """Levels' means and rows' gains."""
    from kencore.codes.kernels import level_sums

    shape = (d.shape[0], d.shape[1])
    count = int(max(symbols.max(initial=0), -int(symbols.min(initial=0))))
    sums = np.empty((shape[0], count + 1))  # of sizes, by row and level
    for rows in pieces(shape):
        level_sums(laid(d[rows]), symbols[rows], sums[rows])
    relative = np.divide(sums, rms[:, None], out=np.zeros_like(sums), where=rms[:, None] > 0).sum(axis=0)
    counts = counts_of(symbols)
    entries = np.concatenate([counts[128:129], counts[129:] + counts[127:0:-1]])[: count + 1]
    filled = np.divide(relative, entries, out=np.zeros(count + 1), where=entries > 0)
    unit, means = halves(filled[1:])
    along = (sums[:, 1:] * from_halves(unit, means)).sum(axis=1)
    power, scales = halves(gain(squares, along))
    return Quantised(symbols=symbols, power=power, scales=scales, unit=unit, means=means)
