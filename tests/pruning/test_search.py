"""Searches: the published one against a straightforward one, ours against its promises."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import plain_neuroal
from kencore.allocate.budget import exact_counts
from kencore.allocate.uniform import uniform
from kencore.errors import DeadLayerError
from kencore.models.blocks import BlockModel, capture, halves, run, run_block
from kencore.models.blocks.tail import language_loss
from kencore.pruning.blocks import prune_blocks
from kencore.pruning.rule import Rule
from kencore.pruning.search.allocate import Allocated, AllocationSettings, allocate
from kencore.pruning.search.candidates import Evaluator
from tests.support.language_models import block_model, token_ids
from tests.support.tiny_models import LANGUAGE_MODELS

FEW = (0.0, 0.1, 0.2)


def search(model: BlockModel, *, method: str = "wanda", progress: Any = None, **settings: Any) -> Allocated:
    asked = AllocationSettings(**({"allocation": "neuroal", "sparsity": 0.6} | settings))
    rule = Rule(method=method, published=asked.published)
    return allocate(model, capture(model, token_ids(4)), rule, asked, progress=progress)


@pytest.mark.parametrize(
    ("name", "method", "step", "sparsity"),
    [
        ("llama", "magnitude", "both", 0.5),
        ("llama", "wanda", "row", 0.8),
        ("llama", "sparsegpt", "block", 0.7),
        ("mistral", "wanda", "both", 0.6),
        ("opt", "multiflow", "both", 0.7),
        ("opt", "sparsegpt", "block", 0.8),
        ("phi", "wanda", "both", 0.6),
        ("phi", "magnitude", "row", 0.8),
    ],
)
def test_published_search(name: str, method: str, step: str, sparsity: float) -> None:
    """GQA models (llama and mistral have fewer key heads here) and parallel attention (phi)."""
    model = block_model(name)
    found = search(model, method=method, step=step, sparsity=sparsity, published=True)
    streams = capture(model, token_ids(4))
    parts = prune_blocks(model, streams, found.rule, found.counts, norms=False)
    own = [~part.keep for part in parts]

    other = block_model(name)
    blocks = other.model.get_submodule(other.path)
    caught = plain_neuroal.catch(other.model, blocks, token_ids(4))
    wanted = plain_neuroal.search(caught, method, sparsity, step)
    rows = wanted.row_lambda is not None
    gone = plain_neuroal.prune(caught, method, wanted.shares, rows)

    trace = found.trace
    for record, costs, lam in (
        (trace["block_search"], wanted.block_costs, wanted.block_lambda),
        (trace["row_search"], wanted.row_costs, wanted.row_lambda),
    ):
        assert (record is None) == (lam is None)
        if record:
            np.testing.assert_allclose(record["costs"], costs, rtol=1e-5)
            assert record["chosen"] == lam
    for mask, (key, other_mask) in zip(own, gone.items(), strict=True):
        assert torch.equal(mask, other_mask), key


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@pytest.mark.parametrize("allocation", ["uniform", "owl", "alpha", "dlp", "atp", "neuroal"])
def test_every_allocation_meets_the_target_exactly(name: str, allocation: str) -> None:
    model = block_model(name)
    before = {slot.name: model.weight(slot.name).clone() for slot in model.slots}
    found = search(model, allocation=allocation, sparsity=0.613, step="both", reference="global", lambdas=FEW)
    total = sum(slot.size for slot in model.slots)
    assert sum(counts.sum() for counts in found.counts.values()) == round(0.613 * total)
    for slot in model.slots:
        counts = found.counts[slot.name]
        assert counts.shape == (slot.rows,)
        assert 0 <= counts.min() <= counts.max() <= slot.cols
        assert torch.equal(model.weight(slot.name), before[slot.name])  # left as it was
        share = found.trace["matrices"][slot.name]["sparsity"]
        assert share == pytest.approx(counts.sum() / slot.size)
    json.dumps(found.trace, allow_nan=False)


@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
def test_down_alone_costs_nothing_locally_and_something_globally(method: str) -> None:
    whole = block_model("llama")
    scope = [slot.name for slot in whole.slots if slot.role == "down"]
    costs = {}
    for reference in ("local", "global"):
        model = block_model("llama", scope=scope)
        found = search(model, method=method, step="block", reference=reference, lambdas=(0.0, 0.1))
        costs[reference] = found.trace["block_search"]["costs"]
    assert costs["local"] == [0.0, 0.0]
    assert all(cost > 0 for cost in costs["global"])


def test_costs_against_their_definition() -> None:
    """Global: input norms of the pruned model against those of the dense one, by plain hooks."""
    model, other = block_model("qwen3"), block_model("qwen3")
    counts: Any = exact_counts(model.slots, uniform(model.slots, 0.5), 0.5)
    ids = token_ids(4)
    streams, rule = capture(model, ids), Rule(method="wanda")
    outcome = Evaluator(model, streams, rule, reference="global")(counts)
    total = 0.0
    for part in prune_blocks(other, capture(other, ids), rule, counts):
        assert part.dense_norm is not None
        assert part.sparse_norm is not None
        a, b = part.dense_norm.double(), part.sparse_norm.double()
        cost = float((a / a.sum() - b / b.sum()).norm()) / len(a)
        assert outcome.matrix_costs[part.slot.name] == pytest.approx(cost, rel=1e-4, abs=1e-9)
        torch.testing.assert_close(
            outcome.alignment[part.slot.name], part.dense_norm - part.sparse_norm, rtol=1e-3, atol=1e-5
        )
        total += cost
    assert outcome.cost == pytest.approx(total, rel=1e-4)


def test_zero_is_tried_and_is_uniform() -> None:
    model = block_model("opt")
    found = search(model, step="both", sparsity=0.6)
    assert found.trace["block_search"]["lambdas"][0] == 0.0
    assert len(found.trace["block_search"]["lambdas"]) == 15
    even = search(model, step="both", sparsity=0.6, lambdas=(0.0,))
    assert found.trace["block_search"]["costs"][0] == even.trace["block_search"]["costs"][0]
    wanted = exact_counts(model.slots, uniform(model.slots, 0.6), 0.6)
    assert all(np.array_equal(even.counts[name], wanted[name]) for name in wanted)


def test_rows_differ_where_somebody_reads_them() -> None:
    model = block_model("llama")
    for reference, last in (("local", False), ("global", True)):
        found = search(model, step="row", reference=reference, lambdas=(0.2,))
        spread = {(slot.block, slot.role): np.ptp(found.sparsities[slot.name]) for slot in model.slots}
        for block in (0, 1):
            for role in ("q", "k", "v", "o", "gate", "up"):
                assert spread[block, role] > 0.1
        assert (spread[0, "down"] > 0.1) == last  # its reader's input is not pruned locally
        assert spread[1, "down"] == 0


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_fast_chooses_among_what_it_measured_exactly(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kencore.pruning.search.session.halves_pay", lambda *_: True)
    model = block_model("llama")
    settings: dict[str, Any] = {"step": "block", "reference": "global", "method": method}
    whole = search(model, **settings).trace["block_search"]
    found = search(model, fast=True, **settings).trace["block_search"]
    costs = found["costs"]
    known = [place for place, cost in enumerate(costs) if cost is not None]
    even = set(range(0, len(costs), 2))
    assert even < set(known)
    odd = sorted(set(known) - even)
    assert len(odd) <= 2
    assert max(odd) - min(odd) in (0, 2)  # neighbours of one place
    exact = [place for place in known if found["lambdas"][place] not in found["rough"]]
    assert len(exact) == (3 if method == "wanda" else len(known))
    assert all(costs[place] == whole["costs"][place] for place in exact)
    best = min(exact, key=lambda place: costs[place])
    assert found["chosen"] == found["lambdas"][best]
    if method == "wanda":
        assert any(costs[p] != whole["costs"][p] for p in set(known) - set(exact))


@pytest.mark.parametrize(("half", "whole", "pays"), [(2.0, 1.0, False), (0.5, 1.0, True)])
def test_fast_takes_bfloat16_only_where_it_is_faster(
    half: float, whole: float, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halves, "_FOUND", {})
    monkeypatch.setattr(halves, "_seconds", lambda model, streams, autocast: half if autocast else whole)
    found = search(block_model("llama"), fast=True, step="block").trace["block_search"]
    assert bool(found["rough"]) == pays


@pytest.mark.parametrize("reference", ["local", "global"])
def test_a_dead_layer_counts_nothing_and_is_named(reference: str) -> None:
    model = block_model("llama")
    model.model.model.layers[0].mlp.up_proj.weight.data.zero_()  # so down is given zeros
    found = search(model, step="block", reference=reference, lambdas=(0.0, 0.1))
    name = "model.layers.0.mlp.down_proj.weight"
    assert found.trace["dead"] == [name]
    assert found.trace["block_search"]["matrix_costs"][name] == [0.0, 0.0]
    assert all(cost > 0 for cost in found.trace["block_search"]["costs"])


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "magnitude"},
        {"method": "wanda"},
        {"method": "wanda", "reference": "global"},
        {"allocation": "owl"},
        {"allocation": "dlp"},
    ],
)
def test_a_block_that_is_given_nothing_is_an_error(settings: dict[str, Any]) -> None:
    model = block_model("llama")
    block = model.model.model.layers[1]
    block.input_layernorm.weight.data.zero_()
    block.post_attention_layernorm.weight.data.zero_()
    with pytest.raises(DeadLayerError, match="Block 1"):
        search(model, lambdas=(0.1,), **settings)


def test_progress_rises_and_cancelling_leaves_the_model_whole() -> None:
    model, seen = block_model("llama"), []
    before = {slot.name: model.weight(slot.name).clone() for slot in model.slots}
    search(model, step="both", lambdas=FEW, progress=lambda *call: seen.append(call))
    parts = [done for done, _, _ in seen]
    assert parts == sorted(parts)
    assert len(parts) >= 2 * len(FEW) * len(model.blocks)
    assert parts[0] >= 0
    assert parts[-1] <= 1

    def cancel(done: float, total: float, message: str) -> None:
        if done > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(model, step="both", lambdas=FEW, progress=cancel)
    assert all(torch.equal(model.weight(name), weight) for name, weight in before.items())


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_loss_is_the_models_own(name: str) -> None:
    model, ids = block_model(name), token_ids(4)
    streams = capture(model, ids, batch=2)
    hidden = streams.hidden
    for block in range(len(model.blocks)):
        hidden = run_block(model, streams, block, hidden)
    with torch.no_grad():
        logits = model.model(ids, use_cache=False).logits
        wanted = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert language_loss(model, streams, hidden) == pytest.approx(float(wanted), rel=1e-6)
    with torch.no_grad():  # and the blocks are themselves again
        assert torch.equal(model.model(ids, use_cache=False).logits, logits)


def test_atp_chooses_the_slope_of_least_loss() -> None:
    model = block_model("opt")
    record = search(model, allocation="atp").trace["block_search"]
    assert record["chosen"] == record["slopes"][int(np.argmin(record["losses"]))]
    assert len(set(record["losses"])) > 1


def test_costs_of_text_in_batches() -> None:
    model = block_model("falcon")
    counts: Any = exact_counts(model.slots, uniform(model.slots, 0.5), 0.5)
    outcomes = [
        Evaluator(model, capture(model, token_ids(4), batch=batch), Rule(method="wanda"))(counts) for batch in (1, 3, 4)
    ]
    for outcome in outcomes:
        assert outcome.cost == pytest.approx(outcomes[0].cost, rel=1e-5)


# --- what several prunings share --------------------------------------------------------------


@pytest.mark.parametrize("allocation", ["uniform", "owl", "dlp", "alpha", "neuroal"])
def test_what_was_measured_of_the_dense_model_is_not_measured_again(
    allocation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second target on the same streams runs fewer blocks, and prunes as it would alone."""
    passes = [0]
    own = run.call_block

    def counting(*args: Any) -> Any:
        passes[0] += 1
        return own(*args)

    monkeypatch.setattr(run, "call_block", counting)

    def prune(model: BlockModel, streams: Any, sparsity: float) -> tuple[list[Any], int]:
        asked = AllocationSettings(allocation=allocation, sparsity=sparsity, lambdas=FEW, reference="global")
        before = {slot.name: model.weight(slot.name).clone() for slot in model.slots}
        passes[0] = 0
        found = allocate(model, streams, Rule(method="wanda"), asked)
        parts = list(prune_blocks(model, streams, Rule(method="wanda"), found.counts))
        for name, weight in before.items():
            model.set_weight(name, weight)
        return parts, passes[0]

    alone, shared = block_model("llama"), block_model("llama")
    both = capture(shared, token_ids(4))
    prune(shared, both, 0.4)
    wanted, most = prune(alone, capture(alone, token_ids(4)), 0.6)
    found, fewer = prune(shared, both, 0.6)
    assert fewer < most
    for one, other in zip(found, wanted, strict=True):
        for name in ("keep", "weight", "dense_norm", "sparse_norm"):
            assert torch.equal(getattr(one, name), getattr(other, name)), (one.slot.name, name)
