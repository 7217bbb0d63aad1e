"""NeuroAL's two searches: over the slope of sparsity with depth, then over the spread of rows.

Shapes: R rows (outputs), C columns (inputs) of a slot; B blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from kencore.allocate import neuroal
from kencore.allocate.slot import Sparsities, per_block
from kencore.models.blocks.readers import reader, row_alignment
from kencore.pruning.rule import ATTENTION
from kencore.pruning.search.candidates import Outcome
from kencore.pruning.search.scan import Candidate, scan
from kencore.pruning.search.session import Found, Session


def search(session: Session) -> Found:
    """The step or steps that the settings name.

    The row step starts from the candidate that the block step chose, or from equal blocks.
    There is no row step for a method that updates, whose masks are not per row.
    """
    step = session.settings.step
    traces: dict[str, Any] = {}
    if step == "row":
        start = block_candidate(session, 0.0)
        session.message = "Measuring equal blocks"
        outcome = session.measure(start.sparsities, clipped=start.clipped)
    else:
        start, outcome, traces["block_search"] = search_blocks(session)
    if step == "block" or session.rule.row.update is not None:
        return Found(sparsities=start.sparsities, clipped=start.clipped, traces=traces, dead=frozenset(outcome.dead))
    best, last, traces["row_search"] = search_rows(session, start, outcome)
    return Found(
        sparsities=best.sparsities,
        clipped=start.clipped,
        row_adaptive=True,
        traces=traces,
        dead=frozenset(outcome.dead + last.dead),
    )


def search_blocks(session: Session) -> tuple[Candidate, Outcome, dict[str, Any]]:
    """Try every slope; the best candidate, what it did, and the record of all.

    Ours also tries 0, equal blocks, which the published list leaves out.
    """
    settings = session.settings
    own = neuroal.BLOCK_LAMBDAS(settings.sparsity)
    lambdas = settings.lambdas or (own if settings.published else (0.0, *own))
    if settings.block_lambda is not None:
        lambdas = (settings.block_lambda,)
    return scan(session, lambdas, lambda lam: block_candidate(session, lam), "Block step")


def search_rows(session: Session, start: Candidate, outcome: Outcome) -> tuple[Candidate, Outcome, dict[str, Any]]:
    """Try every spread over rows, from the alignment that ``outcome`` measured at ``start``."""
    lambdas = session.settings.lambdas or neuroal.ROW_LAMBDAS
    if session.settings.row_lambda is not None:
        lambdas = (session.settings.row_lambda,)
    published = session.settings.published
    make = published_row_candidate if published else row_candidate
    return scan(
        session, lambdas, lambda lam: make(session, start, outcome.alignment, lam), "Row step", row_adaptive=True
    )


def block_candidate(session: Session, lam: float) -> Candidate:
    """Sparsity rising by 2 * lam over depth, clipped as published."""
    ramp = neuroal.ramp(len(session.model.blocks), session.settings.sparsity, lam)
    clipped, which = neuroal.published_clip(ramp)
    names = [slot.name for slot in session.slots if which[slot.block]]
    shares = {name: float(v) for name, v in per_block(list(session.slots), clipped).items()}
    return Candidate(sparsities=dict(shares), clipped=frozenset(names))


def row_candidate(session: Session, start: Candidate, alignment: dict[str, Tensor], lam: float) -> Candidate:
    """Rows spread by what happened to the inputs they become; even where nobody reads them."""
    sparsities: Sparsities = {}
    for slot in session.slots:
        share = float(start.sparsities[slot.name])  # type: ignore[arg-type]
        moved = row_alignment(session.model, slot, alignment)
        if moved is None:
            sparsities[slot.name] = np.full(slot.rows, share)
            continue
        rows = neuroal.row_sparsity(moved, share, lam)
        sparsities[slot.name] = np.clip(rows, neuroal.LOWEST, neuroal.HIGHEST)
    return Candidate(sparsities=sparsities)


def published_row_candidate(session: Session, start: Candidate, alignment: dict[str, Tensor], lam: float) -> Candidate:
    """As published: the alignment of the reader's inputs in their own order, the first R of them
    where a key or value matrix has fewer rows; q, k and v of Mistral are left even.
    """
    sparsities: Sparsities = {}
    mistral = session.model.layout.model_type == "mistral"
    last = len(session.model.blocks) - 1
    for slot in session.slots:
        share = start.sparsities[slot.name]
        other = reader(session.model, slot)
        even = other is None or slot.block == last or (mistral and slot.role in ATTENTION - {"o"})
        rows = share
        if not even and other is not None:
            rows = neuroal.published_rows(alignment[other.name], float(share), lam)  # type: ignore[arg-type]
        sparsities[slot.name] = rows if np.ndim(rows) == 0 else np.asarray(rows)[: slot.rows]
    return Candidate(sparsities=sparsities, clipped=start.clipped)
