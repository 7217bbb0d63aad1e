"""Whether matrix products in bfloat16 are the quicker ones here: on a processor without units for them they are not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from kencore.models.blocks.capture import run_block

if TYPE_CHECKING:
    from kencore.models.blocks.capture import Streams
    from kencore.models.blocks.model import BlockModel

TURNS = 2
_FOUND: dict[tuple[str, tuple[int, ...], str], bool] = {}
"""Found once in a process: prunings of one model, alone or in a sweep, shall do the same."""


def halves_pay(model: BlockModel, streams: Streams) -> bool:
    """Whether the model's first block runs faster with products in bfloat16, on the first batch of a text."""
    hidden = streams.hidden[0]
    key = (model.layout.architecture, tuple(hidden.shape), str(streams.device))
    if key not in _FOUND:
        taken = {half: min(_seconds(model, streams, half) for _ in range(TURNS)) for half in (False, True)}
        _FOUND[key] = taken[True] < taken[False]
    return _FOUND[key]


def _seconds(model: BlockModel, streams: Streams, half: bool) -> float:
    started = time.perf_counter()
    run_block(model, streams.first, 0, streams.first.hidden, autocast=half)
    if streams.device.type == "cuda":
        torch.cuda.synchronize(streams.device)
    return time.perf_counter() - started
