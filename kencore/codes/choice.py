"""Which code each matrix gets: harm + lambda * bits as small as it can be, lambda by bisection.

Shapes: R rows (outputs), C columns (inputs), N matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from kencore.codes import grid, levels, lowrank, seeded
from kencore.codes.closeness import Error, error_of, seeded_error, weighed
from kencore.codes.coded import Coded, Floats, Matrix, count_blocks
from kencore.codes.names import NAMES
from kencore.codes.scales import from_steps, row_steps
from kencore.codes.symbols import encode_symbols

STEPS: Final = (0.18, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
SHARES: Final = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
DRAWN: Final = (1.0, 0.5, 0.35, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005)
RANKS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
AFTER: Final = (0.05, 0.2)
EXACT: Final = (0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
SAMPLE: Final = 1 << 17  # weights that a code is tried on
BITDELTA: Final = "bitdelta"
FACTS: Final = 320  # bits of a matrix's facts
SHARE_OF_GRADIENTS: Final = 0.75  # of the exponents, where two orders are put together
CONCENTRATED: Final = 0.5  # of the squared difference in a tenth of its components: low rank is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One code of one matrix with its parameter, what it costs and what it harms.

    Args:
        code: as in `NAMES`, or ``none`` and ``grid``; ``bitdelta`` is only measured beside.
        value: its parameter: step, share; 0 where it has none. ``exact`` with share 1 keeps the matrix whole.
        by_row: of ``seeded``: rows have scales.
        after: of ``lowrank``: share of a random choice that follows; 0: none.
        bits: of all that is stored, estimated.
        harm: see `kencore.codes.closeness`.
    """

    code: str
    value: float = 0.0
    by_row: bool = False
    after: float = 0.0
    bits: float
    harm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What a random choice starts from."""

    seed: int
    stream: int


Choice = dict[str, Option]
"""The option of each matrix by its name."""


def code_with(d: Matrix, option: Option, draw: Draw, spectrum: lowrank.Spectrum | None = None) -> Coded:
    """Code a difference (R, C) as an option says; ``exact`` is none. ``spectrum``: of d, where it is known."""
    if option.code == "levels":
        return levels.levels(d, option.value)
    if option.code == "signs":
        return levels.signs(d, option.value)
    if option.code == "seeded":
        return seeded.seeded(d, option.value, seed=draw.seed, stream=draw.stream, by_row=option.by_row)
    if option.code == "lowrank":
        then = _drawn_after(option.after, draw) if option.after else None
        return lowrank.lowrank(d[:], option.value, then=then, spectrum=spectrum)
    if option.code == "grid":
        return grid.grid(d)
    if option.code == BITDELTA:
        return levels.bitdelta(d)
    return Coded(code="none", shape=(d.shape[0], d.shape[1]))


def options(
    d: Matrix,
    weights: float,
    width: int,
    *,
    vector: bool,
    draw: Draw,
    codes: Sequence[str] = NAMES,
    room: Callable[[int], None] | None = None,
    each: bool = False,
) -> list[Option]:
    """Every option of one matrix that no other beats in both bits and harm, the smallest first.

    Args:
        d: the difference (R, C), float32.
        weights: squared norm of the tuned matrix.
        width: bits of an entry as it is stored.
        vector: it is a norm or a bias.
        codes: those that may be chosen, of `NAMES`.
        room: asked for memory, in bytes, before a code needs the whole matrix; raises where there is not as much.
        each: options are held against those of the same code alone: their harm is still to be measured.
    """
    squares = levels.row_squares(d)
    total = float(squares.sum())
    nothing = Error(structured=total, random=0.0, along=0.0 if total else 1.0, squares=total)
    found = [Option(code="none", bits=0.0, harm=nothing.harm(weights, d.size))]
    if total:
        if vector:
            coded = grid.grid(d)
            error = error_of(d, lambda rows: grid.rows_of(coded, rows)[0])
            found.append(Option(code="grid", bits=float(coded.bits + FACTS), harm=error.harm(weights, d.size)))
        else:
            found += _of_matrix(d, squares, weights, width, codes, room)
        if "exact" in codes or vector:
            found.append(Option(code="exact", value=1.0, bits=float(width) * d.size, harm=0.0))
    if not each:
        return _undominated(found)
    kinds = dict.fromkeys((one.code, bool(one.after)) for one in found)
    return [one for kind in kinds for one in _undominated([o for o in found if (o.code, bool(o.after)) == kind])]


def judged(found: Sequence[Option], harms: Sequence[float]) -> list[Option]:
    """The same options with other harms."""
    return [replace(one, harm=float(harm)) for one, harm in zip(found, harms, strict=True)]


def between(gradients: Mapping[str, Sequence[Option]], rule: Mapping[str, Sequence[Option]]) -> dict[str, list[Option]]:
    """The same options by the geometric mean of two harms, without those that another beats: what gradients say where
    they differ by much, and what the rule says where they differ by chance.

    Args:
        gradients, rule: the same options in the same order, with comparable harms each.
    """
    return {
        name: _undominated(
            [
                replace(one, harm=one.harm**SHARE_OF_GRADIENTS * other.harm ** (1 - SHARE_OF_GRADIENTS))
                for one, other in zip(found, rule[name], strict=True)
            ]
        )
        for name, found in gradients.items()
    }


def best(table: Mapping[str, Sequence[Option]]) -> dict[str, list[Option]]:
    """Options of each matrix that no other of it beats in both bits and harm."""
    return {name: _undominated(found) for name, found in table.items()}


def compared(
    table: Mapping[str, Sequence[Option]], moved: Mapping[str, tuple[float, float, int]]
) -> dict[str, list[Option]]:
    """The same options with harms that can be compared between matrices.

    Args:
        moved: |d|^2, |W|^2 and entries of each matrix.
    """
    model = sum(one[0] for one in moved.values()) / max(sum(one[1] for one in moved.values()), 1e-300)
    weights = {name: weighed(d / max(w, 1e-300), model, size) for name, (d, w, size) in moved.items()}
    return {name: [replace(one, harm=one.harm * weights[name]) for one in found] for name, found in table.items()}


def choose(table: Mapping[str, Sequence[Option]], bits: float) -> Choice:
    """The option of every matrix, so that all together have at most so many bits.

    Args:
        table: options of each matrix as `options` gives them.
        bits: estimated bits of all together; where even the smallest have more, those are taken.
    """
    low, high = 1e-30, 1e30
    best = _at(table, high)
    if _bits(best) > bits:
        return best
    for _ in range(200):
        middle = float(np.sqrt(low * high))
        found = _at(table, middle)
        if _bits(found) <= bits:
            best, high = found, middle
        else:
            low = middle
        if high / low < 1.0001:
            break
    return _filled(table, best, bits)


def _of_matrix(
    d: Matrix, squares: Any, weights: float, width: int, codes: Sequence[str], room: Callable[[int], None] | None
) -> Iterator[Option]:
    part, factor = _sample(d)
    for name, values, make in (("levels", STEPS, levels.in_levels), ("signs", SHARES, levels.in_signs)):
        for value in values if name in codes else ():
            found = make(part, value)
            harm = _scaled(error_of(part, found.values), factor).harm(weights, d.size)
            yield Option(code=name, value=value, bits=found.bits * factor + FACTS, harm=harm)
    if "seeded" in codes:
        yield from _of_seeded(d, squares, weights)
    if "lowrank" in codes and lowrank.can((d.shape[0], d.shape[1])) and (len(codes) == 1 or _concentrated(part)):
        if room is not None:
            room(lowrank.memory((d.shape[0], d.shape[1])))
        yield from _of_lowrank(d[:], weights)
    if "exact" in codes and len(codes) == 1:
        yield from _of_exact(d, weights, width)


def _of_seeded(d: Matrix, squares: Any, weights: float) -> Iterator[Option]:
    sizes = np.concatenate(
        [np.abs(d[rows]).sum(axis=1, dtype=np.float64) for rows in levels.pieces((d.shape[0], d.shape[1]))]
    )
    steps = row_steps(np.sqrt(squares))
    ways = {False: np.ones(d.shape[0], np.float32), True: from_steps(steps)}
    fixed = 16 + 32 * count_blocks((d.shape[0], d.shape[1])) + FACTS
    for by_row, factors in ways.items():
        more = 8 * len(encode_symbols(steps[None, :])) if by_row else 0
        for share in DRAWN:
            error = seeded_error(sizes, squares, factors, d.shape[1], share)
            bits = share * d.size + fixed + more
            yield Option(code="seeded", value=share, by_row=by_row, bits=bits, harm=error.harm(weights, d.size))


def _of_lowrank(d: Floats, weights: float) -> Iterator[Option]:
    spectrum = lowrank.Spectrum(d)
    for step in RANKS:
        found = lowrank.factors(d, step, spectrum)
        harm = error_of(d, found.values).harm(weights, d.size)
        yield Option(code="lowrank", value=step, bits=found.bits + FACTS, harm=harm)
        left = lowrank.less(d, found)
        sizes = np.concatenate([np.abs(left[rows]).sum(axis=1, dtype=np.float64) for rows in levels.pieces(d.shape)])
        rest, ones = levels.row_squares(left), np.ones(d.shape[0], np.float32)
        del left  # as large as the matrix
        for share in AFTER:
            after = seeded_error(sizes, rest, ones, d.shape[1], share)
            bits = found.bits + share * d.size + 16 + 32 * count_blocks((d.shape[0], d.shape[1])) + 2 * FACTS
            yield Option(code="lowrank", value=step, after=share, bits=bits, harm=after.harm(weights, d.size))


def _of_exact(d: Matrix, weights: float, width: int) -> Iterator[Option]:
    part, factor = _sample(d)
    squared = np.square(part, dtype=np.float64)
    ranked, total = np.sort(squared, axis=1)[:, ::-1].sum(axis=0), float(squared.sum())
    reached = np.cumsum(ranked) / total if total else np.ones(part.shape[1])
    for share in EXACT:
        kept = min(max(1, round(share * part.shape[1])), part.shape[1])
        along = float(reached[kept - 1])
        lost = Error(structured=total * (1 - along), random=0.0, along=along, squares=total)
        bits = d.size + width * kept * d.shape[0]
        yield Option(code="exact", value=share, bits=bits, harm=_scaled(lost, factor).harm(weights, d.size))


def _drawn_after(share: float, draw: Draw) -> lowrank.Then:
    return lambda left: seeded.seeded(left, share, seed=draw.seed, stream=draw.stream, by_row=False)


def _sample(d: Matrix) -> tuple[Floats, float]:
    """Some rows (r, C), evenly spaced, and how many times they are the whole."""
    step = max(1, d.size // SAMPLE)
    part = np.ascontiguousarray(d[::step])
    return part, d.shape[0] / part.shape[0]


def _scaled(error: Error, factor: float) -> Error:
    return Error(
        structured=error.structured * factor,
        random=error.random * factor,
        along=error.along,
        squares=error.squares * factor,
    )


def _concentrated(d: Floats) -> bool:
    """Whether a tenth of the components holds most of a difference (r, C)."""
    small = d if d.shape[0] <= d.shape[1] else d.T
    gram = small.astype(np.float64) @ small.T.astype(np.float64)
    sizes = np.sort(np.linalg.eigvalsh(gram))[::-1]
    return bool(sizes[: max(1, len(sizes) // 10)].sum() >= CONCENTRATED * sizes.sum())


def _undominated(found: Sequence[Option]) -> list[Option]:
    kept: list[Option] = []
    for one in sorted(found, key=lambda one: (one.bits, one.harm)):
        if not kept or one.harm < kept[-1].harm:
            kept.append(one)
    return kept


def _at(table: Mapping[str, Sequence[Option]], price: float) -> Choice:
    return {name: min(found, key=lambda one: one.harm + price * one.bits) for name, found in table.items()}


def _bits(choice: Choice) -> float:
    return sum(one.bits for one in choice.values())


def _filled(table: Mapping[str, Sequence[Option]], choice: Choice, bits: float) -> Choice:
    """The same with what is left spent where it helps most for each bit."""
    left, found = bits - _bits(choice), dict(choice)
    gains = sorted(
        (
            ((found[name].harm - one.harm) / (one.bits - found[name].bits), name, one)
            for name, all_of in table.items()
            for one in all_of
            if one.bits > found[name].bits and one.harm < found[name].harm
        ),
        key=lambda gain: -gain[0],
    )
    for _, name, one in gains:
        more = one.bits - found[name].bits
        if 0 < more <= left and one.harm < found[name].harm:
            found[name], left = one, left - more
    return found
