"""The loss from the last block's output is the model's own."""

from __future__ import annotations

import pytest
import torch

from kencore.models.blocks import capture
from kencore.models.blocks.inputs import gather
from kencore.models.blocks.tail import language_loss
from tests.support.language_models import block_model, token_ids


@pytest.mark.parametrize("name", ["llama", "opt", "gpt2", "gemma2"])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_loss_is_that_of_a_whole_pass(name: str, batch: int) -> None:
    model, ids = block_model(name), token_ids(5)
    streams = capture(model, ids, batch=batch)
    hidden = streams.hidden
    for block in range(len(model.blocks)):
        _, hidden = gather(model, streams, block, hidden, {}, output=True)
    with torch.no_grad():
        wanted = float(model.model(ids, labels=ids, use_cache=False).loss)
        found = language_loss(model, streams, hidden)
        assert found == pytest.approx(wanted, rel=1e-5)
        assert float(model.model(ids, labels=ids, use_cache=False).loss) == wanted  # as it was
