"""How near choices of codes come to the tuned model, as measured: which order of codes is the best at a size, and the
smallest choice that is near enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.codes.choice import Choice, choose
from kencore.errors import NonFiniteWeightError, SpecError
from kencore.pruning.coder import Coder
from kencore.settings.prune import PruneSpec
from kencore.settings.together import ORDERS
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from kencore.quality.near import Near

STEPS: Final = 9  # of the search for a closeness
MORE_STEPS: Final = 5  # of that in another order of codes
BEYOND: Final = 2.0
LEAST_BITS, MOST_BITS = 0.002, 16.0  # per weight, between which a closeness is searched


def take_nearest_order(coder: Coder, near: Near, progress: Progress, room: float) -> None:
    """Take the order of codes whose choice of so many bytes comes nearest to the tuned model, see `best_of`. Choices
    that are the same are measured once, and not at all where all are.

    Args:
        near: of calibration text.
        room: in bytes.
    """
    choices = {order: choose(table, 8 * max(0.0, room)) for order, table in coder.orders.items()}
    alike = {order: {name: replace(one, harm=0.0) for name, one in choice.items()} for order, choice in choices.items()}
    first = {order: next(other for other in alike if alike[other] == alike[order]) for order in alike}
    if len(set(first.values())) == 1:
        return
    found: dict[str, NDArray[np.float64] | None] = {}
    for number, order in enumerate(coder.orders):
        progress(number, len(coder.orders), f"Comparing orders of codes: {ORDERS[order]}")
        if first[order] == order:
            near.judge.bring(coder.pair.tuned_tensors, coder.state(choices[order]))
            found[order] = _each(near)
        else:
            found[order] = found[first[order]]
    coder.take(best_of(found))
    means = {order: None if one is None else float(one.mean()) for order, one in found.items()}
    coder.compared = {"bits": 8 * max(0.0, room) / coder.size, "kl": means}


def best_of(found: Mapping[str, NDArray[np.float64] | None]) -> str:
    """The order to take: the first, unless others come nearer by more than `BEYOND` standard errors of the difference
    on the same sentences or windows; then the nearest of those.

    Args:
        found: KL (N,) of each; ``None``: its model is broken.
    """
    usual, own = next(iter(found.items()))
    means = {order: one.mean() for order, one in found.items() if one is not None}
    if own is not None:
        means = {order: mean for order, mean in means.items() if order != usual and _nearer(found[order], own)}
    return min(means, key=means.__getitem__) if means else usual


def _nearer(other: NDArray[np.float64] | None, own: NDArray[np.float64]) -> bool:
    assert other is not None
    apart = other - own
    return bool(apart.mean() + BEYOND * apart.std() / math.sqrt(len(apart)) < 0)


def _each(near: Near) -> NDArray[np.float64] | None:
    """KL (N,) of each answer; ``None``: some are NaN or infinite."""
    try:
        found = near.each()
    except NonFiniteWeightError:
        return None
    return found if np.isfinite(found).all() else None


def nearest(
    coder: Coder, near: Near | None, progress: Progress, compare: Callable[[float], None] | None = None
) -> Choice:
    """The smallest choice whose answers are as near to the tuned model's as is asked for, as measured.

    Args:
        compare: takes the best order of codes at so many bytes, see `take_nearest_order`: it is asked where the search
            ended, and where another order is better there, the search goes on below in it.

    Raises:
        SpecError: no choice comes so near, or the model gives no answers.
    """
    if near is None:
        from kencore.quality.near import no_answers

        raise no_answers("same" if coder.spec.kl is None else "kl")
    search = _Search(coder, near, progress, STEPS + 1 + (0 if compare is None else MORE_STEPS))
    best, bits = search.between(search.largest(), LEAST_BITS, MOST_BITS, STEPS)
    if compare is None:
        return best
    first = coder.order
    compare(bits * coder.size / 8)
    if coder.order == first:
        return best
    smaller = search.below(best, bits)
    if smaller is best:  # nearer, and yet no smaller file
        coder.take(first)
        coder.compared = {}
    return smaller


class _Search:
    """Measures choices of sizes in bits per weight, in the order that the coder has taken."""

    def __init__(self, coder: Coder, near: Near, progress: Progress, total: int) -> None:
        self.coder, self.near, self.progress, self.total = coder, near, progress, total
        self.done = 0

    def at(self, bits: float) -> tuple[Choice, dict[str, Any]]:
        """A choice of a size, and how near it comes."""
        coder = self.coder
        choice = choose(coder.table, bits * coder.size)
        self.progress(min(self.done, self.total), self.total, f"Measuring at {bits:.3g} bits per weight")
        self.done += 1
        self.near.judge.bring(coder.pair.tuned_tensors, coder.state(choice))
        return choice, self.near.of()

    def largest(self) -> Choice:
        """The largest choice, in the first order in which it is near enough; ``both`` before others: it is the best
        where bits are few, and what is near enough usually has few.

        Raises:
            SpecError: it is in none.
        """
        reached: list[dict[str, Any]] = []
        for order in sorted(self.coder.orders, key=lambda order: order != "both"):
            self.coder.take(order)
            choice, found = self.at(MOST_BITS)
            if _near_enough(self.coder.spec, found):
                return choice
            reached.append(found)
        raise _too_near(self.coder.spec, reached[0])

    def between(self, best: Choice, low: float, high: float, steps: int) -> tuple[Choice, float]:
        """The smallest choice between two sizes that is near enough, and its size; ``best`` is that of the larger."""
        for _ in range(steps):
            middle = math.sqrt(low * high)
            choice, found = self.at(middle)
            if _near_enough(self.coder.spec, found):
                best, high = choice, middle
            else:
                low = middle
        return best, high

    def below(self, best: Choice, bits: float) -> Choice:
        """The smallest choice below a size: ``best`` where none is near enough."""
        while (low := bits / 2) >= LEAST_BITS:
            choice, found = self.at(low)
            if not _near_enough(self.coder.spec, found):
                return self.between(best, low, bits, MORE_STEPS - 1)[0]
            best, bits = choice, low
        return best


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
