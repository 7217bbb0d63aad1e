"""What is measured beside a run that codes differences: other rules in at least as many bytes.

``delta``: the exact values of each matrix's largest differences, the same share everywhere, their places counted by
entropy, which is less than any file takes. (The method of that name takes the largest of each row, at least one.)
``bitdelta``: signs with one scale a matrix, as published, where they fit; vectors in 8 bits. Names, hashes and what
else a file holds are taken to be as many bytes as the run's.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.as_torch import to_torch
from kencore.checkpoint.header import BITS
from kencore.codes.choice import BITDELTA, Choice, Option
from kencore.codes.levels import pieces
from kencore.pruning.difference import Difference
from kencore.runs.restore import as_matrix, as_stored, base_bits
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from kencore.pruning.coder import Coder
    from kencore.quality.judge_model import Bring, Judge, Key
    from kencore.quality.states import State
    from kencore.runs.lines import Decision

DELTA: Final = "delta"
SCALE: Final = 16  # bits
STEPS: Final = 40  # of the search for a share


def coded_baselines(coder: Coder, judge: Judge, choice: Choice) -> dict[str, tuple[Key | None, Bring]]:
    """By its name, what the figures of each baseline depend on, and what puts the judge's model into its state."""
    room = 8 * coder.payload(choice)
    source = (coder.spec.base, coder.spec.base_revision, tuple(coder.chosen))
    share = largest_share(coder.chosen, room)
    states: dict[Key, Callable[[], State]] = {}
    if any(kept_of(one, share) for one in coder.chosen.values()):
        states[DELTA, share] = lambda: exact_state(coder, share)
    if signs_bits(coder.chosen) <= room:
        states[BITDELTA, None] = lambda: coder.state(signs(coder.chosen))
    return {key[0]: (("beside bytes", *key, source), _bringing(coder, judge, state)) for key, state in states.items()}


def largest_share(chosen: Mapping[str, Decision], room: float) -> float:
    """The largest share of each matrix whose values and places fit into so many bits."""
    if exact_bits(chosen, 1.0) <= room:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if exact_bits(chosen, middle) <= room else (low, middle)
    return low


def kept_of(decision: Decision, share: float) -> int:
    """Entries of a matrix of which a share is kept; all of one with rows that the base lacks."""
    return decision.size if decision.common is not None else int(share * decision.size)


def exact_bits(chosen: Mapping[str, Decision], share: float) -> float:
    """Bits of a share of each matrix: values as they are stored, and their places by entropy."""
    return sum(_exact_bits(decision, share) for decision in chosen.values())


def _exact_bits(decision: Decision, share: float) -> float:
    width, size, kept = BITS[decision.parameter.dtype], decision.size, kept_of(decision, share)
    return min(float(width * size), width * kept + size * _entropy(kept / max(1, size)))


def exact_state(coder: Coder, share: float) -> State:
    """Every matrix with the exact values of its largest differences, of equal ones the first, else the base's."""
    for name, decision in coder.chosen.items():
        parameter, info = decision.parameter, coder.pair.tuned_tensors.info(name)
        stored = as_matrix(coder.pair.tuned_tensors.raw(name), transposed=parameter.transposed)
        if (kept := kept_of(decision, share)) < decision.size:
            whole = Difference(coder.pair, parameter)
            base = np.concatenate([whole.sides(rows)[1] for rows in pieces(whole.shape)])  # R, C
            mask = largest(np.abs(whole[:]), kept)
            stored = np.where(mask, stored, base_bits("F32", parameter.dtype, base))
        yield name, to_torch(as_stored(stored, parameter.transposed, info.shape), info)
        coder.pair.release()


def largest(sizes: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
    """Where the largest of some sizes (R, C) are, of equal ones the first."""
    if not kept:
        return np.zeros(sizes.shape, np.bool_)
    least = np.partition(sizes, sizes.size - kept, axis=None)[sizes.size - kept]
    found: NDArray[np.bool_] = sizes > least
    ties = np.flatnonzero(sizes == least)[: kept - int(found.sum())]
    found.reshape(-1)[ties] = True
    return found


def signs_bits(chosen: Mapping[str, Decision]) -> float:
    """Bits of BitDelta's signs and scales."""
    return sum(
        _exact_bits(one, 1.0)
        if one.common is not None
        else one.size * (8 if len(one.parameter.shape) == 1 else 1) + SCALE
        for one in chosen.values()
    )


def signs(chosen: Mapping[str, Decision]) -> Choice:
    """BitDelta of every matrix, 8 bits of every vector."""
    return {
        name: _option("exact", 1.0)
        if one.common is not None or not one.size
        else _option("grid" if len(one.parameter.shape) == 1 else BITDELTA)
        for name, one in chosen.items()
    }


def _option(code: str, value: float = 0.0) -> Option:
    return Option(code=code, value=value, bits=0.0, harm=0.0)


def _entropy(share: float) -> float:
    """Bits of a yes or no of this chance."""
    return 0.0 if share in (0, 1) else -share * math.log2(share) - (1 - share) * math.log2(1 - share)


def _bringing(coder: Coder, judge: Judge, state: Callable[[], State]) -> Bring:
    def bring(_: Progress) -> None:
        judge.bring(coder.pair.tuned_tensors, state())

    return bring
