"""SparseGPT (arXiv 2301.00774): prune columns from left to right, the rest makes up for it.

Its masks depend on the weights as updated so far, so that score and selection are one. The sums
are those of the published code, in its order (github IST-DASLab/sparsegpt, sparsegpt.py).

Shapes: R rows (outputs), C columns (inputs), K columns of one column block.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kencore.errors import FactorizationError, NonFiniteWeightError, ShapeError, SpecError
from kencore.methods.scored import keep_lowest_pruned

TRIES = 4
"""Dampings tried before giving up, each ten times the one before."""

PruneBlock = Callable[[Tensor, int], Tensor]


@torch.no_grad()
def inverse_factor(hessian: Tensor, *, damping: float = 0.01, name: str = "layer") -> Tensor:
    """Upper Cholesky factor of the inverse of the damped Hessian: float32 (C, C).

    Row i of it holds what pruning column i does to the columns after it.
    It depends on the inputs only: q, k and v share one.

    Args:
        hessian: float32 (C, C), `RunningInputs.hessian`. Not changed. A column that is zero on
            every token (a dead one) gets a diagonal of 1.
        damping: share of the mean diagonal that is added to the diagonal; ten times as much, up
            to three times over, where the Hessian cannot be factored (published code: fails).
        name: of the layer, for messages.

    Raises:
        FactorizationError: not finite, or not to be factored with any of the dampings.
    """
    damped = hessian.to(torch.float32, copy=True)
    diagonal = torch.diagonal(damped)  # a view
    diagonal[diagonal == 0] = 1
    step = torch.mean(diagonal.contiguous())  # a strided sum rounds otherwise
    if bool(torch.isfinite(damped).all()):
        plain = diagonal.clone()
        for attempt in range(TRIES):
            diagonal.copy_(plain + damping * 10**attempt * step)
            factor = _factor(damped)
            if factor is not None:
                return factor
    raise FactorizationError(
        name,
        got="a Hessian that is not finite or not positive definite",
        wanted=f"one that can be factored with a damping up to {damping * 10 ** (TRIES - 1):g}",
        remedy="Calibrate on more or other text, or use wanda for this model.",
    )


def _factor(damped: Tensor) -> Tensor | None:
    lower, failed = torch.linalg.cholesky_ex(damped)
    if int(failed):
        return None
    upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
    return None if int(failed) or not bool(torch.isfinite(upper).all()) else upper


def sparsegpt(
    weight: Tensor,
    hessian: Tensor,
    pruned: int,
    *,
    factor: Tensor | None = None,
    block_size: int = 128,
    name: str = "layer",
) -> tuple[Tensor, Tensor]:
    """Prune exactly ``pruned`` entries of a matrix and update those that stay.

    The number is shared over column blocks by largest remainder; in a column block the lowest
    w^2 / [H^-1]_jj go, by rank (lowest row, then lowest column among equals). An entry of a dead
    column that is kept keeps its value (published code: 0).

    Args:
        weight: floating (R, C). Not changed.
        hessian: float32 (C, C) of its inputs; only its diagonal is read where a factor is given.
        pruned: how many entries of the whole matrix.
        factor: `inverse_factor` of that Hessian, where it is known already.
        block_size: columns between two updates of all later ones.
        name: of the layer, for messages.

    Returns:
        The new weight, float32 (R, C), zero where pruned, and the keep mask, bool (R, C).

    Raises:
        FactorizationError: see `inverse_factor`.
        NonFiniteWeightError: NaN or infinity in the weight.
        ShapeError, SpecError: Hessian or number do not fit the weight.
    """
    rows, columns = weight.shape
    if not 0 <= pruned <= rows * columns:
        raise SpecError(
            f"pruned weights of {name}",
            got=str(pruned),
            wanted=f"0 to {rows * columns}",
            remedy="A matrix has no more weights than rows times columns.",
        )
    quota = _shared_out(pruned, rows, columns, block_size)

    def lowest(score: Tensor, block: int) -> Tensor:
        return ~keep_lowest_pruned(score.reshape(1, -1), int(quota[block]), name=name).reshape(score.shape)

    new, keep, dead = _sweep(weight, hessian, factor, block_size, name, lowest)
    unused = keep & dead  # (R, C)
    return torch.where(unused, weight.to(torch.float32), new), keep


def sparsegpt_published(
    weight: Tensor,
    hessian: Tensor,
    sparsity: float,
    *,
    factor: Tensor | None = None,
    block_size: int = 128,
    name: str = "layer",
) -> tuple[Tensor, Tensor]:
    """SparseGPT as published: in each column block all scores up to the int(R K s)-th go.

    One entry more per column block than asked for, and all that tie with it; a kept entry of a
    dead column becomes 0. Arguments, results and errors otherwise as in `sparsegpt`.
    """

    def below(score: Tensor, _: int) -> Tensor:
        place = min(int(score.numel() * sparsity), score.numel() - 1)
        return score <= _smallest(score, place)

    new, keep, _ = _sweep(weight, hessian, factor, block_size, name, below)
    return new, keep


def update(
    weight: Tensor, hessian: Tensor, pruned: NDArray[np.int64] | int | float, *, factor: Tensor, name: str
) -> tuple[Tensor, Tensor]:
    """`sparsegpt` where entries are counted, of the matrix or (R,) of its rows; as published for a share."""
    if isinstance(pruned, float):
        return sparsegpt_published(weight, hessian, pruned, factor=factor, name=name)
    total = int(np.sum(np.broadcast_to(pruned, (weight.shape[0],))))
    return sparsegpt(weight, hessian, total, factor=factor, name=name)


def score(weight: Tensor, factor: Tensor) -> Tensor:
    """What pruning an entry costs before any other is pruned, w^2 / [H^-1]_jj: float32 (R, C)."""
    return weight.float() ** 2 / torch.diagonal(factor).reshape(1, -1) ** 2


def _smallest(score: Tensor, place: int) -> Tensor:
    """The value at ``place`` (from 0) of all scores in ascending order."""
    flat = score.flatten()
    if flat.device.type == "cpu":
        return torch.from_numpy(np.partition(flat.numpy(), place)[place : place + 1])
    return flat.kthvalue(place + 1).values


def _shared_out(pruned: int, rows: int, columns: int, block_size: int) -> list[int]:
    """The number of each column block: largest remainders, lowest block first among equals."""
    sizes = [rows * min(block_size, columns - i) for i in range(0, columns, block_size)]
    size = max(1, rows * columns)
    quota = [pruned * own // size for own in sizes]
    rest = [pruned * own % size for own in sizes]
    order = sorted(range(len(sizes)), key=lambda i: -rest[i])
    for i in order[: pruned - sum(quota)]:
        quota[i] += 1
    return quota


@torch.no_grad()
def _sweep(
    weight: Tensor, hessian: Tensor, factor: Tensor | None, block_size: int, name: str, choose: PruneBlock
) -> tuple[Tensor, Tensor, Tensor]:
    """The new weight (R, C), the keep mask (R, C), which columns are dead (C,)."""
    columns = weight.shape[1]
    if hessian.shape != (columns, columns):
        raise ShapeError(
            f"Hessian of {name}",
            got=f"shape {tuple(hessian.shape)}",
            wanted=f"({columns}, {columns}), the inputs of this weight",
            remedy="Pass the statistics of this layer.",
        )
    _check_finite(weight, name)
    if factor is None:
        factor = inverse_factor(hessian, name=name)
    dead = torch.diagonal(hessian) == 0  # (C,)
    new = weight.detach().to(torch.float32, copy=True)
    new[:, dead] = 0
    keep = torch.empty(weight.shape, dtype=torch.bool, device=weight.device)
    for index, first in enumerate(range(0, columns, block_size)):
        last = min(first + block_size, columns)
        block = new[:, first:last]  # a view
        own = factor[first:last, first:last]  # (K, K)
        score = block**2 / torch.diagonal(own).reshape(1, -1) ** 2  # (R, K)
        gone = choose(score, index)
        keep[:, first:last] = ~gone
        updated, error = _prune_columns(block, gone, own)
        new[:, first:last] = updated
        new[:, last:] -= error.matmul(factor[first:last, last:])
    return new, keep, dead


def _check_finite(weight: Tensor, name: str) -> None:
    finite = weight.isfinite()
    if not bool(finite.all()):
        row, column = (int(i) for i in (~finite).nonzero()[0])
        raise NonFiniteWeightError(
            name,
            got=f"{float(weight[row, column])} in row {row}, column {column}",
            wanted="finite weights",
            remedy="Check the checkpoint: no rule can rank such a weight.",
        )


def _prune_columns(block: Tensor, gone: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Column by column: what is pruned goes as an error into the columns after it.

    Returns:
        The new columns and the errors, (R, K) each; the same bits on every device.
    """
    if block.device.type == "cpu":
        from kencore.methods.sparsegpt_kernels import prune_rows

        values, errors = prune_rows(block.numpy(), gone.numpy(), factor.numpy(), threads=torch.get_num_threads())
        return torch.from_numpy(values), torch.from_numpy(errors)
    return _by_columns(block, gone, factor)


def _by_columns(block: Tensor, gone: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """`_prune_columns` with tensors alone: all rows at once, one column after the other."""
    values = block.t().contiguous()  # (K, R): a column lies in one piece
    pruned = gone.t()
    errors = torch.empty_like(values)
    for column in range(len(values)):
        lost = torch.where(pruned[column], values[column], 0.0) / factor[column, column]  # (R,)
        errors[column] = lost
        values[column + 1 :] -= factor[column, column + 1 :, None] * lost
    values.masked_fill_(pruned, 0.0)
    return values.t(), errors.t().contiguous()
