"""Compiled: the visits of the KEN rule over one sorted row.

Every grid point takes the nearest value not yet taken; distances are float32, so distinct values
can be equally far and the lowest index of the row decides. Free values form a linked list; a
taken one points to a free one to its right through a path that is halved at every walk.

Shapes: C columns, K grid points, D distinct values.
"""

from __future__ import annotations

import numpy as np

from kencore.select.compiled import compiled

DIGIT = 11  # bits sorted per pass


@compiled
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


@compiled
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


@compiled
def distinct_values(values, distinct, starts):  # type: ignore[no-untyped-def]
    """Sorted ``values`` without repeats at ``distinct[1 : D + 1]``, and where each begins: D."""
    count = 0
    for i in range(values.size):
        if i == 0 or values[i] != values[i - 1]:
            count += 1
            distinct[count] = values[i]
            starts[count] = i
    starts[count + 1] = values.size
    distinct[0], distinct[count + 1] = -np.inf, np.inf
    return count


@compiled
def positions(distinct, grid, at):  # type: ignore[no-untyped-def]
    """For each grid point the first distinct value not below it (D + 1: none), by a merge."""
    place, end = 1, distinct.size - 1
    for j in range(grid.size):
        while place < end and distinct[place] < grid[j]:
            place += 1
        while place > 1 and distinct[place - 1] >= grid[j]:  # a grid can step back by an ulp
            place -= 1
        at[j] = place


@compiled
def take_nearest(distinct, starts, order, grid, at, visits, links, keep):  # type: ignore[no-untyped-def]
    """Visit the grid and set ``keep`` (C,) at what each point takes.

    ``distinct`` and ``starts`` are D + 2 long; ``distinct`` ends in infinities, which stand for
    "none". ``order`` (C,) are the columns of the sorted values, rising within equal ones.
    ``links`` are work arrays of D + 2: ``head`` (next copy of a value), ``after`` and ``before``
    (neighbours still free).
    """
    head, after, before = links
    end = distinct.size - 1
    for g in range(end + 1):
        head[g], after[g], before[g] = starts[g], g + 1, g - 1
    after[end] = end
    before[0] = 0
    for visit in visits:
        point = grid[visit]
        right = _first_free(at[visit], end, starts, head, after)
        left = before[right]
        to_left, to_right = point - distinct[left], distinct[right] - point
        closest = min(to_left, to_right)
        best = left if to_left < to_right else right
        beyond = before[left] if to_left < to_right else after[right]
        if to_left == to_right or abs(distinct[beyond] - point) == closest:
            best = _first_of_equals(point, closest, left, right, distinct, order, links)
        keep[order[head[best]]] = True
        head[best] += 1
        if head[best] == starts[best + 1]:
            after[before[best]] = after[best]
            before[after[best]] = before[best]


@compiled
def _first_free(place, end, starts, head, after):  # type: ignore[no-untyped-def]
    """The first distinct value from ``place`` on that has a copy left, halving the path to it."""
    while place < end and head[place] == starts[place + 1]:
        following = after[place]
        if following < end and head[following] == starts[following + 1]:
            after[place] = after[following]
        place = following
    return place


@compiled
def _first_of_equals(point, closest, left, right, distinct, order, links):  # type: ignore[no-untyped-def]
    """Of the free values at float32 distance ``closest`` from ``point``, the lowest column's."""
    head, after, before = links
    best, column = right, order.size
    while point - distinct[left] == closest:
        if order[head[left]] < column:
            best, column = left, order[head[left]]
        left = before[left]
    while distinct[right] - point == closest:
        if order[head[right]] < column:
            best, column = right, order[head[right]]
        right = after[right]
    return best
