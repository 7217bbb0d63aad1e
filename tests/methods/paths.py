"""Every way to a mask of the density rules, under one signature: a test can ask them all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from kencore.methods.ken.explained import explain_row
from kencore.methods.rows import RowIndex
from kencore.methods.select import select, select_batched, select_rows

Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]


def explained(rows: Matrix, k: list[int], rule: str) -> Mask:
    return np.stack([explain_row(row, own, rule).keep for row, own in zip(rows, k, strict=True)])


PATHS: dict[str, Callable[[Matrix, list[int], str], Mask]] = {
    "select": lambda rows, k, rule: select(torch.from_numpy(rows), k, rule).numpy(),
    "select_rows": lambda rows, k, rule: select_rows(rows, None, k, rule),
    "RowIndex": lambda rows, k, rule: RowIndex(rows, rule=rule).keep(k),
    "batched": lambda rows, k, rule: select_batched(torch.from_numpy(rows), None, k, rule).numpy(),
    "explain_row": explained,
}
