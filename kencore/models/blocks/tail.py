"""From the last block's output to the loss: the model's own norm and head, no block run again.

Shapes: S sequences, T tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kencore.models.blocks.capture import handing_on
from kencore.models.seam import forward

if TYPE_CHECKING:
    from kencore.models.blocks.capture import Streams
    from kencore.models.blocks.model import BlockModel
    from kencore.models.blocks.run import Hidden


@torch.no_grad()
def language_loss(model: BlockModel, streams: Streams, hidden: Hidden) -> float:
    """Mean negative log-likelihood of the next token, in nats, over all sequences.

    Args:
        hidden: the last block's output, one (S, T, H) per batch. The head runs where the model
            lies.
    """
    total, tokens, first = 0.0, 0, 0
    device = next(model.model.parameters()).device
    for batch in hidden:
        ids = streams.ids[first : first + len(batch)].to(device).long()  # (S, T)
        first += len(batch)
        with handing_on(model.blocks, streams.tuples, batch.to(device)):
            logits: Tensor = forward(model.model, ids, use_cache=False).logits  # (S, T, V)
        scores = logits[:, :-1].flatten(0, 1).float()
        total += float(nn.functional.cross_entropy(scores, ids[:, 1:].flatten(), reduction="sum"))
        tokens += ids[:, 1:].numel()
    return total / tokens
