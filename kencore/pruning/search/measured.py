"""Allocations that measure the dense model once, or its loss at a few candidates.

Shapes: R rows (outputs), C columns (inputs) of a slot; B blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from kencore.allocate.alpha import alpha, block_exponents, hill_exponent
from kencore.allocate.atp import atp, slopes
from kencore.allocate.dlp import block_median, dlp
from kencore.allocate.owl import outlier_share, owl
from kencore.allocate.slot import Sparsities
from kencore.allocate.uniform import uniform
from kencore.errors import DeadLayerError
from kencore.methods.scores import SCORES
from kencore.models.blocks.inputs import NORM, Gathered, all_need, gather
from kencore.models.blocks.tail import language_loss
from kencore.pruning.search.session import Found, Session, first_minimum


def by_uniform(session: Session) -> Found:
    """Every slot alike."""
    return Found(sparsities=uniform(session.slots, session.settings.sparsity))


def by_owl(session: Session) -> Found:
    """OWL: a block with more outliers is kept denser."""
    session.message = "Counting outliers"
    scores, dead = _per_block(session, outlier_share)
    return Found(sparsities=owl(session.slots, session.settings.sparsity, scores), scores=scores, dead=dead)


def by_dlp(session: Session) -> Found:
    """DLP: a block whose median score is larger is pruned more."""
    session.message = "Finding medians"
    scores, dead = _per_block(session, block_median)
    return Found(sparsities=dlp(session.slots, session.settings.sparsity, scores), scores=scores, dead=dead)


def by_alpha(session: Session) -> Found:
    """AlphaPruning: from the spectra of the weights, no text needed."""
    session.message = "Fitting spectra"
    session.candidates = len(session.slots)
    exponents = {}
    for slot in session.slots:
        session.tick(0)
        exponents[slot.name] = hill_exponent(session.model.weight(slot.name).to(session.streams.device))
        session.measured += 1
    means = block_exponents(session.slots, exponents)
    return Found(
        sparsities=alpha(session.slots, session.settings.sparsity, exponents),
        scores=[means.get(block, float("nan")) for block in range(len(session.model.blocks))],
    )


def by_atp(session: Session) -> Found:
    """ATP: the slope over depth at which the pruned model has the least loss on the text."""
    tried = list(slopes(len(session.model.blocks), session.settings.sparsity))
    session.candidates = len(tried)
    losses: list[float | None] = []
    for slope in tried:
        session.message = f"Trying slope {slope:g}"
        losses.append(_loss(session, atp(session.slots, session.settings.sparsity, slope)))
        session.measured += 1
    best = first_minimum(losses)
    record = {"slopes": tried, "losses": losses, "chosen": tried[best]}
    return Found(sparsities=atp(session.slots, session.settings.sparsity, tried[best]), traces={"block_search": record})


METHODS: dict[str, Callable[[Session], Found]] = {
    "uniform": by_uniform,
    "owl": by_owl,
    "dlp": by_dlp,
    "alpha": by_alpha,
    "atp": by_atp,
}


def _per_block(session: Session, measure: Callable[[Iterable[Tensor]], float]) -> tuple[list[float], frozenset[str]]:
    """A number of each block's Wanda scores in the dense model, and which slots are dead."""
    model, hidden = session.model, session.streams.hidden
    values: list[float] = []
    dead: set[str] = set()
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
            autocast=session.settings.fast,
            clock=session.clock,
        )
        silent = {name for name in names if not bool(found[name].norm().any())}
        if names and len(silent) == len(names):
            raise DeadLayerError(
                f"Block {block}",
                got="inputs of zero on every calibration token, in every layer",
                wanted="at least one layer that is given something",
                remedy="Check the model, or calibrate on other text.",
            )
        dead |= silent
        with session.clock("prune"):
            values.append(measure(_scores(session, found, names)))
    return values, frozenset(dead)


def _scores(session: Session, found: Gathered, names: list[str]) -> list[Tensor]:
    device = session.streams.device
    weights = (session.model.weight(name).to(device) for name in names)
    return [SCORES["wanda"](weight, found[name]) for name, weight in zip(names, weights, strict=True)]


@torch.no_grad()
def _loss(session: Session, sparsities: Sparsities) -> float:
    """Mean loss of the pruned model on the streams' own text; the model stays as it was."""
    hidden = session.evaluator(rough=session.settings.fast).pruned_stream(session.counts(sparsities))
    with session.clock("forward"):
        return language_loss(session.model, session.streams, hidden)
