"""What experts are given, against a plain pass of the model with hooks on whole modules of experts."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from kencore.allocate.budget import uniform_counts
from kencore.checkpoint.layout import read_layout
from kencore.methods.wanda import wanda
from kencore.models.blocks import BlockModel, capture
from kencore.models.blocks.inputs import all_need, gather
from kencore.models.blocks.readers import reader, row_alignment
from kencore.pruning.blocks import prune_blocks
from kencore.pruning.rule import Rule
from tests.support.experts import save_experts
from tests.support.language_models import token_ids

KINDS = ["mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3", "phimoe", "llama4"]
NEEDS = frozenset({"norm", "hessian"})
Loaded = tuple[Any, BlockModel]


def opened(kind: str, folder: Path, **options: Any) -> Loaded:
    save_experts(kind, folder, **options)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, BlockModel(model, read_layout(folder))


def routed(module: nn.Module, args: tuple[Any, ...], expert: int) -> Tensor:
    """The tokens (T, C) that a module of experts was given for one of them."""
    if len(args) == 1:  # all tokens for every expert, zero where they are not for it
        own = args[0].reshape(4, -1, args[0].shape[-1])[expert]
        return own[own.ne(0).any(dim=-1)]
    return args[0][(args[1] == expert).any(dim=-1)]


def between(module: Any, tokens: Tensor, expert: int) -> Tensor:
    """What the second matrix of an expert reads (T, C)."""
    weight = module.gate_up_proj[expert]
    turned = weight.shape[0] == tokens.shape[1]
    both = tokens @ weight if turned else tokens @ weight.t()
    if hasattr(module, "gate_up_proj_bias"):
        both = both + module.gate_up_proj_bias[expert]
    if hasattr(module, "_apply_gate"):
        return module._apply_gate(both)
    gate, up = both.chunk(2, dim=-1)
    return up * module.act_fn(gate)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_tokens_that_an_expert_saw(kind: str, tmp_path: Path) -> None:
    model, blocks = opened(kind, tmp_path)
    ids = token_ids(3, 12)
    given: dict[nn.Module, tuple[Any, ...]] = {}
    for module in {linear.module for linear in blocks.linears.values() if linear.port.leaf}:
        module.register_forward_pre_hook(lambda m, args: given.update({m: args}))
    with torch.no_grad():
        model(ids, use_cache=False)
    seen = dict(given)
    streams = capture(blocks, ids, batch=2)
    hidden, experts = streams.hidden, 0
    for block, slots in enumerate(blocks.by_block):
        needs = all_need([slot.name for slot in slots], NEEDS)
        found, hidden = gather(blocks, streams, block, hidden, needs, output=True)
        for slot in slots:
            if slot.expert is None:
                continue
            experts += 1
            module = blocks.linear(slot.name).module
            tokens = routed(module, seen[module], slot.expert)
            inputs = between(module, tokens, slot.expert) if slot.role == "down" else tokens
            norm = inputs.detach().square().sum(dim=0).div(len(ids)).sqrt()  # of three sequences
            assert found[slot.name].tokens == len(tokens)
            weight = blocks.weight(slot.name)
            want = weight.abs() * norm
            torch.testing.assert_close(wanda(weight, found[slot.name]), want, rtol=2e-4, atol=1e-6)
            gram = inputs.detach().t() @ inputs.detach() * (2 / len(ids))
            torch.testing.assert_close(found[slot.name].hessian(), gram, rtol=2e-4, atol=1e-5)
    assert experts >= 8


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])
def test_the_matrices_of_an_expert_are_read_and_written_where_they_are(kind: str, tmp_path: Path) -> None:
    model, blocks = opened(kind, tmp_path)
    before = copy.deepcopy(model.state_dict())
    names = [slot.name for slot in blocks.slots if slot.expert == 2 and slot.block == 1]
    assert len(names) == (3 if kind == "mixtral" else 2)
    with blocks.replaced({name: torch.zeros_like(blocks.weight(name)) for name in names}):
        for name, value in model.state_dict().items():
            own = name.startswith("model.layers.1.mlp.experts") and value.dim() == 3
            assert bool((value[2] == 0).all()) == own if value.dim() == 3 else True
            others = torch.arange(len(value)) != 2 if own else slice(None)
            assert torch.equal(value[others], before[name][others])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("method", ["wanda", "multiflow", "sparsegpt"])
def test_an_expert_without_tokens_is_pruned_by_magnitude(method: str, tmp_path: Path) -> None:
    _, blocks = opened("gpt_oss", tmp_path, unused=1)
    before = {slot.name: blocks.weight(slot.name).clone() for slot in blocks.slots}
    streams = capture(blocks, token_ids(3, 12))
    counts: Any = uniform_counts(blocks.slots, 0.5)
    unseen = 0
    for part in prune_blocks(blocks, streams, Rule(method=method), counts):
        assert part.unseen or part.slot.expert != 1
        assert int((~part.keep).sum()) == int(counts[part.slot.name].sum())
        if part.unseen:
            unseen += 1
            old, gone = before[part.slot.name], counts[part.slot.name]
            for row, keep, number in zip(old.abs(), part.keep, gone, strict=True):
                assert row[~keep].max() <= row[keep].min()
                assert int((~keep).sum()) == number
            assert torch.equal(part.weight, torch.where(part.keep, old, 0))
    assert unseen >= 4


def test_who_reads_the_rows_of_an_expert(tmp_path: Path) -> None:
    _, blocks = opened("gpt_oss", tmp_path)
    for slot in blocks.slots:
        other = reader(blocks, slot)
        if slot.role == "gate_up":
            assert other is not None
            assert (other.role, other.expert, other.block) == ("down", slot.expert, slot.block)
            moved = row_alignment(blocks, slot, {other.name: torch.arange(float(other.cols))})
            assert moved is not None
            assert moved.tolist() == [math.floor(row / 2) for row in range(slot.rows)]  # gate and up in turns
        elif slot.role == "o":
            assert other is None  # all experts do, no one by itself
