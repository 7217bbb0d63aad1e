"""Streams give the model's own numbers back, whatever the architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kencore.checkpoint.layout import read_layout
from kencore.errors import NonFiniteActivationError, NotALanguageModelError, ScopeError, ShapeError
from kencore.methods.statistics import RunningInputs
from kencore.models.blocks import BlockModel, Streams, capture, run_block
from tests.support.language_models import inputs_by_hooks, token_ids
from tests.support.tiny_models import LANGUAGE_MODELS, build

PARALLEL = {"phi", "gptj", "gpt_neox", "falcon"}
GROUPS = {  # slots of one block by the tensor they read, as roles
    "llama": ["q k v", "o", "gate up", "down"],
    "opt": ["k v q", "o", "up", "down"],
    "phi": ["q k v up", "o", "down"],
    "gptj": ["k v q up", "o", "down"],
    "gpt2": ["qkv", "o", "up", "down"],
    "gpt_neox": ["qkv", "o", "up", "down"],
    "falcon": ["qkv up", "o", "down"],
    "mixtral": ["q k v", "o", *["gate up"] * 3, *["down"] * 3],
}

Made = Callable[[str], BlockModel]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A tiny model with its layout, built once per architecture."""
    cache: dict[str, tuple[Any, Any]] = {}

    def make(name: str, **options: Any) -> BlockModel:
        if name not in cache:
            folder = tmp_path_factory.mktemp(name)
            model = build(name)
            model.save_pretrained(folder)
            cache[name] = (model, read_layout(folder))
        return BlockModel(*cache[name], **options)

    return make


def through(model: BlockModel, streams: Streams) -> list[Tensor]:
    """Every block in turn."""
    hidden = streams.hidden
    for block in range(len(model.blocks)):
        hidden = run_block(model, streams, block, hidden)
    return hidden


