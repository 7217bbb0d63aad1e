"""DSnoT (arXiv 2310.08915): exchange pruned for kept entries until a row's error is small.

The error of a row is what pruning took from its expected output: the sum over pruned entries of
W_ij * E[x_j]. Each cycle regrows one entry and prunes another, so that no row changes its number.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kencore.errors import ShapeError
from kencore.methods.statistics import RunningInputs
from kencore.methods.wanda import wanda

NEEDS = frozenset({"norm", "moments"})
"""The statistics that `dsnot` needs of a layer's inputs."""


@torch.no_grad()
def dsnot(
    weight: Tensor,
    keep: Tensor,
    statistics: RunningInputs,
    *,
    cycles: int = 50,
    threshold: float = 0.1,
    power: float = 1.0,
    same_sign: bool = True,
    published: bool = False,
) -> Tensor:
    """The refined keep mask: bool (R, C), as many entries per row as before.

    While |error| > threshold: of the pruned entries the one regrows that takes most from the
    error, by W E[x] / Var[x]^power (the paper's growing criterion); of the kept ones that would
    add to it with the opposite sign the one of least Wanda score is pruned (its pruning one). A
    row stops for good when no such pair is left, or the pair would not make its error smaller.

    Args:
        weight: floating (R, C). Not changed.
        keep: bool (R, C), the mask to start from. Not changed.
        statistics: of the layer's inputs, with ``norm`` and ``moments``. E[x] is their `total`,
            so that the threshold is in units of the sum over a sequence.
        cycles: exchanges per row at most.
        threshold: of |error|.
        power: of the variance.
        same_sign: a row also stops where its error would change sign.
        published: the masks of the published code: errors may change sign (its default,
            ``same_sign`` is not looked at) and grow, rows that have stopped go on to be written
            to, so that kept entries can be lost, and the variance leaves out the means.

    Raises:
        ShapeError: the mask is not of the weight's shape.
        SpecError, ShapeError: statistics that were not gathered, or of another layer.
    """
    if keep.shape != weight.shape or keep.dtype != torch.bool:
        raise ShapeError(
            "keep mask",
            got=f"shape {tuple(keep.shape)}, dtype {keep.dtype}",
            wanted=f"bool {tuple(weight.shape)}, as the weight",
            remedy="Pass the mask of this weight.",
        )
    if not weight.numel():
        return keep.clone()
    row = _Rows.start(weight, keep, statistics, power, published=published)
    step = _published_cycle if published else _cycle
    for _ in range(cycles):
        if not bool(row.active.any()):
            break
        step(row, threshold, same_sign)
    return row.keep


@dataclass(slots=True)
class _Rows:
    """Where each row stands. Side 0 works against an error below 0, side 1 against one above."""

    keep: Tensor
    """bool (R, C)"""
    output: Tensor
    """float32 (R, C), W E[x]: what each entry adds to its row's expected output."""
    error: Tensor
    """float32 (R, 1)"""
    sign: Tensor
    """Of the error at the start, (R, 1)."""
    grow: Tensor
    """Columns (R, C): to regrow, first those of most negative, last those of most positive."""
    prune: Tensor
    """Columns (R, C): to prune, first the negative, last the positive, least Wanda outermost."""
    next_grow: Tensor
    """int64 (R, 2): the next place in ``grow`` of either side."""
    next_prune: Tensor
    active: Tensor
    """bool (R, 1)"""

    @classmethod
    def start(cls, weight: Tensor, keep: Tensor, statistics: RunningInputs, power: float, *, published: bool) -> _Rows:
        scores = wanda(weight, statistics).masked_fill_(~keep, torch.inf)
        output = weight.detach().to(torch.float32) * statistics.total().reshape(1, -1)
        lost = output.masked_fill(keep, 0.0)
        error = torch.sum(lost, dim=1, keepdim=True)  # (R, 1)
        gain = lost / statistics.variance(published=published).reshape(1, -1) ** power
        if not published:
            gain[lost == 0] = 0.0  # not 0 / 0
        columns = weight.shape[1]
        kept = keep.sum(dim=1, keepdim=True)  # (R, 1)
        zero = torch.zeros_like(kept)
        return cls(
            keep=keep.clone(),
            output=output,
            error=error,
            sign=torch.sign(error),
            grow=torch.sort(gain, dim=1, stable=True).indices,
            prune=_prune_order(scores, output, kept),
            next_grow=torch.cat([zero, zero + columns - 1], dim=1),
            # of the lists to prune from, side 0 begins at the far end: see `take`
            next_prune=torch.cat([kept - 1, zero], dim=1),
            active=torch.ones_like(error, dtype=torch.bool),
        )

    def take(self) -> tuple[Tensor, Tensor]:
        """The columns (R, 1) to regrow and to prune next in each row; its lists move on."""
        above = self.error > 0
        side = above.to(torch.int64)  # (R, 1)
        # published code: an error of 0 regrows as one below, prunes as one above
        other = (self.error >= 0).to(torch.int64)
        grow = _next(self.grow, self.next_grow, side, forward=0)
        prune = _next(self.prune, self.next_prune, other, forward=1)
        return grow, prune

    def add(self, pruned: Tensor, grown: Tensor) -> None:
        """Account for the exchange of entries of these outputs (R, 1) in the active rows."""
        self.error = self.error + torch.where(self.active, pruned, 0.0)
        self.error = self.error - torch.where(self.active, grown, 0.0)


