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
    score: Tensor,
    pruned: Tensor | NDArray[np.int64] | int,
    *,
    ties: Ties = "pruned",
    name: str = "score",
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
            name, got=f"shape {tuple(score.shape)}, dtype {score.dtype}",
            wanted="a floating matrix of scores (R, C)",
            remedy="Reshape it so that each row is compared within itself.",
        )  # fmt: skip
    if ties not in ("pruned", "kept"):
        raise SpecError(
            "ties", got=repr(ties), wanted="pruned or kept", remedy="Choose one of these."
        )
    counts = _counts(pruned, score, name)  # (R,)
    if score.numel() == 0:
        return torch.ones(score.shape, dtype=torch.bool, device=score.device)
    values = score if score.dtype in (torch.float32, torch.float64) else score.float()
    _check_nan(values, name)
    threshold = _last_to_go(values, counts)[:, None]  # (R, 1)
    gone = values < threshold
    equal = values == threshold
    left = counts - gone.sum(dim=1)  # of the entries at the threshold so many go
    _split_ties(gone, equal, left, ties)
    gone[counts == 0] = False
    return gone.logical_not_()


def _counts(pruned: Tensor | NDArray[np.int64] | int, score: Tensor, name: str) -> Tensor:
    """The numbers to prune, checked: int64 (R,) on the score's device."""
    rows, columns = score.shape
    counts = torch.as_tensor(pruned, device=score.device)
    if counts.is_floating_point() or counts.dtype == torch.bool:
        raise SpecError(
            f"pruned entries of {name}", got=f"dtype {counts.dtype}", wanted="whole numbers",
            remedy="kencore.allocate.budget turns shares into counts.",
        )  # fmt: skip
    if counts.ndim and tuple(counts.shape) != (rows,):
        raise ShapeError(
            f"pruned entries of {name}", got=f"shape {tuple(counts.shape)}",
            wanted=f"one number, or one per row ({rows},)",
            remedy="Pass as many numbers as the score has rows.",
        )  # fmt: skip
    if counts.numel() and (int(counts.min()) < 0 or int(counts.max()) > columns):
        raise SpecError(
            f"pruned entries of {name}", got=f"{int(counts.min())} to {int(counts.max())}",
            wanted=f"0 to {columns} per row", remedy="A row has no more entries than columns.",
        )  # fmt: skip
    return counts.to(torch.int64).expand(rows)


def _last_to_go(values: Tensor, counts: Tensor) -> Tensor:
    """The ``counts``-th smallest value of each row: (R,); the smallest where none goes."""
    place = (counts - 1).clamp_(min=0)  # (R,)
    lowest, highest = int(place.min()), int(place.max())
    if values.device.type == "cpu":  # numpy sorts many times faster than torch does there
        rows = values.detach().numpy()
        if lowest == highest:
            found = np.partition(rows, lowest, axis=1)[:, lowest]
        else:
            found = np.take_along_axis(np.sort(rows, axis=1), place.numpy()[:, None], axis=1)[:, 0]
        return torch.from_numpy(np.ascontiguousarray(found))
    if lowest == highest:
        return values.kthvalue(lowest + 1, dim=1).values
    return values.sort(dim=1).values.gather(1, place[:, None])[:, 0]


def _split_ties(gone: Tensor, equal: Tensor, left: Tensor, ties: Ties) -> None:
    """Add to ``gone`` (R, C) the ``left`` (R,) first or last of the ``equal`` entries of a row."""
    many = equal.sum(dim=1)  # (R,)
    gone |= equal
    rows = (many > left).nonzero()[:, 0]  # only there are ties to be split
    if not len(rows):
        return
    among = equal[rows]
    place = among.cumsum(dim=1)  # 1, 2, ... from the lowest column
    spare = (many - left)[rows, None]
    stay = place > left[rows, None] if ties == "pruned" else place <= spare
    gone[rows] &= ~(among & stay)


def _check_nan(values: Tensor, name: str) -> None:
    bad = values.isnan()
    if bool(bad.any()):
        row, column = (int(i) for i in bad.nonzero()[0])
        raise NonFiniteWeightError(
            name, got=f"NaN in row {row}, column {column} of the scores", wanted="numbers",
            remedy="Check the checkpoint and the calibration text: no rule can rank it.",
        )  # fmt: skip
