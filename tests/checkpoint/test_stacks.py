"""Tensors that hold one matrix of every expert are read as so many matrices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kencore.checkpoint.skeleton import outermost_lists
from kencore.checkpoint.stacks import expert_of
from kencore.checkpoint.tensors import open_tensors


@pytest.mark.parametrize(
    ("name", "expert"),
    [
        ("model.layers.0.block_sparse_moe.experts.3.w1.weight", 3),
        ("model.layers.7.mlp.experts.gate_up_proj.12", 12),
        ("model.layers.1.mlp.experts.down_proj_bias.4", 4),
        ("model.layers.0.block_sparse_moe.input_linear.weight.5", 5),
        ("model.layers.0.mlp.shared_experts.gate_proj.weight", None),
        ("moe.layers.3.mlp.up_proj.weight", None),
        ("model.layers.0.mlp.gate_proj.weight", None),
    ],
)
def test_experts_by_their_names(name: str, expert: int | None) -> None:
    assert expert_of(name) == expert


def test_a_stack_is_one_tensor_for_each_expert(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    path = "model.layers.0.mlp"
    state = {
        f"{path}.experts.gate_up_proj": torch.randn(3, 4, 6, generator=draw),
        f"{path}.experts.gate_up_proj_bias": torch.randn(3, 6, generator=draw).bfloat16(),
        f"{path}.experts.other_bias": torch.randn(3, 6, generator=draw),
        f"{path}.conv1d.weight": torch.randn(4, 1, 3, generator=draw),
        f"{path}.experts.down_proj": torch.randn(2, 2, 2, generator=draw),
        f"{path}.experts.down_proj.1": torch.randn(2, generator=draw),  # a name that is taken
    }
    save_file(state, tmp_path / "model.safetensors")
    tensors = open_tensors(tmp_path)
    assert set(tensors.stored) == set(state)
    parts = [f"{path}.experts.gate_up_proj{bias}.{expert}" for bias in ("", "_bias") for expert in range(3)]
    assert set(tensors.names) == set(parts) | set(list(state)[2:])
    assert tensors.nbytes == sum(value.nbytes for value in state.values())
    for part in parts:
        stack, expert = part.rsplit(".", 1)
        want = state[stack][int(expert)]
        assert tensors.info(part).shape == tuple(want.shape)
        assert np.array_equal(tensors.floats(part), want.float().numpy())
    assert tensors.parts(f"{path}.experts.gate_up_proj") == tuple(parts[:3])
    assert np.array_equal(tensors.raw(f"{path}.experts.gate_up_proj"), state[f"{path}.experts.gate_up_proj"].numpy())
    assert tensors.parts(f"{path}.conv1d.weight") == (f"{path}.conv1d.weight",)


def test_lists_of_projections_tables_or_nothing_are_no_blocks() -> None:
    def some(*kinds: Callable[[], nn.Module]) -> nn.ModuleList:
        return nn.ModuleList(kind() for kind in kinds)

    def block() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 2), nn.ModuleList([nn.Sequential(nn.Linear(2, 2))]))

    model = nn.ModuleDict(
        {
            "layers": some(block, block),
            "norms": some(lambda: nn.LayerNorm(2)),
            "projections": some(lambda: nn.Linear(2, 2), lambda: nn.Linear(2, 2)),
            "heads": some(lambda: nn.Embedding(2, 2), lambda: nn.Linear(2, 2)),
            "drops": some(nn.Dropout),
            "none": some(),
        }
    )
    assert list(outermost_lists(model)) == ["layers", "norms"]
