"""Which inputs a row becomes, against what changes when that row is changed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor

from kencore.allocate.slot import Slot
from kencore.models.blocks import BlockModel, Streams, capture, run_block
from kencore.models.blocks.readers import o_inputs, reader, row_alignment
from tests.support.language_models import FUSED, block_model, token_ids
from tests.support.tiny_models import LANGUAGE_MODELS

HEADS = 4  # of every tiny model


def inputs_of(model: BlockModel, streams: Streams, slot: Slot) -> Tensor:
    """What a slot of the first block is given: (S * T, C)."""
    seen: list[Tensor] = []

    def hook(module: Any, args: tuple[Tensor, ...]) -> None:
        seen.append(args[0].reshape(-1, args[0].shape[-1]).clone())

    with ExitStack() as stack:
        module = model.linear(slot.name).module
        stack.callback(module.register_forward_pre_hook(hook).remove)
        run_block(model, streams, 0, streams.hidden)
    return torch.cat(seen)


def changed_by(model: BlockModel, streams: Streams, slot: Slot, row: int, other: Slot) -> set[int]:
    """Inputs of ``other`` that are not what they were once a row of ``slot`` is another."""
    before, weight = inputs_of(model, streams, other), model.weight(slot.name)
    new = weight.clone()
    new[row] += 3 * weight.abs().mean()
    with model.replaced({slot.name: new}):
        after = inputs_of(model, streams, other)
    return set((before != after).any(dim=0).nonzero()[:, 0].tolist())


@pytest.mark.parametrize("name", [*LANGUAGE_MODELS, *FUSED])
def test_rows_of_attention(name: str) -> None:
    """A value row changes just the inputs it is said to become; a query or key row changes all
    of the heads that it is said to belong to."""
    model = block_model(name)
    streams = capture(model, token_ids(2))
    o = next(slot for slot in model.by_block[0] if slot.role == "o")
    size = o.cols // HEADS
    values = 0
    for slot in model.by_block[0]:
        if slot.role not in ("q", "k", "v", "qkv"):
            continue
        assert reader(model, slot) == o
        places = o_inputs(model, slot, o)
        assert places is not None
        assert len(places) == slot.rows
        for row in range(0, slot.rows, 3):
            said = set(places[row].tolist())
            found = changed_by(model, streams, slot, row, o)
            if found == said:
                values += 1
                assert slot.role in ("v", "qkv")
                continue
            assert slot.role != "v"
            heads = {place // size for place in said}
            assert found <= {head * size + i for head in heads for i in range(size)}
            assert {place // size for place in found} == heads
    assert values >= size // 3  # each model has as many value rows at least


@pytest.mark.parametrize("name", [*sorted(set(LANGUAGE_MODELS) - {"mixtral"}), *FUSED])
def test_rows_of_the_feed_forward(name: str) -> None:
    model = block_model(name)
    streams = capture(model, token_ids(2))
    down = next(slot for slot in model.by_block[0] if slot.role == "down")
    marks = {slot.name: torch.arange(slot.cols, dtype=torch.float32) for slot in model.slots}
    changed = 0
    for slot in model.by_block[0]:
        if slot.role in ("up", "gate", "gate_up"):
            assert reader(model, slot) == down
            said = row_alignment(model, slot, marks)
            assert said is not None
            for row in range(0, slot.rows, 7):
                found = changed_by(model, streams, slot, row, down)
                assert found <= {int(said[row])}  # a ReLU may hide a change
                changed += bool(found)
    assert changed > 0


def test_who_reads_whom_across_blocks() -> None:
    model = block_model("llama")
    first, last = model.by_block
    by_role = {slot.role: slot for slot in last}
    for slot in first:
        if slot.role == "down":
            assert reader(model, slot) == by_role["q"]
        if slot.role == "o":
            assert reader(model, slot) == next(s for s in first if s.role == "gate")
    assert reader(model, by_role["down"]) is None


def test_a_reader_out_of_scope_is_none() -> None:
    whole = block_model("llama")
    model = block_model("llama", scope=[s.name for s in whole.slots if s.role in ("q", "up")])
    assert [reader(model, slot) for slot in model.slots] == [None] * 4
    marks = {slot.name: torch.zeros(slot.cols) for slot in model.slots}
    assert all(row_alignment(model, slot, marks) is None for slot in model.slots)


def test_a_fused_gate_and_up_both_become_the_same_inputs() -> None:
    model = block_model("llama")
    down = next(slot for slot in model.by_block[0] if slot.role == "down")
    fused = Slot(name="fused", block=0, role="gate_up", rows=2 * down.cols, cols=down.rows)
    marks = {down.name: torch.arange(down.cols, dtype=torch.float32)}
    said = row_alignment(model, fused, marks)
    assert said is not None
    assert torch.equal(said, torch.cat([marks[down.name]] * 2))
