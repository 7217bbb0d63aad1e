"""From scores to a keep mask: exactly so many lowest scores of each row are pruned.

Shapes: R rows, C columns.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kencore.errors import NonFiniteWeightError, ShapeError, SpecError

Ties = Literal["pruned", "kept"]


@torch.no_grad()
def keep_lowest_pruned(
    score: Tensor, pruned: Tensor | NDArray[np.int64] | int, *, ties: Ties = "pruned", name: str = "score"
) -> Tensor:
    """Which entries stay when the lowest scores of each row go: bool (R, C), on score's device.

    Row by row the threshold is the last score to go; entries equal to it are counted off by
    column. The same mask as a stable sort of each row would give, in a fraction of the time.

    Args:
        score: floating (R, C), without NaN; infinities are ranked as such.
        pruned: how many entries of each row go, 0 to C: one number, or whole numbers (R,).
        ties: which of equal scores goes first: the lowest column (``pruned``: a stable ascending
            sort, as published for one sparsity per matrix) or the highest (``kept``: a stable
            descending sort, as published for one sparsity per row).
        name: of the matrix, for messages.

    Raises:
        NonFiniteWeightError: NaN among the scores; the message names the row.
        ShapeError: not a matrix, or not one number per row.
        SpecError: a number outside of 0 ... C, or no such rule for ties.
    """
    if score.ndim != 2 or not score.is_floating_point():
        raise ShapeError(
            name,
            got=f"shape {tuple(score.shape)}, dtype {score.dtype}",
            wanted="a floating matrix of scores (R, C)",
            remedy="Reshape it so that each row is compared within itself.",
        )
    if ties not in ("pruned", "kept"):
        raise SpecError("ties", got=repr(ties), wanted="pruned or kept", remedy="Choose one of these.")
    counts = _counts(pruned, score, name)  # (R,)
    if score.numel() == 0:
        return torch.ones(score.shape, dtype=torch.bool, device=score.device)
    values = score.detach()
    if values.dtype not in (torch.float32, torch.float64):
        values = values.to(torch.float32)
    last, following = _boundary(values, counts)
    if bool(following.isnan().any()):
        _refuse_nan(values, name)
    keep = values > last[:, None]
    torn = ((last == following) & (counts > 0) & (counts < score.shape[1])).nonzero()[:, 0]
    if len(torn):  # only there are equal scores on both sides
        keep[torn] = _split(values[torn], last[torn, None], counts[torn, None], ties)
    keep[counts == 0] = True
    return keep


def _counts(pruned: Tensor | NDArray[np.int64] | int, score: Tensor, name: str) -> Tensor:
    """The numbers to prune, checked: int64 (R,) on the score's device."""
    rows, columns = score.shape
    counts = torch.as_tensor(pruned, device=score.device)
    if counts.is_floating_point() or counts.dtype == torch.bool:
        raise SpecError(
            f"pruned weights of {name}",
            got=f"dtype {counts.dtype}",
            wanted="whole numbers",
            remedy="kencore.allocate.budget turns shares into counts.",
        )
    if counts.ndim and tuple(counts.shape) != (rows,):
        raise ShapeError(
            f"pruned weights of {name}",
            got=f"shape {tuple(counts.shape)}",
            wanted=f"one number, or one per row ({rows},)",
            remedy="Pass as many numbers as the score has rows.",
        )
    if counts.numel() and (int(counts.min()) < 0 or int(counts.max()) > columns):
        raise SpecError(
            f"pruned weights of {name}",
            got=f"{int(counts.min())} to {int(counts.max())}",
            wanted=f"0 to {columns} per row",
            remedy="A row has no more weights than columns.",
        )
    return counts.to(torch.int64).expand(rows)


def _boundary(values: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row in ascending order the last value to go and the next one, (R,) each.

    Where all go, or none, both are the last or the first. NaN comes last of all, so that a row
    with one has a NaN for its next, whatever its count.
    """
    place = (counts - 1).clamp(min=0)  # (R,)
    following = (place + 1).clamp(max=values.shape[1] - 1)
    if values.device.type == "cpu":
        return _boundary_on_cpu(values, place, following)
    return _boundary_on_device(values, place, following)


def _boundary_on_device(values: Tensor, place: Tensor, following: Tensor) -> tuple[Tensor, Tensor]:
    ascending = values.sort(dim=1).values
    greatest = ascending[:, -1]
    after = ascending.gather(1, following[:, None])[:, 0]
    last = ascending.gather(1, place[:, None])[:, 0]
    return last, torch.where(greatest.isnan(), greatest, after)


def _boundary_on_cpu(values: Tensor, place: Tensor, following: Tensor) -> tuple[Tensor, Tensor]:
    """The same by numpy, which sorts many times faster than torch does on a CPU."""
    rows = values.numpy()
    first = int(place[0])
    if bool((place == first).all()):
        parted = np.partition(rows, first, axis=1)
        # the least of the others, NaN if one of them is
        least = parted[:, int(following[0]) :].min(axis=1)
        return torch.from_numpy(parted[:, first].copy()), torch.from_numpy(least)
    order = np.sort(rows, axis=1)
    picked = np.take_along_axis(order, np.stack([place, following], axis=1), axis=1)  # (R, 2)
    after = np.where(np.isnan(order[:, -1]), order[:, -1], picked[:, 1])
    return torch.from_numpy(picked[:, 0].copy()), torch.from_numpy(after)


def _split(values: Tensor, last: Tensor, counts: Tensor, ties: Ties) -> Tensor:
    """The keep mask (R, C) of rows in which entries equal to ``last`` (R, 1) go and stay."""
    equal = values == last
    left = counts - (values < last).sum(dim=1, keepdim=True)  # of the equal ones so many go
    place = equal.cumsum(dim=1)  # 1, 2, ... from the lowest column
    many = place[:, -1:]
    stay = place > left if ties == "pruned" else place <= many - left
    return (values > last) | (equal & stay)


def _refuse_nan(values: Tensor, name: str) -> None:
    row, column = (int(i) for i in values.isnan().nonzero()[0])
    raise NonFiniteWeightError(
        name,
        got=f"NaN in row {row}, column {column} of the scores",
        wanted="numbers",
        remedy="Check the checkpoint and the calibration text: no rule can rank it.",
    )
