"""What a search is asked, and the rounding, progress and record that all searches share.

Shapes: R rows (outputs) of a slot; B blocks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.allocate.budget import exact_counts, published_counts
from kencore.allocate.slot import Slot, Sparsities
from kencore.allocate.table import ALLOCATIONS, Allocation
from kencore.methods.scored import Ties
from kencore.models.blocks.capture import Streams
from kencore.models.blocks.halves import halves_pay
from kencore.models.blocks.model import BlockModel
from kencore.pruning.rule import Count, Rule
from kencore.pruning.search.candidates import Evaluator, Outcome, Reference
from kencore.settings.prune import PruneSpec
from kencore.system.progress import Clock, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationSettings:
    """What a search reads of the settings of a pruning, which `PruneSpec` has checked.

    Args:
        sparsity: the target over all slots, in (0, 1).
        lambdas: other ones than the published list, for both steps.
        allocation, step, reference, published, fast, block_lambda, row_lambda: as of `PruneSpec`;
            see `Evaluator` for the reference, `kencore.pruning.search.scan` for ``fast``.
    """

    allocation: str
    sparsity: float
    step: str = "block"
    reference: Reference = "local"
    published: bool = False
    fast: bool = False
    lambdas: tuple[float, ...] | None = None
    block_lambda: float | None = None
    row_lambda: float | None = None

    @classmethod
    def of(cls, spec: PruneSpec) -> AllocationSettings:
        """Those of a pruning whose budget is a share."""
        assert spec.sparsity is not None
        same = ("allocation", "step", "reference", "published", "fast", "block_lambda", "row_lambda")
        return cls(sparsity=spec.sparsity, **{name: getattr(spec, name) for name in same})

    @property
    def row(self) -> Allocation:
        """What the table says of the allocation."""
        return ALLOCATIONS[self.allocation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one allocation method gives.

    Args:
        sparsities: before rounding.
        scores: of each block, where the method has one.
        clipped: slots whose share the published code holds as a Python float.
        row_adaptive: rounded and tied as the published row step does.
        traces: what was tried: ``block_search``, ``row_search``.
        dead: slots whose inputs are zero on every token.
    """

    sparsities: Sparsities
    scores: list[float] | None = None
    clipped: frozenset[str] = frozenset()
    row_adaptive: bool = False
    traces: dict[str, Any] = field(default_factory=dict)
    dead: frozenset[str] = frozenset()


class Session:
    """One search: the model, its streams, the rule, and where it stands.

    Args:
        candidates: about how many candidates will be measured, for the progress.
    """

    def __init__(
        self,
        model: BlockModel,
        streams: Streams,
        rule: Rule,
        settings: AllocationSettings,
        *,
        progress: Progress | None = None,
        candidates: int = 1,
        clock: Clock | None = None,
    ) -> None:
        self.model, self.streams, self.rule, self.settings = model, streams, rule, settings
        self.clock = clock or Clock()
        self.slots: tuple[Slot, ...] = model.slots
        self.measured, self.candidates = 0, max(1, candidates)
        self.message = "Searching"
        self._progress = progress
        self._evaluators: dict[tuple[Ties, bool], Evaluator] = {}

    @cached_property
    def rough(self) -> bool:
        """Whether fast mode first measures with products in bfloat16: where these are faster here."""
        return self.settings.fast and halves_pay(self.model, self.streams)

    def tick(self, block: int) -> None:
        """Tell where the search stands; raises what the progress raises."""
        if self._progress:
            part = min(1.0, (self.measured + block / len(self.model.blocks)) / self.candidates)
            self._progress(part, 1.0, self.message)

    def measure(
        self, sparsities: Sparsities, *, row_adaptive: bool = False, clipped: Collection[str] = (), rough: bool = False
    ) -> Outcome:
        """What pruning so does, in NeuroAL's objective; arguments as `counts` and `evaluator`."""
        counts = self.counts(sparsities, row_adaptive=row_adaptive, clipped=clipped)
        outcome = self.evaluator(row_adaptive=row_adaptive, rough=rough)(counts)
        self.measured += 1
        return outcome

    def evaluator(self, *, row_adaptive: bool = False, rough: bool = False) -> Evaluator:
        """What measures candidates, ``rough`` with products in bfloat16; each kind is made once,
        so that it remembers the first block.
        """
        rule = self.tied(row_adaptive=row_adaptive)
        if (rule.ties, rough) not in self._evaluators:
            self._evaluators[rule.ties, rough] = Evaluator(
                self.model,
                self.streams,
                rule,
                reference=self.settings.reference,
                autocast=rough,
                clock=self.clock,
                tick=self.tick,
            )
        return self._evaluators[rule.ties, rough]

    def tied(self, *, row_adaptive: bool) -> Rule:
        """The rule, with the ties of the published masks per row where those are asked for."""
        return replace(self.rule, ties="kept") if self._as_rows(row_adaptive) else self.rule

    def _as_rows(self, row_adaptive: bool) -> bool:
        return self.settings.published and row_adaptive

    def counts(
        self, sparsities: Sparsities, *, row_adaptive: bool = False, clipped: Collection[str] = ()
    ) -> dict[str, Count]:
        """Entries to prune by slot, as the settings want them rounded."""
        if not self.settings.published:
            return dict(exact_counts(self.slots, sparsities, self.settings.sparsity))
        if self.rule.updates:
            return {name: float(share) for name, share in sparsities.items()}
        return dict(published_counts(self.slots, sparsities, row_adaptive=row_adaptive, clipped=clipped))


def first_minimum(costs: list[float | None]) -> int:
    """Place of the smallest cost, the first on ties; costs that are missing or NaN do not count."""
    known = np.array([np.nan if cost is None else cost for cost in costs], dtype=np.float64)
    return 0 if np.isnan(known).all() else int(np.nanargmin(known))


def block_means(slots: tuple[Slot, ...], shares: dict[str, float], blocks: int) -> list[float]:
    """Mean share of each block over its entries; NaN for a block without slots."""
    sizes, sums = np.zeros(blocks), np.zeros(blocks)
    for slot in slots:
        sizes[slot.block] += slot.size
        sums[slot.block] += slot.size * shares[slot.name]
    means: NDArray[np.float64] = np.divide(sums, sizes, out=np.full(blocks, np.nan), where=sizes > 0)
    return [float(mean) for mean in means]
