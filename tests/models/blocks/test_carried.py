"""Blocks that hand on more than their hidden states are told from blocks that are merely given more."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from kencore.errors import NotALanguageModelError
from kencore.models.blocks.carried import check_carried
from tests.support.language_models import block_model, token_ids


class _Remembering(LlamaDecoderLayer):
    """A block that adds what the block before it left in a list."""

    def forward(self, hidden_states, *args, left, **kwargs):  # type: ignore[no-untyped-def]
        out = super().forward(hidden_states, *args, **kwargs)
        out = out + sum(left)
        left.append(out.mean(-1, keepdim=True))
        return out


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "falcon", "mixtral"])
def test_masks_and_positions_are_not_carried(name: str) -> None:
    check_carried(block_model(name), token_ids(2))


def test_what_a_block_leaves_for_the_next_is_refused_by_its_place() -> None:
    model = block_model("llama")
    made = model.model.model
    left: list[torch.Tensor] = []
    for number, block in enumerate(made.layers):
        block.__class__ = _Remembering
        block.register_forward_pre_hook(
            lambda _, args, kwargs, number=number: (args, kwargs | {"left": left if number else left.clear() or left}),
            with_kwargs=True,
            prepend=True,
        )
    with pytest.raises(NotALanguageModelError, match="left of block 2 comes") as error:
        check_carried(model, token_ids(2))
    assert "calibration text" in error.value.remedy


class _Shelf(UserDict):  # type: ignore[type-arg]
    """What transformers keeps shared keys and values in: no dict by its type."""


def test_what_lies_in_an_object_that_blocks_share_is_found() -> None:
    model = block_model("llama")
    shelf = _Shelf()

    def leave(_: Any, args: Any, kwargs: Any, out: Any) -> None:
        kwargs["shelf"]["keys"] = (out if isinstance(out, torch.Tensor) else out[0],)

    for block in model.model.model.layers:
        block.register_forward_pre_hook(
            lambda _, args, kwargs: (args, kwargs | {"shelf": shelf}), with_kwargs=True, prepend=True
        )
        block.register_forward_hook(leave, with_kwargs=True)
    with pytest.raises(NotALanguageModelError, match="shelf of block 2 comes"):
        check_carried(model, token_ids(2))
