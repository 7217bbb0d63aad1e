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
from kencore.codes.symbols import Symbols, decode_symbols, encode_symbols, ideal_bits

ROUNDED_UP = 0.33  # of a step: what is less above a level falls to it
MOST = 127
BLOCKS_AT_ONCE = 16


def pieces(shape: tuple[int, int]) -> list[slice]:
    """Rows of some blocks, about four million weights."""
    step = BLOCKS_AT_ONCE * rows_per_block(shape[1])
    return [slice(first, min(first + step, shape[0])) for first in range(0, shape[0], step)]


def row_squares(d: Matrix) -> NDArray[np.float64]:
    """Sum of squares of each row (R,), in float64."""
    found = np.zeros(d.shape[0])
    for rows in pieces((d.shape[0], d.shape[1])):
        found[rows] = np.square(d[rows], dtype=np.float64).sum(axis=1)
    return found


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
        return _values(self.symbols[rows], scales[rows], means)

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


def in_levels(d: Matrix, step: float) -> Quantised:
    """The symbols of `levels`."""
    squares = row_squares(d)
    rms = np.sqrt(squares / max(1, d.shape[1]))
    symbols = np.zeros(d.shape, np.int8)
    for rows in pieces((d.shape[0], d.shape[1])):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            unit = np.where(rms[rows] > 0, 1 / (rms[rows] * step), 0).astype(np.float32)[:, None]
            found = np.floor(np.abs(d[rows]) * unit + np.float32(ROUNDED_UP))
        found = np.minimum(np.nan_to_num(found, posinf=MOST), MOST)
        symbols[rows] = np.copysign(found, d[rows]).astype(np.int8)
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
    symbols, values = symbols_of(coded, rows)
    return values, symbols != 0


def symbols_of(coded: Coded, rows: slice) -> tuple[Symbols, Floats]:
    """Symbols of some rows (r, C), and the difference that they stand for."""
    reader, facts = Reader(coded.data), coded.facts
    scales = from_halves(whole(facts, "power", LOWEST, HIGHEST), reader.take("<f2", coded.shape[0]))[rows]
    means = from_halves(whole(facts, "unit", LOWEST, HIGHEST), reader.take("<f2", whole(facts, "levels", 0, MOST)))
    symbols = decode_symbols(reader.rest(), coded.shape, rows)
    if symbols.size and max(int(symbols.max()), -int(symbols.min())) > len(means):
        raise ValueError("a symbol without a level")
    return symbols, _values(symbols, scales, means)


def _values(symbols: Symbols, scales: Floats, means: Floats) -> Floats:
    """What symbols (r, C) stand for, with scales of their rows (r,) and means of levels (L,)."""
    signed = np.concatenate([-means[::-1], [np.float32(0)], means])  # 2 L + 1
    return np.asarray(np.take(signed, symbols.astype(np.int16) + len(means)) * scales[:, None], np.float32)


def _quantised(d: Matrix, symbols: Symbols, squares: Any, rms: Any) -> Quantised:
    """Levels' means and rows' gains."""
    count = int(max(symbols.max(initial=0), -int(symbols.min(initial=0))))
    sums, counts = np.zeros(count + 1), np.zeros(count + 1)
    shape = (d.shape[0], d.shape[1])
    for rows in pieces(shape):
        size = np.abs(symbols[rows]).reshape(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(rms[rows, None] > 0, np.abs(d[rows]) / rms[rows, None], 0).reshape(-1)
        sums += np.bincount(size, weights=relative, minlength=count + 1)
        counts += np.bincount(size, minlength=count + 1)
    filled = np.divide(sums, counts, out=np.zeros(count + 1), where=counts > 0)
    unit, means = halves(filled[1:])
    table = np.concatenate([[np.float32(0)], from_halves(unit, means)])
    along = np.zeros(d.shape[0])
    for rows in pieces(shape):
        along[rows] = (np.abs(d[rows]) * np.take(table, np.abs(symbols[rows]))).sum(axis=1, dtype=np.float64)
    power, scales = halves(gain(squares, along))
    return Quantised(symbols=symbols, power=power, scales=scales, unit=unit, means=means)
