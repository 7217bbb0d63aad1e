"""How near choices of codes come to the tuned model, as measured: which order of codes is the best at a size, and the
smallest choice that is near enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kencore.codes.choice import Choice, choose
from kencore.errors import SpecError
from kencore.pruning.coder import Coder
from kencore.settings.prune import PruneSpec
from kencore.settings.together import ORDERS
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from kencore.quality.near import Near

STEPS: Final = 9  # of the search for a closeness
MORE_STEPS: Final = 5  # of that in another order of codes
LEAST_BITS, MOST_BITS = 0.002, 16.0  # per weight, between which a closeness is searched


def ordered(coder: Coder, near: Near, progress: Progress, room: float) -> None:
    """Take the order of codes whose choice of so many bytes comes nearest to the tuned model, as measured.

    Args:
        near: of calibration text that ordered nothing.
        room: in bytes.
    """
    for number, order in enumerate(coder.orders):
        progress(number, len(coder.orders), f"Comparing orders of codes: {ORDERS[order]}")
        coder.take(order)
        near.judge.bring(coder.pair.tuned_tensors, coder.state(choose(coder.table, 8 * max(0.0, room))))
        coder.nearness[order] = near.of()["kl"]
    coder.take(min(coder.orders, key=lambda order: _or_inf(coder.nearness[order])))


def _or_inf(kl: float | None) -> float:
    return math.inf if kl is None else kl


def nearest(
    coder: Coder, near: Near | None, progress: Progress, compare: Callable[[float], None] | None = None
) -> Choice:
    """The smallest choice whose answers are as near to the tuned model's as is asked for, as measured.

    Args:
        compare: takes the best order of codes at so many bytes, see `ordered`: it is asked where the search ended, and
            where another order is better there, the search goes on in it.

    Raises:
        SpecError: no choice comes so near, or the model gives no answers.
    """
    spec, total = coder.spec, STEPS + 1 + (0 if compare is None else MORE_STEPS)
    if near is None:
        from kencore.quality.near import no_answers

        raise no_answers("same" if spec.kl is None else "kl")

    def tell(done: int, message: str) -> None:
        progress(done, total, message)

    search = partial(_smallest, coder, near)
    best, bits = search(None, LEAST_BITS, MOST_BITS, STEPS, tell)
    if compare is not None:
        first = coder.order
        compare(bits * coder.size / 8)
        if coder.order != first:
            best, less = search(best, bits / 2, bits, MORE_STEPS, lambda done, text: tell(STEPS + done, text))
            if less == bits:
                coder.take(first)
    return best


def _smallest(
    coder: Coder, near: Near, best: Choice | None, low: float, high: float, steps: int, tell: Callable[[int, str], None]
) -> tuple[Choice, float]:
    """The smallest choice between two sizes in bits per weight that is near enough, and its size.

    Args:
        best: a choice of size ``high`` that is near enough; ``None``: that is tried first.

    Raises:
        SpecError: it is not.
    """

    def measured(bits: float, turn: int) -> tuple[Choice, dict[str, Any]]:
        choice = choose(coder.table, bits * coder.size)
        tell(turn, f"Measuring at {bits:.3g} bits per weight")
        near.judge.bring(coder.pair.tuned_tensors, coder.state(choice))
        return choice, near.of()

    if best is None:
        best, found = measured(high, 0)
        if not _near_enough(coder.spec, found):
            raise _too_near(coder.spec, found)
    for turn in range(steps):
        middle = float(np.sqrt(low * high))
        choice, found = measured(middle, turn + 1)
        if _near_enough(coder.spec, found):
            best, high = choice, middle
        else:
            low = middle
    return best, high


def _too_near(spec: PruneSpec, found: Mapping[str, Any]) -> SpecError:
    """The error where the largest choice is not near enough."""
    if spec.kl is not None:
        name, got, reached, ask = "kl", f"{spec.kl:g} nats", found["kl"], "a larger divergence"
    else:
        name, got, reached, ask = "same", f"{spec.same:g} of the answers the same", found["same_answer"], "fewer"
    return SpecError(
        name,
        got=got,
        wanted=f"what {MOST_BITS:g} bits per weight reach: " + ("nan" if reached is None else f"{reached:.3g}"),
        remedy=f"Ask for {ask}" + (", or leave code out." if spec.code else "."),
    )


def _near_enough(spec: PruneSpec, found: Mapping[str, Any]) -> bool:
    """Whether answers come as near as is asked for; rounding to 12 digits makes 97 of 100 a share of 0.97."""
    if spec.kl is not None:
        return bool(found["kl"] is not None and found["kl"] <= spec.kl)
    assert spec.same is not None
    return bool(round(found["same_answer"] - spec.same, 12) >= 0)
