"""Names of matrices for people."""

from __future__ import annotations

import pandas as pd
import pytest

from kencore.words import matrices


@pytest.mark.parametrize(
    ("name", "role", "label"),
    [
        ("model.layers.2.block_sparse_moe.experts.3.w1.weight", "gate", "expert 3 feed-forward gate"),
        ("model.layers.2.mlp.experts.gate_up_proj.11", "gate_up", "expert 11 feed-forward gate and first in one"),
        ("model.layers.2.mlp.shared_experts.down_proj.weight", "down", "shared expert feed-forward, second"),
        ("model.layers.2.mlp.down_proj.weight", "down", "feed-forward, second"),
        ("model.layers.2.self_attn.q_proj.weight", "q", "attention query"),
    ],
)
def test_a_matrix_of_an_expert_says_whose_it_is(name: str, role: str, label: str) -> None:
    assert matrices.label(pd.Series({"name": name, "role": role, "block": 2.0})) == label
