"""From shares to whole entries, for every way to prune: how many of each row are kept, or pruned.

Shapes: R rows, C columns of a slot, N entries of all slots.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.allocate.balance import Place, balanced, factors, parse_balance
from kencore.allocate.slot import Slot, Sparsities, check_sparsity
from kencore.allocate.uniform import uniform
from kencore.errors import ShapeError, SpecError

Counts = dict[str, NDArray[np.int64]]
Floats = NDArray[np.float64]


def row_budget(columns: int, *, keep: float | None = None, k: int | None = None) -> int:
    """Entries kept of a row of ``columns`` values: k of them, or that share; half rounds up, at least 1."""
    if k is not None:
        return min(k, columns)
    assert keep is not None
    return min(columns, max(1, math.floor(keep * columns + 0.5)))


def kept_evenly(
    slots: Sequence[Slot], *, keep: float | None = None, k: int | None = None, sparsity: float | None = None
) -> Counts:
    """Entries that each row keeps, int64 (R,) by name, before balance and allocation.

    Args:
        keep, k: of each row by itself, see `row_budget`.
        sparsity: instead, the share of all entries together that goes, spread evenly.
    """
    if sparsity is not None:
        return kept_of(slots, uniform_counts(slots, sparsity))
    return {slot.name: np.full(slot.rows, row_budget(slot.cols, keep=keep, k=k), np.int64) for slot in slots}


def kept_of(slots: Sequence[Slot], pruned: Mapping[str, NDArray[np.int64] | int | float]) -> Counts:
    """Entries that each row keeps, int64 (R,) by name, where so many of each are pruned; and the
    other way round.
    """
    return {
        slot.name: slot.cols - np.broadcast_to(np.asarray(pruned[slot.name], np.int64), slot.rows) for slot in slots
    }


def rebalanced(slots: Sequence[Slot], kept: Counts, balance: Sequence[str], places: Mapping[str, Place]) -> Counts:
    """Entries that each row keeps after a balance such as ``q=1.5``, int64 (R,) by name.

    Args:
        kept: entries that each row keeps without it. Not changed.
        places: where each matrix is.

    Raises:
        SpecError: a factor whose name no matrix has.
    """
    return balanced_counts(slots, kept, factors(parse_balance(balance), places)) if balance else kept


def exact_counts(
    slots: Sequence[Slot], sparsities: Sparsities, sparsity: float, *, lowest: float = 0.0, highest: float = 1.0
) -> Counts:
    """Entries to prune in each row so that the whole meets the target to the entry.

    Every share is moved by one and the same shift and clipped; the shift is the one at which the
    shares add up to the target, so that what clipping took is shared out among the others. Then
    largest remainders: first each matrix's total, then its rows, lowest index first among equals.
    Published code truncates row by row instead and misses the target (`published_counts`).

    Args:
        slots: the matrices to prune.
        sparsities: their shares, by name; one each or one per row. Not changed.
        sparsity: the target over all entries.
        lowest, highest: no row's share leaves these, unless the target itself does.

    Returns:
        int64 (R,) by name, each 0 ... C; their sum is floor(sparsity * N + 0.5).

    Raises:
        SpecError: a target outside of 0 ... 1, a slot without a share, a share that is NaN.
        ShapeError: a share per row for another number of rows.
    """
    check_sparsity(sparsity)
    shares = {slot.name: _shares(slot, sparsities) for slot in slots}
    size = sum(slot.size for slot in slots)
    total = total_pruned(size, sparsity)
    bounds = (min(lowest, sparsity), max(highest, sparsity))
    moved = _shift(slots, shares, total, bounds)
    targets = [float(np.sum(moved[slot.name] * slot.cols)) * _repeats(slot, moved) for slot in slots]
    sizes = np.array([slot.size for slot in slots], dtype=np.int64)
    totals = _largest_remainders(np.array(targets), total, sizes)
    counts = {}
    for slot, own in zip(slots, totals, strict=True):
        rows = np.broadcast_to(moved[slot.name] * slot.cols, (slot.rows,))  # (R,)
        counts[slot.name] = _largest_remainders(rows, int(own), np.full(slot.rows, slot.cols))
    return counts


def with_whole_rows(slots: Sequence[Slot], kept: Counts, rows: Mapping[str, int]) -> Counts:
    """Entries that each row keeps, int64 (R,) by name, of matrices that have more rows than their slots: those
    that come after them are kept whole.
    """
    cols = {slot.name: slot.cols for slot in slots}
    return {
        name: np.concatenate([own, np.full(rows[name] - len(own), cols[name], np.int64)])
        if rows[name] > len(own)
        else own
        for name, own in kept.items()
    }


def total_pruned(size: int, sparsity: float) -> int:
    """Entries of ``size`` that go where the whole meets the target; half rounds up."""
    return math.floor(sparsity * size + 0.5)


def uniform_counts(slots: Sequence[Slot], sparsity: float) -> Counts:
    """`exact_counts` of the same share everywhere."""
    return exact_counts(slots, uniform(slots, sparsity), sparsity)


def published_counts(
    slots: Sequence[Slot], sparsities: Sparsities, *, row_adaptive: bool, clipped: Collection[str] = ()
) -> Counts:
    """Entries to prune in each row as the published code rounds.

    One share per matrix: int(C * s), down. One per row: C - floor((1 - s) * C), up, the levels
    1 - s in float64; in float32 for the slots of ``clipped``, whose share the published code
    holds as a Python float (`neuroal.published_clip`).

    Args:
        slots, sparsities: as in `exact_counts`.
        row_adaptive: masks as by the published row step, for every slot.
        clipped: names of slots whose share was clipped at block level; it only matters for those
            that have one share for all rows.

    Raises:
        SpecError, ShapeError: as `exact_counts`.
    """
    import torch  # whose float32 is what is reproduced; all else here is light

    counts = {}
    for slot in slots:
        shares = _shares(slot, sparsities)  # (R,) or (1,)
        if row_adaptive:
            python_floats = slot.name in clipped and len(shares) == 1
            levels = torch.from_numpy(1 - shares)
            levels = levels.to(torch.float32) if python_floats else levels
            own = slot.cols - (levels * slot.cols).to(torch.int64).numpy()
        else:
            own = (slot.cols * shares).astype(np.int64)
        own = np.clip(own, 0, slot.cols)  # a share above 1 takes the whole row
        counts[slot.name] = np.broadcast_to(own, (slot.rows,)).copy()
    return counts


def balanced_counts(
    slots: Sequence[Slot], kept: Mapping[str, NDArray[np.integer[Any]]], factor: Mapping[str, float]
) -> Counts:
    """Entries that each row keeps after the faders, int64 (R,) by name; the total is that of
    ``kept`` to the entry, rows of a matrix differing by one where it takes that.

    Args:
        kept: entries that each row keeps without faders, (R,) by name. Not changed.
        factor: by name, see `factors`.
    """
    if not slots or len(set(factor.values())) == 1:  # all alike: nothing moves
        return {slot.name: np.array(kept[slot.name], np.int64) for slot in slots}
    total = sum(int(np.sum(kept[slot.name])) for slot in slots)
    size = sum(slot.size for slot in slots)
    rows = {slot.name: _runs(kept[slot.name]) for slot in slots}
    shares = np.concatenate([rows[slot.name] / slot.cols for slot in slots])
    weights = np.concatenate([np.full(len(own := rows[s.name]), s.size / len(own)) for s in slots])
    stretch = np.concatenate([np.full(len(rows[s.name]), factor[s.name]) for s in slots])
    found, _ = balanced(shares, weights, stretch, total)
    edges = np.cumsum([len(rows[slot.name]) for slot in slots])[:-1]
    sparsities: dict[str, float | Floats] = {
        slot.name: 1 - own if len(own) > 1 else float(1 - own[0])
        for slot, own in zip(slots, np.split(found, edges), strict=True)
    }
    gone = exact_counts(slots, sparsities, (size - total) / size)
    return {slot.name: slot.cols - gone[slot.name] for slot in slots}


def _shares(slot: Slot, sparsities: Sparsities) -> Floats:
    """A slot's shares, one (1,) or one per row (R,), checked."""
    if slot.name not in sparsities:
        raise SpecError(
            f"sparsity of {slot.name}",
            got="none",
            wanted="a share for every matrix to prune",
            remedy="Allocate over the same matrices that are pruned.",
        )
    shares = np.atleast_1d(np.asarray(sparsities[slot.name], dtype=np.float64))
    if np.ndim(sparsities[slot.name]) and shares.shape != (slot.rows,):
        raise ShapeError(
            f"sparsity of {slot.name}",
            got=f"shape {shares.shape}",
            wanted=f"one number, or one per row ({slot.rows},)",
            remedy="Pass as many shares as the matrix has rows.",
        )
    if np.isnan(shares).any():
        raise SpecError(
            f"sparsity of {slot.name}",
            got="NaN",
            wanted="a share of weights",
            remedy="A metric without finite values cannot share sparsity out: use uniform.",
        )
    return shares


