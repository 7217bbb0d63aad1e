"""Rows of every kind that has ever been a trap, by name: float32 (C,) from a seeded generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Row = NDArray[np.float32]


def _bf16(values: NDArray[np.float64]) -> NDArray[np.float32]:
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & np.uint32(0xFFFF0000)).view(np.float32)


def _with_outlier(values: NDArray[np.float64], outlier: float) -> NDArray[np.float64]:
    values[len(values) // 2] = outlier
    return values


def _half_zeros(g: Generator, n: int) -> NDArray[np.float64]:
    zeros = g.choice([-0.0, 0.0], size=n)
    return np.where(g.random(n) < 0.5, zeros, g.normal(size=n) * 0.04)


KINDS: dict[str, Callable[[Generator, int], NDArray[np.floating]]] = {
    "normal": lambda g, n: g.normal(size=n) * 0.04,
    "t3": lambda g, n: g.standard_t(3, size=n) * 0.03,
    "laplace": lambda g, n: g.laplace(size=n) * 0.05,
    "lognormal": lambda g, n: g.lognormal(size=n) * 0.1,
    "one outlier": lambda g, n: _with_outlier(g.normal(size=n) * 0.03, -30.0),
    "outlier beyond float32 spacing": lambda g, n: _with_outlier(g.normal(size=n), 1e9),
    "few levels": lambda g, n: g.integers(-3, 4, size=n) * 0.1,
    "two values": lambda g, n: g.choice([-1.5, 0.25], size=n),
    "bf16": lambda g, n: _bf16(g.normal(size=n) * 0.04),
    "fp16": lambda g, n: (g.normal(size=n) * 0.04).astype(np.float16),
    "integers": lambda g, n: g.permutation(n) - n // 3,
    "arithmetic progression": lambda g, n: np.linspace(-1, 1, n),
    "shuffled progression": lambda g, n: g.permutation(n) * 0.01,
    "symmetric": lambda g, n: np.sort(g.normal(size=n)) - np.sort(g.normal(size=n))[::-1],
    "small": lambda g, n: g.normal(size=n) * 1e-4,
    "tiny": lambda g, n: g.normal(size=n) * 1e-8,
    "finer levels than integers": lambda g, n: g.normal(size=n) * 1e-12,
    "variance underflows": lambda g, n: g.normal(size=n) * 1e-30,
    "variance at the edge": lambda g, n: g.normal(size=n) * 1e-22,
    "subnormal": lambda g, n: g.integers(-2000, 2000, size=n) * 1.4e-45,
    "huge": lambda g, n: g.normal(size=n) * 1e15,
    "variance overflows": lambda g, n: g.normal(size=n) * 1e30,
    "far from zero": lambda g, n: 1 + g.normal(size=n) * 1e-6,
    "a few ulps apart": lambda g, n: 1 + g.integers(0, 6, size=n) * 2.0**-23,
    "half zeros of both signs": _half_zeros,
    "constant": lambda g, n: np.full(n, 0.1),
    "zeros": lambda g, n: g.choice([-0.0, 0.0], size=n),
}


def rows_of(kind: str, seed: int, rows: int, columns: int) -> NDArray[np.float32]:
    """``rows`` independent rows of that kind: float32 (rows, columns)."""
    generator = np.random.default_rng([seed, columns, len(kind)])
    made = [KINDS[kind](generator, columns) for _ in range(rows)]
    return np.stack(made).astype(np.float32)
