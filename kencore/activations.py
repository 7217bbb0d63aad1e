"""Block-by-block calibration streams of a causal language model.

`BlockModel` sees a loaded model as blocks and slots, `capture` reads the calibration text once,
`run_block` sends a stream through one block and gathers statistics of what its slots are given.

Shapes: S sequences, T tokens, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping

from kencore.score.statistics import RunningInputs
from kencore.streams.capture import Streams, capture
from kencore.streams.clock import Clock
from kencore.streams.model import BlockModel
from kencore.streams.run import Hidden, run

__all__ = ["BlockModel", "Hidden", "Streams", "capture", "run_block"]


def run_block(
    model: BlockModel,
    streams: Streams,
    block: int,
    hidden: Hidden,
    statistics: Mapping[str, RunningInputs] | None = None,
    *,
    output: bool = True,
    autocast: bool = False,
    clock: Clock | None = None,
) -> Hidden:
    """All batches of a stream through one block.

    Args:
        hidden: the block's input, one (S, T, H) per batch; not changed.
        statistics: by slot name: gets the slot's inputs, sequence by sequence. Of slots that read
            one tensor (`BlockModel.wiring`) name only one.
        output: ``False`` ends each pass as soon as the statistics are complete, and gives ``[]``.
        autocast: matrix products in bfloat16.
        clock: gets the seconds under ``forward`` and ``statistics``.

    Returns:
        The block's output, one (S, T, H) per batch, where ``hidden`` lies.

    Raises:
        NonFiniteActivationError: naming the block.
    """
    watched = {model.linear(name).module: found for name, found in (statistics or {}).items()}
    return run(
        model.blocks[block], block, streams.calls[block], hidden, watched,
        device=streams.device, output=output, autocast=autocast, clock=clock,
    )  # fmt: skip