def logits_from(model: BlockModel, ids: Tensor, hidden: Tensor) -> Tensor:
    """What the model's own norm and head make of the last block's output."""

    def swap(block: nn.Module, args: Any, out: Any) -> Any:
        return hidden if isinstance(out, Tensor) else (hidden, *out[1:])

    handle = model.blocks[-1].register_forward_hook(swap)
    with torch.no_grad():
        logits: Tensor = model.model(ids, use_cache=False).logits
    handle.remove()
    return logits


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@pytest.mark.parametrize("batch", [1, 3])
def test_block_by_block_is_the_model_itself(made: Made, name: str, batch: int) -> None:
    model, ids = made(name), token_ids(3)
    streams = capture(model, ids, batch=batch)
    before = [hidden.clone() for hidden in streams.hidden]
    out = through(model, streams)
    assert [tuple(hidden.shape[:2]) for hidden in out] == [(batch, 9)] * (3 // batch)
    for part, hidden in zip(ids.split(batch), out, strict=True):
        with torch.no_grad():
            wanted = model.model(part, use_cache=False).logits
        broken = logits_from(model, part, torch.zeros_like(hidden))
        assert torch.equal(logits_from(model, part, hidden), wanted)
        assert not torch.equal(broken, wanted)  # or the swap would prove nothing
    # a block must not write into the stream it was given
    assert all(torch.equal(a, b) for a, b in zip(before, streams.hidden, strict=True))


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_which_slots_read_one_tensor(made: Made, name: str) -> None:
    model = made(name)
    role = {slot.name: slot.role for slot in model.slots}
    for wiring in model.wiring:
        assert [" ".join(role[slot] for slot in group) for group in wiring.groups] == GROUPS[name]


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_who_depends_on_whom(made: Made, name: str) -> None:
    model = made(name)
    assert model.parallel == (name in PARALLEL)
    for block, wiring in enumerate(model.wiring):
        still = {slot.role for slot in model.by_block[block] if slot.name not in wiring.fresh}
        first = {slot.role for slot in model.by_block[block]} & {"q", "k", "v", "qkv"}
        assert still == first | ({"up"} if name in PARALLEL else set())


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_statistics_are_of_each_layers_inputs(made: Made, name: str) -> None:
    """Against the norms of all inputs that plain hooks see in the model's own forward pass."""
    model, ids = made(name), token_ids(4)
    seen = inputs_by_hooks(model, ids)
    streams = capture(model, ids, batch=2)
    hidden = streams.hidden
    for block, every in enumerate(model.by_block):
        slots = [slot for slot in every if slot.expert is None]
        found = {slot.name: RunningInputs(slot.cols, frozenset({"norm"})) for slot in slots}
        hidden = run_block(model, streams, block, hidden, found)
        for slot in slots:
            wanted = torch.cat(seen[slot.name]).square().sum(0).div(4).sqrt()
            torch.testing.assert_close(found[slot.name].norm(), wanted, rtol=1e-5, atol=1e-6)
            assert (found[slot.name].sequences, found[slot.name].tokens) == (4, 36)


def test_a_pass_without_output_measures_the_same(made: Made) -> None:
    model = made("llama")
    streams = capture(model, token_ids(3), batch=3)
    leaders = model.wiring[0].leaders([slot.name for slot in model.by_block[0]])
    norms = []
    for output in (True, False):
        found = {name: RunningInputs(model.linear(name).slot.cols, frozenset({"norm"})) for name in leaders}
        result = run_block(model, streams, 0, streams.hidden, found, output=output)
        assert len(result) == (1 if output else 0)
        norms.append([one.norm() for one in found.values()])
    assert all(torch.equal(a, b) for a, b in zip(*norms, strict=True))


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_weights_are_outputs_by_inputs(made: Made, name: str) -> None:
    model = made(name)
    for slot in model.slots:
        assert tuple(model.weight(slot.name).shape) == (slot.rows, slot.cols)
        if slot.expert is not None:
            continue
        module = model.linear(slot.name).module
        x = torch.randn(5, slot.cols)
        bias = module.bias if module.bias is not None else 0  # type: ignore[union-attr]
        torch.testing.assert_close(module(x), x @ model.weight(slot.name).T + bias)


def test_replaced_weights_come_back(made: Made) -> None:
    model = made("gpt2")
    name = model.slots[0].name
    before, storage = model.weight(name).clone(), model.linear(name).parameter.data_ptr()
    with model.replaced({name: torch.zeros_like(before)}):
        assert not model.weight(name).any()
    assert torch.equal(model.weight(name), before)
    assert model.linear(name).parameter.data_ptr() == storage
    with pytest.raises(ZeroDivisionError), model.replaced({name: before + 1}):
        raise ZeroDivisionError
    assert torch.equal(model.weight(name), before)


def test_set_weight(made: Made) -> None:
    model = made("bloom")
    name = model.slots[1].name
    before = model.weight(name).clone()
    model.set_weight(name, before + 1)
    assert torch.equal(model.weight(name), before + 1)
    model.set_weight(name, before)
    with pytest.raises(ShapeError, match="outputs by inputs"):
        model.set_weight(name, before.T[:1])


def test_masks_are_stored_once(made: Made) -> None:
    model = made("gemma2")
    streams = capture(model, token_ids(4), batch=2)
    first, second = (call.kwargs["attention_mask"] for call in streams.calls[0])
    assert first is second


def test_scope(made: Made) -> None:
    whole = made("llama")
    names = [slot.name for slot in whole.slots if slot.role in ("o", "down")]
    model = made("llama", scope=names)
    assert [slot.name for slot in model.slots] == names
    assert [len(slots) for slots in model.by_block] == [2, 2]
    with pytest.raises(ScopeError):
        made("llama", scope=["no.such.weight"])


def test_experts_are_slots_and_their_router_is_none(made: Made) -> None:
    model = made("mixtral")
    assert {slot.role for slot in model.slots} == {"q", "k", "v", "o", "gate", "up", "down"}
    assert {slot.expert for slot in model.slots if slot.role == "gate"} == {0, 1, 2}
    assert [name.rsplit(".", 2)[-2] for name in model.refused] == ["gate", "gate"]


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_two_stacks_are_no_language_model(made: Made, name: str) -> None:
    with pytest.raises(NotALanguageModelError, match="2 stacks"):
        made(name)


def test_infinite_activations_name_the_block(tmp_path: Path) -> None:
    model = build("llama")
    model.save_pretrained(tmp_path)
    layout = read_layout(tmp_path)
    model.model.layers[1].mlp.down_proj.weight.data[0, 0] = float("inf")
    with pytest.raises(NonFiniteActivationError, match="Block 1"):
        capture(BlockModel(model, layout), token_ids(2))


@pytest.mark.parametrize("ids", [torch.zeros(3), torch.zeros(2, 3), torch.zeros(0, 3).long()])
def test_ids_that_are_none(made: Made, ids: Tensor) -> None:
    with pytest.raises(ShapeError, match="token ids"):
        capture(made("llama"), ids)
