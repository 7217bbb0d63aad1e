"""How sparsity is shared out over a model's matrices, where that takes the model to find out.

`allocate` drives the streams; the formulas are in `kencore.allocate`. The trace says what was
tried and what it cost.

Shapes: R rows (outputs), C columns (inputs) of a slot; B blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kencore.allocate import neuroal
from kencore.allocate.slot import Sparsities
from kencore.models.blocks import BlockModel, Streams
from kencore.pruning.rule import Count, Rule
from kencore.pruning.search import measured
from kencore.pruning.search.neuroal import search
from kencore.pruning.search.session import AllocationSettings, Found, Session, block_means
from kencore.system.progress import Clock, Progress

__all__ = ["Allocated", "AllocationSettings", "allocate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """The result of a search.

    Args:
        sparsities: share of each slot, or of each of its rows, before rounding.
        counts: entries to prune: (R,) by slot, exact over all slots; rounded as the published
            code does in published mode, where SparseGPT takes shares.
        rule: the rule to prune with: the one handed in, with the published way to break ties.
        trace: what was tried, as in a run's ``trace.json``.
    """

    sparsities: Sparsities
    counts: dict[str, Count]
    rule: Rule
    trace: dict[str, Any]


def allocate(
    model: BlockModel,
    streams: Streams,
    rule: Rule,
    settings: AllocationSettings,
    *,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Allocated:
    """Choose every slot's sparsity. The model is left as it was.

    Args:
        streams: of the sequences to search on; a few suffice (8 as published; OWL as published
            takes all that the pruning takes).
        rule: how weights are pruned; its refinement is left out of the search.
        progress: called with (done, total, message), several times a candidate; may raise to
            cancel.
        clock: gets the seconds under ``forward``, ``statistics`` and ``prune``.

    Raises:
        DeadLayerError: nothing in a block is given anything but zeros.
        NonFiniteActivationError: naming the block.
        NonFiniteWeightError, FactorizationError: as the rule.
    """
    started = time.perf_counter()
    session = Session(model, streams, rule, settings, progress=progress, candidates=_candidates(settings), clock=clock)
    session.message = settings.row.doing or session.message
    found = SEARCHES[settings.row.measures](session)
    counts = session.counts(found.sparsities, row_adaptive=found.row_adaptive, clipped=found.clipped)
    shares = {slot.name: _share(counts[slot.name], slot.size, slot.rows) for slot in model.slots}
    return Allocated(
        sparsities=found.sparsities,
        counts=counts,
        rule=session.tied(row_adaptive=found.row_adaptive),
        trace=_trace(session, found, shares, time.perf_counter() - started),
    )


def _candidates(settings: AllocationSettings) -> int:
    """About how many candidates NeuroAL will measure."""
    if settings.row.measures != "alignment":
        return 1
    each = len(settings.lambdas or neuroal.ROW_LAMBDAS)
    each = each // 2 + 6 if settings.fast else each
    return round(each * (2 if settings.step == "both" else 1))


def _share(count: Count, size: int, rows: int) -> float:
    """The share of a matrix that goes."""
    if isinstance(count, float):
        return count
    return float(np.broadcast_to(count, (rows,)).sum()) / size


def _trace(session: Session, found: Found, shares: dict[str, float], seconds: float) -> dict[str, Any]:
    settings, model = session.settings, session.model
    scores: list[float | None] = [None] * len(model.blocks)
    scores = [*found.scores] if found.scores else scores
    phases = session.clock.seconds
    means = block_means(model.slots, shares, len(model.blocks))
    steps = "step" in settings.row.options
    return {
        "allocation": settings.allocation,
        "step": settings.step if steps else None,
        "reference": settings.reference if steps else None,
        "target_sparsity": settings.sparsity,
        "block_search": found.traces.get("block_search"),
        "row_search": found.traces.get("row_search"),
        "blocks": [
            {"block": block, "sparsity": _known(mean), "score": _known(score)}
            for block, (mean, score) in enumerate(zip(means, scores, strict=True))
        ],
        "matrices": {name: {"sparsity": share} for name, share in shares.items()},
        "dead": sorted(found.dead),
        "seconds": {"search": seconds} | {f"search_{key}": own for key, own in phases.items()},
        "forward_share": phases.get("forward", 0.0) / seconds if seconds else None,
    }


def _known(value: float | None) -> float | None:
    """JSON has no NaN."""
    return None if value is None or np.isnan(value) else value


SEARCHES: dict[str, Callable[[Session], Found]] = {
    "nothing": measured.by_nothing,
    "scores": measured.by_scores,
    "spectra": measured.by_spectra,
    "loss": measured.by_loss,
    "alignment": search,
}
"""How what an allocation ``measures`` is measured."""
