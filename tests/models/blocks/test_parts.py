"""The small parts that streams and searches stand on."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
import torch

from kencore.allocate.budget import exact_counts
from kencore.allocate.slot import Slot
from kencore.allocate.uniform import uniform
from kencore.models.blocks import capture
from kencore.models.blocks.run import by_sequence, placed
from kencore.pruning.blocks import prune_blocks
from kencore.pruning.rule import Rule
from kencore.pruning.search.allocate import AllocationSettings, allocate
from kencore.pruning.search.session import block_means, first_minimum
from tests.support.language_models import block_model, token_ids


@pytest.mark.parametrize(
    ("costs", "place"),
    [([3.0, 1.0, 1.0], 1), ([math.nan, 2.0, 1.0], 2), ([None, 2.0, None], 1), ([math.nan, math.nan], 0)],
)
def test_first_minimum(costs: list[float | None], place: int) -> None:
    assert first_minimum(costs) == place


def test_block_means_weigh_by_entries() -> None:
    slots = tuple(
        Slot(name=name, block=block, role="q", rows=rows, cols=10)
        for name, block, rows in (("a", 0, 1), ("b", 0, 3), ("c", 2, 5))
    )
    means = block_means(slots, {"a": 0.2, "b": 0.6, "c": 0.3}, 3)
    assert means[0] == pytest.approx(0.5)
    assert math.isnan(means[1])
    assert means[2] == pytest.approx(0.3)


def test_inputs_come_sequence_by_sequence() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    assert by_sequence(x, 2) is x
    assert torch.equal(by_sequence(x.flatten(0, 1), 2), x)  # flattened by the model


def test_weights_that_are_moved_come_back() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    own = dict(layer.state_dict(keep_vars=True))

    def devices() -> set[str]:
        return {tensor.device.type for tensor in layer.state_dict().values()}

    with placed(layer, torch.device("meta")):
        assert devices() == {"meta"}
    with contextlib.suppress(ZeroDivisionError), placed(layer, torch.device("meta")):
        raise ZeroDivisionError
    assert devices() == {"cpu"}
    assert all(tensor is own[name] for name, tensor in layer.state_dict(keep_vars=True).items())


@pytest.mark.parametrize("method", ["wanda", "multiflow", "sparsegpt"])
@pytest.mark.parametrize("reference", ["local", "global"])
def test_layers_that_are_never_run(method: str, reference: Any) -> None:
    """As an expert that no token is sent to: pruned by count, without a say in the search."""
    model = block_model("llama")
    for block in model.blocks:
        block.mlp.forward = torch.zeros_like  # type: ignore[union-attr,assignment]
    streams, rule = capture(model, token_ids(4)), Rule(method=method)
    settings = AllocationSettings(allocation="neuroal", sparsity=0.5, reference=reference, lambdas=(0.0, 0.1))
    found = allocate(model, streams, rule, settings)
    silent = [slot.name for slot in model.slots if slot.role in ("gate", "up", "down")]
    costs = found.trace["block_search"]["matrix_costs"]
    assert all(costs[name] == [0.0, 0.0] for name in silent)
    assert all(cost > 0 for cost in found.trace["block_search"]["costs"])
    counts: Any = exact_counts(model.slots, uniform(model.slots, 0.5), 0.5)
    for part in prune_blocks(model, streams, rule, counts):
        assert int((~part.keep).sum()) == int(np.sum(counts[part.slot.name]))
