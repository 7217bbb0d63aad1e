"""Pruning block by block: exact counts, what the statistics are of, and what entries become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import plain_neuroal
from kencore.allocate.budget import exact_counts, published_counts
from kencore.allocate.uniform import uniform
from kencore.errors import SpecError
from kencore.methods.random import row_generator
from kencore.methods.select import select_rows
from kencore.methods.table import METHODS
from kencore.models.blocks import BlockModel, capture, inputs
from kencore.pruning.blocks import Pruned, prune_blocks
from kencore.pruning.rule import ATTENTION, Rule
from tests.support.language_models import block_model, inputs_by_hooks, token_ids
from tests.support.tiny_models import LANGUAGE_MODELS


def half(model: BlockModel, share: float = 0.5) -> dict[str, Any]:
    return dict(exact_counts(model.slots, uniform(model.slots, share), share))


def pruned_all(model: BlockModel, method: str, counts: Mapping[str, Any], **options: Any) -> dict[str, Pruned]:
    made = {key: options.pop(key) for key in ("bases", "refine", "published") if key in options}
    streams = capture(model, token_ids(4), batch=2)
    parts = prune_blocks(model, streams, Rule(method=method, **made), counts, **options)
    return {part.slot.name: part for part in parts}


def norms_by_hooks(model: BlockModel, ids: Tensor) -> dict[str, Tensor]:
    """Every slot's input norms in the model's own forward pass."""
    seen = inputs_by_hooks(model, ids)
    return {key: torch.cat(parts).square().sum(0).div(len(ids)).sqrt() for key, parts in seen.items()}


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if not row.coded])
@pytest.mark.parametrize("share", [0.0, 0.37, 0.5, 1.0])
def test_counts_are_met_and_kept_entries_stay(method: str, share: float) -> None:
    model = block_model("gpt2")
    counts = half(model, share)
    before = {slot.name: model.weight(slot.name).clone() for slot in model.slots}
    base = {name: torch.randn_like(weight) for name, weight in before.items()}
    bases = None if method == "sparsegpt" else base.__getitem__
    found = pruned_all(model, method, counts, bases=bases)
    for slot in model.slots:
        part, old = found[slot.name], before[slot.name]
        assert torch.equal(model.weight(slot.name), part.weight)
        if method == "sparsegpt":
            assert int((~part.keep).sum()) == counts[slot.name].sum()
            assert not part.weight[~part.keep].any()
        else:
            assert torch.equal((~part.keep).sum(1), torch.from_numpy(counts[slot.name]))
            assert torch.equal(part.weight, torch.where(part.keep, old, base[slot.name]))


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_every_architecture(name: str, method: str) -> None:
    model = block_model(name)
    counts = half(model)
    found = pruned_all(model, method, counts)
    assert list(found) == [slot.name for slot in model.slots]
    gone = sum(int((model.weight(name) == 0).sum()) for name in found)
    assert gone == sum(slot.size for slot in model.slots) // 2
    sparse = norms_by_hooks(model, token_ids(4))
    dense = norms_by_hooks(block_model(name), token_ids(4))
    for key, part in found.items():
        assert part.dense_norm is not None
        assert part.sparse_norm is not None
        if ".experts." in key:
            continue  # an expert sees some tokens of its module: tests/models/blocks/test_experts.py
        torch.testing.assert_close(part.sparse_norm, sparse[key], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(part.dense_norm, dense[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "mistral", "opt", "phi"])
@pytest.mark.parametrize("method", ["magnitude", "wanda", "multiflow", "sparsegpt"])
def test_as_the_straightforward_way(name: str, method: str) -> None:
    model, other = block_model(name), block_model(name)
    shares = uniform(model.slots, 0.6)
    counts: dict[str, Any] = dict(shares)
    if method != "sparsegpt":
        counts = dict(published_counts(model.slots, shares, row_adaptive=False))
    found = pruned_all(model, method, counts, published=True, norms=False)
    caught = plain_neuroal.catch(other.model, other.model.get_submodule(other.path), token_ids(4))
    layers = [f"{key}-{place}" for place, block in enumerate(caught.blocks) for key in plain_neuroal.layers_of(block)]
    gone = plain_neuroal.prune(caught, method, dict.fromkeys(layers, 0.6), rows=False)
    for part, mask in zip(found.values(), gone.values(), strict=True):
        assert torch.equal(part.keep, ~mask), part.slot.name


@pytest.mark.parametrize("norms", [True, False])
def test_dense_propagation_scores_the_dense_models_inputs(norms: bool) -> None:
    model, untouched = block_model("qwen2"), block_model("qwen2")
    counts = half(model)
    found = pruned_all(model, "wanda", counts, propagate="dense", norms=norms)
    other = pruned_all(block_model("qwen2"), "wanda", counts, norms=norms)
    seen = norms_by_hooks(untouched, token_ids(4))
    different = 0
    for slot in model.slots:
        score = untouched.weight(slot.name).abs() * seen[slot.name]
        lowest = score.argsort(dim=1, stable=True)
        for row, count in enumerate(counts[slot.name]):
            gone = set((~found[slot.name].keep[row]).nonzero()[:, 0].tolist())
            assert gone == set(lowest[row, :count].tolist())
        different += int((found[slot.name].keep != other[slot.name].keep).sum())
    assert different > 0  # or the two ways could not be told apart
    assert (found[slot.name].sparse_norm is not None) == norms


def test_norms_do_not_change_what_is_pruned() -> None:
    masks = [
        pruned_all(model, "sparsegpt", half(model), norms=norms)
        for norms, model in ((True, block_model("opt")), (False, block_model("opt")))
    ]
    for one, other in zip(*(found.values() for found in masks), strict=True):
        assert torch.equal(one.keep, other.keep)
        assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_new_weights_are_what_the_file_can_hold(dtype: torch.dtype) -> None:
    model = block_model("llama", dtype=dtype)
    found = pruned_all(model, "sparsegpt", half(model))
    assert all(torch.equal(part.weight.to(dtype).float(), part.weight) for part in found.values())
    model = block_model("llama", dtype=dtype)
    shares: dict[str, Any] = {slot.name: 0.5 for slot in model.slots}
    found = pruned_all(model, "sparsegpt", shares, published=True)
    assert any(not torch.equal(part.weight.to(dtype).float(), part.weight) for part in found.values())


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_dsnot_exchanges_entries_of_attention_only(method: str) -> None:
    model, plain = block_model("llama"), block_model("llama")
    refined = pruned_all(model, method, half(model), refine="dsnot", propagate="dense")
    first = pruned_all(plain, "wanda", half(plain), propagate="dense")
    moved = set()
    for name, part in refined.items():
        own, other = part.keep, first[name].keep
        assert torch.equal(own.sum(1), other.sum(1))
        assert torch.equal(part.weight[own], block_model("llama").weight(name)[own])
        if not torch.equal(own, other):
            moved.add(part.slot.role)
    if method == "wanda":
        assert moved
        assert moved <= ATTENTION


def test_slots_that_share_inputs_share_a_factorisation(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(hessian: Tensor, **options: Any) -> Tensor:
        calls.append(options["name"])
        return own(hessian, **options)

    own = inputs.inverse_factor
    monkeypatch.setattr(inputs, "inverse_factor", counted)
    model = block_model("llama")
    pruned_all(model, "sparsegpt", half(model))
    assert len(calls) == 2 * 4  # q k v, o, gate up, down


def test_random_is_that_of_a_pruning_without_text() -> None:
    model = block_model("bloom")
    counts = half(model)
    before = {slot.name: model.weight(slot.name).numpy().copy() for slot in model.slots}
    found = pruned_all(model, "random", counts)
    for slot in model.slots:
        rng = row_generator(0, slot.name)
        kept = slot.cols - counts[slot.name]
        wanted = select_rows(before[slot.name], None, kept, "random", rng=rng)
        assert np.array_equal(found[slot.name].keep.numpy(), wanted)


def test_progress_tells_of_every_slot_and_may_cancel() -> None:
    model, seen = block_model("llama"), []
    pruned_all(model, "wanda", half(model), progress=lambda *call: seen.append(call))
    done = [done for done, _, _ in seen]
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1] == sum(slot.size for slot in model.slots)
    assert all(any(slot.name in text for _, _, text in seen) for slot in model.slots)

    def cancel(*call: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pruned_all(block_model("llama"), "wanda", half(model), progress=cancel)


def test_a_share_is_no_count() -> None:
    model = block_model("llama")
    with pytest.raises(SpecError, match="share"):
        pruned_all(model, "wanda", {slot.name: 0.5 for slot in model.slots})
