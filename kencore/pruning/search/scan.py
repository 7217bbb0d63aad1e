"""Trying a list of lambdas: all of them, or, in fast mode, those that matter.

Fast mode measures every other one and the neighbours of the best with products in bfloat16, then
the best few of these again in float32, and chooses among the few: the costs of good candidates
lie closer together than bfloat16 can tell. Where bfloat16 is not faster, all are measured in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kencore.allocate.slot import Sparsities
from kencore.pruning.search.candidates import Outcome
from kencore.pruning.search.session import Session, first_minimum

AGAIN = 3
"""Candidates that fast mode measures again."""

Costs = list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to share sparsity out; ``clipped`` as `kencore.pruning.search.session.Found`."""

    sparsities: Sparsities
    clipped: frozenset[str] = frozenset()


def scan(
    session: Session,
    lambdas: Sequence[float],
    make: Callable[[float], Candidate],
    title: str,
    *,
    row_adaptive: bool = False,
) -> tuple[Candidate, Outcome, dict[str, Any]]:
    """Measure candidates; the first of least cost, what it did, and the record of all.

    Args:
        make: the candidate of a lambda.
        title: of the step, for progress.
        row_adaptive: rounded and tied as the published row step does.

    Returns:
        Candidate, outcome, and the record: ``lambdas``, ``costs`` (``None`` where fast mode
        skipped), ``chosen``, ``matrix_costs`` by slot, ``rough``: lambdas measured in bfloat16
        only, from which none is chosen.
    """
    tried = _Tried(session, lambdas, make, title, row_adaptive)
    if session.settings.fast:
        tried.fast()
    else:
        tried.measure(range(len(lambdas)))
    best = first_minimum(tried.exact)
    candidate, outcome = tried.kept[best]
    record = {
        "lambdas": list(lambdas),
        "costs": tried.costs,
        "chosen": lambdas[best],
        "matrix_costs": tried.matrix_costs,
        "rough": [
            lam
            for lam, exact, cost in zip(lambdas, tried.exact, tried.costs, strict=True)
            if exact is None and cost is not None
        ],
    }
    return candidate, outcome, record


class _Tried:
    """What has been measured so far."""

    def __init__(
        self,
        session: Session,
        lambdas: Sequence[float],
        make: Callable[[float], Candidate],
        title: str,
        row_adaptive: bool,
    ) -> None:
        self.session, self.lambdas, self.make, self.title = session, lambdas, make, title
        self.row_adaptive = row_adaptive
        self.costs: Costs = [None] * len(lambdas)
        self.exact: Costs = [None] * len(lambdas)  # those of float32
        self.matrix_costs: dict[str, Costs] = {slot.name: [None] * len(lambdas) for slot in session.slots}
        self.kept: dict[int, tuple[Candidate, Outcome]] = {}

    def measure(self, places: Sequence[int], *, rough: bool = False) -> None:
        """Measure the candidates at these places of the list."""
        for place in places:
            candidate = self.make(self.lambdas[place])
            self.session.message = f"{self.title}, lambda {self.lambdas[place]:g}"
            outcome = self.session.measure(
                candidate.sparsities, row_adaptive=self.row_adaptive, clipped=candidate.clipped, rough=rough
            )
            self.costs[place] = outcome.cost
            for name, cost in outcome.matrix_costs.items():
                self.matrix_costs[name][place] = cost
            if not rough:
                self.exact[place] = outcome.cost
                if first_minimum(self.exact) == place:
                    self.kept = {place: (candidate, outcome)}

    def fast(self) -> None:
        """Every other one, the neighbours of the best, and the best few again.

        A Hessian multiplies what bfloat16 rounds away: SparseGPT is measured in float32 at once, and so is
        everything where bfloat16 is not faster.
        """
        rough = "hessian" not in self.session.rule.needs and self.session.rough
        self.measure(range(0, len(self.costs), 2), rough=rough)
        best = first_minimum(self.costs)
        around = [place for place in (best - 1, best + 1) if 0 <= place < len(self.costs)]
        self.measure(around, rough=rough)
        if rough:
            known = [place for place, cost in enumerate(self.costs) if cost is not None]
            known.sort(key=lambda place: self.costs[place] or 0.0)
            self.measure(sorted(known[:AGAIN]))