def _next(order: Tensor, places: Tensor, side: Tensor, *, forward: int) -> Tensor:
    """The column (R, 1) at the next place of a side; ``forward`` is the side that counts up."""
    place = places.gather(1, side)
    step = torch.where(side == forward, 1, -1)
    places.scatter_(1, side, place + step)
    return order.gather(1, place.clamp(0, order.shape[1] - 1))


def _prune_order(scores: Tensor, output: Tensor, kept: Tensor) -> Tensor:
    """Columns (R, C) of the kept entries: the negative by rising score from place 0 up, the
    positive by rising score from place kept - 1 down. What is between stands for the first.
    """
    order = torch.sort(scores, dim=1, stable=True).indices
    ranked = output.gather(1, order)
    width = scores.shape[1]
    columns = torch.arange(width, device=scores.device).expand_as(order)
    valid = columns < kept
    negative, positive = valid & (ranked < 0), valid & (ranked > 0)
    place = torch.where(negative, negative.cumsum(1) - 1, width)
    place = torch.where(positive, kept - positive.cumsum(1), place)
    ranks = torch.zeros((order.shape[0], order.shape[1] + 1), dtype=torch.int64, device=order.device)
    ranks.scatter_(1, place, columns)
    return order.gather(1, ranks[:, :-1])


def _cycle(row: _Rows, threshold: float, same_sign: bool) -> None:
    """One exchange in each active row, where it makes the error smaller."""
    grow, prune = row.take()
    grown, pruned = row.output.gather(1, grow), row.output.gather(1, prune)
    after = row.error + pruned - grown
    sign = torch.sign(row.error)
    row.active &= row.error.abs() > threshold
    # the lists have run out where a place holds an entry of the wrong kind
    row.active &= ~row.keep.gather(1, grow) & (torch.sign(grown) == sign)
    row.active &= row.keep.gather(1, prune) & (torch.sign(pruned) == -sign)
    row.active &= after.abs() < row.error.abs()
    if same_sign:
        row.active &= torch.sign(after) != -row.sign
    row.keep.scatter_(1, grow, row.keep.gather(1, grow) | row.active)
    row.keep.scatter_(1, prune, row.keep.gather(1, prune) & ~row.active)
    row.add(pruned, grown)


def _published_cycle(row: _Rows, threshold: float, same_sign: bool) -> None:
    """One cycle of the published code, which also writes to rows that have stopped."""
    grow, prune = row.take()
    grown, pruned = row.output.gather(1, grow), row.output.gather(1, prune)
    row.active &= row.error.abs() > threshold
    row.keep.scatter_(1, prune, ~row.active)
    row.keep.scatter_(1, grow, row.active)
    row.add(pruned, grown)
