"""Quantised low rank, alone or followed by another code of what is left.

d = U S V^T. U S and V S are rounded to one step, a share of the rms of d, so a component has as many levels as it is
large, and small ones vanish. d^ = A W B^T with the integers A (R, K) and B (C, K) and a weight of each component, by
least squares. The weights are whole numbers below 2**24, the product is taken in float64 and all sums stay below
2**53: they are exact, in any order, on any machine.

    weights (K,) uint32, largest number of each component (K,) uint8, A and B as `encode_symbols` has them, components
    of one width together, with their lengths (uint32) before them; then the data of the code that follows

Shapes: R rows (outputs), C columns (inputs), K components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.codes.coded import BLOCK, Coded, Floats, Mask, Reader, whole
from kencore.codes.levels import pieces
from kencore.codes.scales import HIGHEST, LOWEST, halves
from kencore.codes.symbols import decode_symbols, encode_symbols, ideal_bits

LARGEST_SIDE = 4096  # of the smaller side: the time of its Gram matrix grows with the third power
SHARE, FEWEST = 4, 64  # a large matrix has at most a quarter of its components: with more, other codes take less
BLOCKS = 4  # at once, a million weights: what is made of them in float64 is small beside the matrix
WEIGHTS = 1 << 24
MOST = 127
MOST_COMPONENTS = 1 << 12
SMALLEST = 1e-30  # step

Then = Callable[[Floats], Coded]


def can(shape: tuple[int, int]) -> bool:
    """Whether a matrix is one that low rank is for."""
    return 1 < min(shape) <= LARGEST_SIDE


def memory(shape: tuple[int, int]) -> int:
    """Bytes that its codes need of a matrix (R, C), about: it is worked on whole, beside what is left of it, its Gram
    matrix and some parts in float64.
    """
    return 12 * shape[0] * shape[1] + 6 * min(shape) ** 2 + 32 * BLOCKS * BLOCK


class Spectrum:
    """The largest components of a difference (R, C), found once for all steps: K of them, see `SHARE`."""

    def __init__(self, d: Floats) -> None:
        from scipy.linalg import eigh

        tall = d.shape[0] >= d.shape[1]
        gram = _gram(d if tall else d.T)
        self.total = float(np.trace(gram))
        last, count = len(gram) - 1, min(len(gram), max(FEWEST, len(gram) // SHARE))
        squares, vectors = eigh(gram, subset_by_index=(last + 1 - count, last), driver="evr", overwrite_a=True)
        del gram
        self.sizes = np.sqrt(np.maximum(squares[::-1], 0))  # K
        small = vectors[:, ::-1].astype(np.float32)
        large = (d if tall else d.T) @ small  # U S, or V S
        small *= self.sizes.astype(np.float32)
        self.left: Floats = large if tall else small  # R, K
        self.right: Floats = small if tall else large  # C, K
        self.rms = float(np.sqrt(self.total / max(1, d.size)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """A W B^T: whole numbers A (R, K) and B (C, K), weights (K,) beside one power of two."""

    a: NDArray[np.int8]
    b: NDArray[np.int8]
    numbers: NDArray[np.int64]
    power: int

    def values(self, rows: slice = slice(None)) -> Floats:
        """The product of some rows (r, C)."""
        product = (self.a[rows].astype(np.float64) * self.numbers) @ self.b.T.astype(np.float64)  # exact
        return np.asarray(product * float(np.ldexp(1.0, self.power)), np.float32)

    @property
    def bits(self) -> float:
        """Bits that they come to, by their entropy."""
        runs = [side[:, run].T for run in _runs(_widths(self.a, self.b)) for side in (self.a, self.b)]
        return sum(ideal_bits(np.ascontiguousarray(run)) + 200 for run in runs) + 40 * len(self.numbers)

    def coded(self) -> Coded:
        """The same as bytes."""
        facts = {"power": self.power, "rank": len(self.numbers)}
        data = _bytes(self.numbers, self.a, self.b)
        return Coded(code="lowrank", shape=(len(self.a), len(self.b)), facts=facts, data=data)


def factors(d: Floats, step: float, spectrum: Spectrum | None = None) -> Factors:
    """The product that comes near a difference (R, C).

    Args:
        step: f, in rms of d.
        spectrum: of d, where it is known.
    """
    found = spectrum or Spectrum(d)
    unit = step * found.rms
    inverse = np.float32(1 / unit if unit > SMALLEST else 0)
    highest, other = (np.rint(_highest(side) * inverse) for side in (found.left, found.right))  # K
    peaks = np.maximum(highest, other)
    used = np.flatnonzero(np.minimum(highest, other) > 0)[:MOST_COMPONENTS]
    shrink = np.maximum(1, np.ceil(peaks[used] / MOST)).astype(np.float32)  # a component that is larger than a byte
    a, b = (_rounded(side, used, inverse / shrink) for side in (found.left, found.right))
    weights = _weights(d, a, b)
    alive = weights > 0
    order = np.argsort(-_widths(a, b)[alive], kind="stable")
    a, b, weights = (
        side[..., alive][..., order].astype(kind) for side, kind in ((a, "i1"), (b, "i1"), (weights, "f8"))
    )
    power, numbers = _numbers(weights)
    return Factors(a=a, b=b, numbers=numbers, power=power)


def lowrank(d: Floats, step: float, *, then: Then | None = None, spectrum: Spectrum | None = None) -> Coded:
    """Code a difference (R, C) in low rank; ``step``: f, in rms of d; ``then`` codes what is left; see `factors`."""
    found = factors(d, step, spectrum)
    coded = found.coded()
    if then is None:
        return coded
    after = then(less(d, found))
    facts = {**coded.facts, "then": {"code": after.code, "at": len(coded.data), **after.facts}}
    return replace(coded, facts=facts, data=bytes(coded.data) + bytes(after.data))


def less(d: Floats, found: Factors) -> Floats:
    """What a product leaves of a difference (R, C)."""
    left = np.empty(d.shape, np.float32)
    for rows in pieces((d.shape[0], d.shape[1]), BLOCKS):
        np.subtract(d[rows], found.values(rows), out=left[rows])
    return left


def rows_of(
    coded: Coded, rows: slice, decode: Callable[[Coded, slice], tuple[Floats, Mask]] | None = None
) -> tuple[Floats, Mask]:
    """The coded difference of some rows (r, C); every entry changes.

    Args:
        decode: opens the code that follows.
    """
    facts, data, after = dict(coded.facts), memoryview(coded.data), None
    then = facts.pop("then", None)
    if then is not None:
        if decode is None or not isinstance(then, dict) or then.get("code") in (None, "lowrank"):
            raise ValueError("a code that cannot follow low rank")
        at = whole(then, "at", 0, len(data))
        own = {name: value for name, value in then.items() if name not in ("code", "at")}
        after = Coded(code=str(then["code"]), shape=coded.shape, facts=own, data=bytes(data[at:]))
        data = data[:at]
    rank = whole(facts, "rank", 0, min(MOST_COMPONENTS, *coded.shape))
    numbers, a, b = _arrays(Reader(data), coded.shape, rank)
    values = Factors(a=a, b=b, numbers=numbers, power=whole(facts, "power", LOWEST - 60, HIGHEST)).values(rows)
    if after is not None:
        assert decode is not None
        values = values + decode(after, rows)[0]
    return values, np.full(values.shape, rank > 0 or after is not None)


def factors_of(coded: Coded) -> tuple[Floats, Floats]:
    """Thin matrices (R, K) and (C, K), float32, whose product is the coded difference but for rounding.

    Raises:
        ValueError: another code, one that is followed by another, or data that do not fit.
    """
    if coded.code != "lowrank" or "then" in coded.facts:
        raise ValueError(f"a code {coded.code!r} that is no product of two matrices")
    rank = whole(coded.facts, "rank", 0, min(MOST_COMPONENTS, *coded.shape))
    numbers, a, b = _arrays(Reader(coded.data), coded.shape, rank)
    scale = numbers * float(np.ldexp(1.0, whole(coded.facts, "power", LOWEST - 60, HIGHEST)))
    return np.asarray(a * scale, np.float32), np.asarray(b, np.float32)


def _gram(tall: Floats) -> NDArray[np.float64]:
    """The lower triangle of d^T d (C, C) of a matrix (R, C), as LAPACK wants it: nothing is copied."""
    from scipy.linalg.blas import dsyrk

    gram = np.zeros((tall.shape[1], tall.shape[1]), order="F")
    for rows in pieces((tall.shape[0], tall.shape[1]), BLOCKS):
        gram = dsyrk(1.0, tall[rows].astype(np.float64, order="C").T, beta=1.0, c=gram, lower=1, overwrite_c=1)
    return gram


def _highest(side: Floats) -> Floats:
    """The largest size of each component (K,) of a side (R, K)."""
    return np.asarray(np.maximum(side.max(axis=0, initial=0), -side.min(axis=0, initial=0)), np.float32)


def _rounded(side: Floats, used: NDArray[np.int64], factors: Floats) -> Any:
    """Some components (R, k) of a side, each times its factor, as whole numbers."""
    found = side[:, used]
    found *= factors
    return np.rint(found, out=found)


def _weights(d: Floats, a: Floats, b: Floats) -> NDArray[np.float64]:
    """Weights (K,) by which the components come nearest to d: (A^T A * B^T B) w = diag(A^T d B)."""
    if not a.shape[1]:
        return np.zeros(0)
    normal = (a.T @ a).astype(np.float64) * (b.T @ b)
    along = ((a.T @ d) * b.T).sum(axis=1, dtype=np.float64)
    ridge = 1e-9 * float(np.trace(normal)) / len(along)
    return np.asarray(np.linalg.solve(normal + ridge * np.eye(len(along)), along))


def _numbers(weights: NDArray[np.float64]) -> tuple[int, NDArray[np.int64]]:
    """Weights as whole numbers (K,) below 2**24 beside one power of two."""
    if not len(weights):
        return 0, np.zeros(0, np.int64)
    power = halves(weights)[0] - 24
    return power, np.minimum(np.rint(np.ldexp(weights, -power)), WEIGHTS - 1).astype(np.int64)


def _widths(a: Any, b: Any) -> NDArray[np.int64]:
    """Bits of the largest number of each component (K,)."""
    largest = np.maximum(np.abs(a).max(axis=0, initial=0), np.abs(b).max(axis=0, initial=0)).astype(np.float64)
    return np.asarray(np.ceil(np.log2(largest + 1)), np.int64)


def _runs(widths: NDArray[Any]) -> Iterator[slice]:
    """Components of one width, which lie side by side."""
    starts = np.flatnonzero(np.diff(widths.astype(np.int64), prepend=-1))
    for first, last in zip(starts, np.append(starts[1:], len(widths)), strict=False):
        yield slice(int(first), int(last))


def _bytes(numbers: NDArray[np.int64], a: Any, b: Any) -> bytes:
    widths = _widths(a, b).astype(np.uint8)
    parts = [numbers.astype("<u4").tobytes(), widths.tobytes()]
    for run in _runs(widths):
        for side in (a, b):
            block = encode_symbols(np.ascontiguousarray(side[:, run].T))
            parts += [np.array([len(block)], "<u4").tobytes(), block]
    return b"".join(parts)


def _arrays(reader: Reader, shape: tuple[int, int], rank: int) -> tuple[Any, Any, Any]:
    numbers = reader.take("<u4", rank).astype(np.int64)
    widths = reader.take("u1", rank)
    if (numbers >= WEIGHTS).any() or (np.diff(widths.astype(np.int64)) > 0).any():
        raise ValueError("components that no writer makes")
    sides = [np.zeros((side, rank), np.int8) for side in shape]
    for run in _runs(widths):
        for side in sides:
            block = reader.take("u1", int(reader.take("<u4", 1)[0]))
            side[:, run] = decode_symbols(block.data, (run.stop - run.start, side.shape[0])).T
    if len(reader.rest()):
        raise ValueError("components with bytes to spare")
    return numbers, sides[0], sides[1]
