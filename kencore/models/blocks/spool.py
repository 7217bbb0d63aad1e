"""Hidden states on disk, where those of a whole text would fill the memory.

Shapes: S sequences (of a batch), T tokens, H hidden size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from kencore.system.memory import let_go
from kencore.system.places import runs_folder

LIMIT: Final = 1 << 30
"""Bytes of one stream of hidden states that are held in memory."""


class Spooled(list[Tensor]):
    """Batches (S, T, H) in a file without a name, which ends with them; mapped, so that they read as any tensor."""

    def __init__(self) -> None:
        super().__init__()
        self._file = tempfile.TemporaryFile(dir=runs_folder(), prefix=".hidden-")  # noqa: SIM115 - it ends with this
        self._at = 0

    def append(self, batch: Tensor) -> None:
        """Write a batch; it keeps its dtype."""
        bits = batch.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        self._file.seek(self._at)
        self._file.write(bits.data)
        self._file.flush()
        mapped = np.memmap(self._file, np.uint8, "r+", self._at, bits.shape)
        self._at += -(-bits.nbytes // 4096) * 4096
        super().append(torch.from_numpy(mapped).view(batch.dtype).reshape(batch.shape))

    def let_go(self, number: int) -> None:
        """Take a batch out of memory; it is read again where it is used again."""
        let_go((self[number].data_ptr(), self[number].nbytes))


def holder(size: int, limit: int | None = None) -> list[Tensor]:
    """An empty list for batches of so many bytes in all: in memory, or on disk where they are more than the limit."""
    return Spooled() if size > (LIMIT if limit is None else limit) else []


def used(hidden: Iterable[Tensor], number: int) -> None:
    """Say that a batch was read and is not read again soon."""
    if isinstance(hidden, Spooled):
        hidden.let_go(number)
