"""Allocations that measure the dense model once, or its loss at a few candidates.

Shapes: R rows (outputs), C columns (inputs) of a slot; B blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from kencore.allocate.alpha import block_exponents
from kencore.allocate.slot import Sparsities
from kencore.errors import DeadLayerError
from kencore.methods.registry import Lazy, load
from kencore.methods.wanda import wanda
from kencore.models.blocks.inputs import DENSE_NORMS, NORM, Gathered, all_need, gather
from kencore.models.blocks.tail import language_loss
from kencore.pruning.search.session import Found, Session, first_minimum


def by_nothing(session: Session) -> Found:
    """From the target alone."""
    return Found(sparsities=_shares(session))


def by_scores(session: Session) -> Found:
    """From one number of each block's scores in the dense model (OWL, DLP)."""
    known, key = session.streams.known, (session.settings.allocation, session.rough)
    if key not in known:
        known[key] = _per_block(session, load(_number(session)))
    scores, dead = known[key]
    return Found(sparsities=_shares(session, scores), scores=scores, dead=dead)


def by_spectra(session: Session) -> Found:
    """From the spectra of the weights (AlphaPruning): no text needed."""
    session.candidates = len(session.slots)
    exponent = load(_number(session))
    exponents = session.model.known.setdefault(session.settings.allocation, {})
    for slot in session.slots:
        session.tick(0)
        if slot.name not in exponents:
            exponents[slot.name] = exponent(session.model.weight(slot.name).to(session.streams.device))
        session.measured += 1
    means = block_exponents(session.slots, exponents)
    return Found(
        sparsities=_shares(session, exponents),
        scores=[means.get(block, float("nan")) for block in range(len(session.model.blocks))],
    )


def by_loss(session: Session) -> Found:
    """The slope over depth at which the pruned model has the least loss on the text (ATP)."""
    tried = list(load(_number(session))(len(session.model.blocks), session.settings.sparsity))
    session.candidates = len(tried)
    losses: list[float | None] = []
    for slope in tried:
        session.message = f"Trying slope {slope:g}"
        losses.append(_loss(session, _shares(session, slope)))
        session.measured += 1
    best = first_minimum(losses)
    record = {"slopes": tried, "losses": losses, "chosen": tried[best]}
    return Found(sparsities=_shares(session, tried[best]), traces={"block_search": record})


def _number(session: Session) -> Lazy:
    """How the allocation comes from scores, weights or depth to its numbers."""
    assert session.settings.row.number is not None
    return session.settings.row.number


def _shares(session: Session, *measured: Any) -> Sparsities:
    """The allocation's formula of what was measured."""
    assert session.settings.row.shares is not None
    found: Sparsities = load(session.settings.row.shares)(session.slots, session.settings.sparsity, *measured)
    return found


def _per_block(session: Session, measure: Callable[[Iterable[Tensor]], float]) -> tuple[list[float], frozenset[str]]:
    """A number of each block's Wanda scores in the dense model, and which slots are dead."""
    model, hidden = session.model, session.streams.hidden
    values: list[float] = []
    dead: set[str] = set()
    norms: dict[str, Tensor] = {}
    for block, slots in enumerate(model.by_block):
        session.tick(block)
        names = [slot.name for slot in slots]
        found, hidden = gather(
            model,
            session.streams,
            block,
            hidden,
            all_need(names, NORM),
            output=block < len(model.blocks) - 1,
            autocast=session.rough,
            clock=session.clock,
        )
        norms |= {name: found[name].norm().cpu() for name in names}
        silent = {name for name in names if not bool(norms[name].any())}
        seen = [name for name in names if found[name].tokens]  # zeros of an expert would move means
        if names and len(silent) == len(names):
            raise DeadLayerError(
                f"Block {block}",
                got="inputs of zero on every calibration token, in every layer",
                wanted="at least one layer that is given something",
                remedy="Check the model, or calibrate on other text.",
            )
        dead |= silent
        with session.clock("prune"):
            values.append(measure(_scores(session, found, seen)))
    if not session.rough:  # in float32, so whoever prunes need not measure them again
        session.streams.known[DENSE_NORMS] = norms
    return values, frozenset(dead)


def _scores(session: Session, found: Gathered, names: list[str]) -> list[Tensor]:
    device = session.streams.device
    weights = (session.model.weight(name).to(device) for name in names)
    return [wanda(weight, found[name]) for name, weight in zip(names, weights, strict=True)]


@torch.no_grad()
def _loss(session: Session, sparsities: Sparsities) -> float:
    """Mean loss of the pruned model on the streams' own text; the model stays as it was."""
    hidden = session.evaluator(rough=session.rough).pruned_stream(session.counts(sparsities))
    with session.clock("forward"):
        return language_loss(session.model, session.streams, hidden)
