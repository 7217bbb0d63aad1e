"""Block-by-block calibration streams of a causal language model.

`BlockModel` sees a loaded model as blocks and slots, `capture` reads the calibration text once,
`run_block` sends a stream through one block and gathers statistics of what its slots are given.

Shapes: S sequences, T tokens, H hidden size.
"""

from __future__ import annotations

from kencore.models.blocks.capture import Streams, capture, run_block
from kencore.models.blocks.model import BlockModel

__all__ = ["BlockModel", "Streams", "capture", "run_block"]
