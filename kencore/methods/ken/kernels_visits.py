"""Compiled: the visits of the KEN rule over one sorted row.

Every grid point takes the nearest value not yet taken; distances are float32, so distinct values
can be equally far and the lowest index of the row decides. A value without copies left points to
one that has some, to either side, through paths that are halved at every walk (union-find).

Shapes: C columns, K grid points, D distinct values.
"""

from __future__ import annotations

import numpy as np

from kencore.methods.compiled import inlined

DIGIT = 11  # bits sorted per pass
ONE = np.uint32(1)  # unsigned: numba then leaves out the look for negative places


@inlined
def fill_grid(lo, hi, grid):  # type: ignore[no-untyped-def]
    """``np.linspace(lo, hi, K)`` of numpy 2 in float32, bit for bit, into ``grid`` (K,)."""
    k = grid.size
    grid[0] = lo
    if k == 1:
        return
    delta = np.float32(hi - lo)
    parts = np.float32(k - 1)
    step = np.float32(delta / parts)
    for j in range(k - 1):
        if step != np.float32(0.0):
            grid[j] = np.float32(np.float32(j) * step) + lo
        else:  # the step underflows
            grid[j] = np.float32(np.float32(np.float32(j) / parts) * delta) + lo
    grid[k - 1] = hi


@inlined
def visiting_order(levels, visits, spare, counts):  # type: ignore[no-untyped-def]
    """Indices of ``levels`` by falling level, ties left to right, into ``visits`` (K,).

    A counting sort of ``DIGIT`` bits a pass: one pass for all but rows of tiny spread.
    ``levels`` become distances from the highest level.
    """
    k, lowest, top = levels.size, levels[0], levels[0]
    for j in range(k):
        lowest, top = min(lowest, levels[j]), max(top, levels[j])
        visits[j] = j
    for j in range(k):
        levels[j] = top - levels[j]
    span, shift = top - lowest, 0
    while span >> shift > 0:
        bins = min(1 << DIGIT, (span >> shift) + 1)
        counts[: bins + 1] = 0
        for j in range(k):
            counts[((levels[j] >> shift) & ((1 << DIGIT) - 1)) + 1] += 1
        for b in range(bins):
            counts[b + 1] += counts[b]
        for i in range(k):
            digit = (levels[visits[i]] >> shift) & ((1 << DIGIT) - 1)
            spare[counts[digit]] = visits[i]
            counts[digit] += 1
        for i in range(k):
            visits[i] = spare[i]
        shift += DIGIT


@inlined
def distinct_values(values, distinct, starts):  # type: ignore[no-untyped-def]
    """Sorted ``values`` without repeats at ``distinct[1 : D + 1]``, and where each begins: D."""
    count = np.uint32(1)
    starts[0], starts[1], starts[2] = 0, 0, 1
    distinct[1] = values[0]
    for i in range(1, values.size):  # no branch: where repeats are is a surprise each time
        count += np.uint32(values[i] != values[i - 1])
        distinct[count] = values[i]
        starts[np.uint32(count + ONE)] = i + 1
    distinct[0], distinct[np.uint32(count + ONE)] = -np.inf, np.inf
    return np.int64(count)


@inlined
def positions(distinct, grid, at):  # type: ignore[no-untyped-def]
    """For each grid point the first distinct value not below it (D + 1: none), into ``at`` (K,).

    Guessed from the grid being even, then made exact: cheaper than a merge, where every step is a
    surprise to the processor.
    """
    k, end = grid.size, distinct.size - 1
    at[:] = 1
    lo, hi = np.float64(grid[0]), np.float64(grid[k - 1])
    per_step = (k - 1) / (hi - lo) if hi > lo else 0.0
    for g in range(1, end):
        j = int((distinct[g] - lo) * per_step) + 1  # the first point above the value
        if 0 < j < k:
            at[j] = g + 1
    place = np.int64(1)
    for j in range(k):
        place = max(place, np.int64(at[j]))
        while place < end and distinct[place] < grid[j]:
            place += 1
        while place > 1 and distinct[place - 1] >= grid[j]:
            place -= 1
        at[j] = place


@inlined
def take_nearest(distinct, starts, order, grid, at, visits, links, keep):  # type: ignore[no-untyped-def]
    """Visit the grid and set ``keep`` (C,) at what each point takes.

    ``distinct`` and ``starts`` are D + 2 long; ``distinct`` ends in infinities, which stand for
    "none". ``order`` (C,) are the columns of the sorted values, rising within equal ones.
    ``links`` are work arrays of D + 2: copies of a value that are ``free``, and where to look on
    from a value that has none, to the ``right`` and to the ``left``.

    Neighbouring points follow each other: the gap that the last one fell into is tried first.
    """
    free, to_right, to_left = links
    end = np.uint32(distinct.size - 1)
    for g in range(end + 1):
        free[g], to_right[g], to_left[g] = starts[g + 1] - starts[g] if g < end else 0, g, g
    left, right = np.uint32(0), np.uint32(0)  # free, and nothing free between them
    for visit in visits:
        point, place = grid[visit], at[visit]
        if place <= left or place > right:
            right = _free(place, to_right)
            left = _free(np.uint32(place - ONE), to_left)
        before, behind = point - distinct[left], distinct[right] - point
        if before < behind:
            best, closest, beyond = left, before, point - distinct[np.uint32(left - ONE)]
        else:
            best, closest, beyond = right, behind, distinct[np.uint32(right + ONE)] - point
        if before == behind or beyond == closest:
            best = _first_of_equals(point, closest, left, right, distinct, starts, order, links)
        free[best] -= ONE
        if free[best] == 0:
            to_right[best], to_left[best] = best + ONE, best - ONE
            if best == right:
                right = _free(np.uint32(best + ONE), to_right)
            elif best == left:
                left = _free(np.uint32(best - ONE), to_left)
    for g in range(1, end):
        first, after = starts[g], starts[g + 1] - free[g]
        keep[order[first]] = first < after
        for i in range(first + 1, after):
            keep[order[i]] = True


@inlined
def _free(place, links):  # type: ignore[no-untyped-def]
    """The next value from ``place`` on that has a copy left, halving the path to it."""
    following = links[place]
    while following != place:
        beyond = links[following]
        links[place] = beyond
        place = beyond
        following = links[place]
    return place


@inlined
def _first_of_equals(point, closest, left, right, distinct, starts, order, links):  # type: ignore[no-untyped-def]
    """Of the free values at float32 distance ``closest`` from ``point``, the lowest column's."""
    free, to_right, to_left = links
    best, column = right, order.size
    while point - distinct[left] == closest:
        own = order[starts[left + 1] - free[left]]
        if own < column:
            best, column = left, own
        left = _free(np.uint32(left - ONE), to_left)
    while distinct[right] - point == closest:
        own = order[starts[right + 1] - free[right]]
        if own < column:
            best, column = right, own
        right = _free(np.uint32(right + ONE), to_right)
    return best
