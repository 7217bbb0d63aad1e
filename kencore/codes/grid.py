"""Vectors in 8 bits: an even grid from the largest difference down, one scale, one byte an entry.

Bytes: scale (1,) float16, entries (R * C,) int8.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

import numpy as np

from kencore.codes.coded import Coded, Floats, Mask, Matrix, Reader, whole
from kencore.codes.levels import pieces
from kencore.codes.scales import HIGHEST, LOWEST, from_halves, halves

MOST = 127


def grid(d: Matrix) -> Coded:
    """Code a difference (R, C), usually one row, in 8 bits."""
    shape = (d.shape[0], d.shape[1])
    largest = max((float(np.abs(d[rows]).max(initial=0.0)) for rows in pieces(shape)), default=0.0)
    power, scale = halves([largest / MOST])
    unit = float(from_halves(power, scale)[0])
    symbols = np.zeros(shape, np.int8)
    for rows in pieces(shape) if unit else ():
        symbols[rows] = np.clip(np.rint(d[rows] / unit), -MOST, MOST)
    return Coded(code="grid", shape=shape, facts={"power": power}, data=scale.tobytes() + symbols.tobytes())


def rows_of(coded: Coded, rows: slice) -> tuple[Floats, Mask]:
    """The coded difference of some rows (r, C), and where it is not zero."""
    reader = Reader(coded.data)
    unit = from_halves(whole(coded.facts, "power", LOWEST, HIGHEST), reader.take("<f2", 1))
    symbols = reader.take("i1", coded.shape[0] * coded.shape[1]).reshape(coded.shape)[rows]
    if len(reader.rest()):
        raise ValueError("entries to spare")
    return symbols.astype(np.float32) * unit[0], symbols != 0
