"""The rule ``random``: of each row, k entries, any k as likely as any other.

Every entry draws a 32-bit number, in the matrix's order; a row keeps its smallest. So one
generator over a matrix gives one mask, however the matrix is cut into runs of rows.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from kencore.methods.chunks import Rows
from kencore.methods.keys import Ordered, with_columns


def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """One number per entry, uint32 (R, C)."""
    return rng.integers(1 << 32, size=shape, dtype=np.uint32)


def random(rows: Rows) -> Ordered:
    """Keep the entries that drew the smallest numbers. The weights are not looked at."""
    assert rows.draws is not None
    return Ordered(with_columns(rows.draws))


def row_generator(seed: int, name: str) -> np.random.Generator:
    """The random stream of one tensor: of the seed and its name, not of the order of tensors."""
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint32)
    return np.random.default_rng([seed, *words.tolist()])
