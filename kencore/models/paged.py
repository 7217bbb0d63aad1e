"""A language model that runs although it does not fit into memory: part by part, from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.tensors import open_tensors
from kencore.models.blocks.linears import find_blocks
from kencore.models.language import LanguageModel
from kencore.models.narrow import own_dtype, widen_when_run
from kencore.models.pages import Pages

if TYPE_CHECKING:
    from pathlib import Path

    from kencore.system.memory import Budget

FLOAT32 = 4  # bytes


def load_language(
    folder: Path, *, device: str, threads: int | None, room: Budget, narrow: bool = False
) -> LanguageModel:
    """A causal language model: paged where it is too large for the memory that there is.

    A model on a GPU, one of mixed precision, and one whose blocks cannot be widened one by one is loaded as a whole.

    Args:
        narrow: hold half precision as it is where it can be widened part by part, also where float32 would fit: for
            work that runs each block by itself. Else each pass over a text would widen every weight anew.

    Raises:
        OSError: the disk has no room for its weights.
        KencoreError: see `LanguageModel.load`.
    """
    import torch

    from kencore.system.devices import resolve_device

    with open_tensors(folder) as tensors:
        weights = [tensors.info(name) for name in tensors.stored]
        half = own_dtype(tensors)
    plain = {one.dtype for one in weights} == {"F32"}
    large = not room.holds(sum(one.nbytes if narrow else FLOAT32 * one.elements for one in weights))
    parts = (half is not None and (large or narrow)) or (plain and large)
    if parts and resolve_device(device) == "cpu":
        dtype = torch.float32 if half is None else getattr(torch, half)
        found = LanguageModel.load(folder, device=device, threads=threads, dtype=dtype)
        blocks: Any = find_blocks(found.model, read_layout(folder))[1]
        if plain or widen_when_run(found.model, blocks):
            if large:
                found.pages = Pages(found.model, blocks)
            return found
        del found
    return LanguageModel.load(folder, device=device, threads=threads)