def _repeats(slot: Slot, moved: dict[str, Floats]) -> int:
    """How many rows one share stands for."""
    return slot.rows if len(moved[slot.name]) == 1 else 1


def _shift(
    slots: Sequence[Slot], shares: dict[str, Floats], total: int, bounds: tuple[float, float]
) -> dict[str, Floats]:
    """The shares moved by the shift at which they add up to ``total`` entries, and clipped.

    The sum is piecewise linear in the shift, with a corner where a share leaves or meets a
    bound: the right piece is found by bisection among the sorted corners and solved.
    """
    low, high = bounds
    if not slots:
        return {}
    x = np.concatenate([np.clip(shares[slot.name], low, high) for slot in slots])
    weights = np.concatenate(
        [np.full(len(shares[slot.name]), slot.cols * _repeats(slot, shares), np.float64) for slot in slots]
    )

    def filled(shift: float) -> float:
        return float(np.dot(np.clip(x + shift, low, high), weights))

    corners = np.unique(np.concatenate([low - x, high - x]))
    first, last = 0, len(corners) - 1
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (middle, last) if filled(corners[middle]) <= total else (first, middle)
    below, above = filled(corners[first]), filled(corners[last])
    part = (total - below) / (above - below) if above > below else 0.0
    shift = corners[first] + min(1.0, max(0.0, part)) * (corners[last] - corners[first])
    return {slot.name: np.clip(np.clip(shares[slot.name], low, high) + shift, low, high) for slot in slots}


def _largest_remainders(targets: Floats, total: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers next to the targets that add up to the total: int64, each 0 ... most."""
    whole = np.clip(np.floor(targets).astype(np.int64), 0, most)
    rest = np.round(targets - whole, 6)  # the rest of 2.9999999999 is 1
    while (missing := total - int(whole.sum())) != 0:
        free = whole < most if missing > 0 else whole > 0
        order = np.argsort(np.where(free, -rest if missing > 0 else rest, np.inf), kind="stable")
        chosen = order[: min(abs(missing), int(free.sum()))]
        whole[chosen] += 1 if missing > 0 else -1
    return whole


def _runs(kept: NDArray[np.integer[Any]]) -> Floats:
    """One number where rows differ by rounding alone, else one per row: float64 (1,) or (R,)."""
    rows = np.asarray(kept, np.float64)
    return rows if rows.max() - rows.min() > 1 else rows.mean(keepdims=True)
