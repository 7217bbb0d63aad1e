"""Running one block of a model on its streams, by the names of its slots.

Shapes: S sequences, T tokens, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping

from kencore.methods.statistics import RunningInputs
from kencore.models.blocks.capture import Streams
from kencore.models.blocks.model import BlockModel
from kencore.models.blocks.run import Hidden, run
from kencore.system.progress import Clock


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
        model.blocks[block],
        block,
        streams.calls[block],
        hidden,
        watched,
        device=streams.device,
        output=output,
        autocast=autocast,
        clock=clock,
    )
