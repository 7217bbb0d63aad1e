"""Blocks, roles, orientation and counts of all architectures, against transformers' models."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from kencore.checkpoint.layout import read_layout, stack_names
from kencore.checkpoint.parameter import PARTS, ROLES
from kencore.checkpoint.tensors import open_tensors
from tests.checkpoint.conftest import Pairs
from tests.checkpoint.expected import BLOCK_ROLES, DECODER_ROLES, HEADS, POOLERS, TIED
from tests.support.tiny_models import ARCHITECTURES, BLOCKS

EACH = pytest.mark.parametrize("name", sorted(ARCHITECTURES))


@EACH
def test_counts_add_up(pairs: Pairs, name: str) -> None:
    folder = pairs(name)[1]
    layout, model = read_layout(folder), ARCHITECTURES[name]()
    tensors = open_tensors(folder)
    prunable = sum(parameter.params for parameter in layout.prunable)
    rest = sum(parameter.params for parameter in layout.parameters if not parameter.prunable)
    on_disk = sum(tensors.info(found).elements for found in tensors.names)
    # transformers counts a tied parameter once; buffers are saved beside the parameters
    saved = {key for key in model.state_dict() if "position_ids" not in key}
    buffers = sum(value.numel() for key, value in model.named_buffers() if key in saved)
    assert prunable + rest == on_disk == sum(p.numel() for p in model.parameters()) + buffers
    assert len({parameter.name for parameter in layout.parameters}) == len(tensors)


@EACH
def test_every_tensor_is_described(pairs: Pairs, name: str) -> None:
    layout, model = read_layout(pairs(name)[1]), ARCHITECTURES[name]()
    state = model.state_dict()
    assert layout.model_type == name
    assert layout.architecture == type(model).__name__
    for parameter in layout.parameters:
        assert parameter.role in ROLES
        assert parameter.part in PARTS
        assert parameter.rows * parameter.cols == parameter.params == math.prod(parameter.shape)
        assert bool(parameter.reason) != parameter.prunable
        assert (parameter.block is None) == (parameter.stack == "")
        assert parameter.model_name in state
    places = [list(state).index(parameter.model_name) for parameter in layout.parameters]
    assert places == sorted(places)


@EACH
def test_blocks_are_the_outermost_lists(pairs: Pairs, name: str) -> None:
    layout = read_layout(pairs(name)[1])
    two = {"encoder": BLOCKS, "decoder": 3}
    expected = {"t5": two, "bart": two, "albert": {"blocks": 1}}.get(name, {"blocks": BLOCKS})
    assert layout.stacks == expected
    assert layout.blocks == sum(expected.values())
    found = {(p.stack, p.block) for p in layout.parameters if p.block is not None}
    assert found == {(stack, i) for stack, count in expected.items() for i in range(count)}


@EACH
def test_roles_of_the_matrices_of_every_block(pairs: Pairs, name: str) -> None:
    layout = read_layout(pairs(name)[1])
    for stack, count in layout.stacks.items():
        words = DECODER_ROLES if stack == "decoder" else BLOCK_ROLES[name]
        for block in range(count):
            roles = Counter(
                parameter.role
                for parameter in layout.parameters
                if (parameter.stack, parameter.block) == (stack, block)
                and len(parameter.shape) == 2
                and parameter.role != "embedding"
            )
            assert roles == Counter(words.split()), (stack, block)


@EACH
def test_parts_follow_roles(pairs: Pairs, name: str) -> None:
    for parameter in read_layout(pairs(name)[1]).parameters:
        if parameter.role in ("q", "k", "v", "qkv", "o"):
            assert parameter.part == "attention", parameter.name
        elif parameter.role in ("up", "gate", "gate_up", "down"):
            assert parameter.part == "feed-forward", parameter.name
        elif parameter.role in ("pooler", "head"):
            assert parameter.part == parameter.role, parameter.name
        if parameter.block is not None:
            assert parameter.part in ("attention", "feed-forward", "norm"), parameter.name


@EACH
def test_norms_biases_and_embeddings_are_those_of_the_modules(pairs: Pairs, name: str) -> None:
    layout, model = read_layout(pairs(name)[1]), ARCHITECTURES[name]()
    modules = dict(model.named_modules())
    for parameter in layout.parameters:
        path, _, leaf = parameter.model_name.rpartition(".")
        owner = modules[path]
        norm = "Norm" in type(owner).__name__
        table = isinstance(owner, torch.nn.Embedding)
        assert (parameter.role == "norm") == norm, parameter.name
        assert (parameter.role == "bias") == (leaf.endswith("bias") and not norm), parameter.name
        if table:
            assert parameter.role == "embedding", parameter.name


@EACH
def test_heads_and_poolers(pairs: Pairs, name: str) -> None:
    layout = read_layout(pairs(name)[1])
    heads = {parameter.name for parameter in layout.parameters if parameter.part == "head"}
    poolers = {parameter.name for parameter in layout.parameters if parameter.part == "pooler"}
    assert heads == set(HEADS[name].split())
    assert poolers == set(POOLERS.get(name, "").split())


@EACH
def test_tied_weights_are_one_embedding_with_aliases(pairs: Pairs, name: str) -> None:
    tied = [parameter for parameter in read_layout(pairs(name)[1]).parameters if parameter.aliases]
    if name not in TIED:
        assert tied == []
        return
    (parameter,) = tied
    assert [parameter.name, *sorted(parameter.aliases)] == TIED[name].split()
    assert (parameter.role, parameter.part) == ("embedding", "embedding")


@EACH
def test_rows_are_outputs(pairs: Pairs, name: str) -> None:
    layout, model = read_layout(pairs(name)[1]), ARCHITECTURES[name]()
    modules = dict(model.named_modules())
    for parameter in layout.parameters:
        owner = modules[parameter.model_name.rpartition(".")[0]]
        size = parameter.rows, parameter.cols
        if len(parameter.shape) == 1:
            assert size == (1, parameter.shape[0])
        elif isinstance(owner, torch.nn.Linear):
            assert size == (owner.out_features, owner.in_features), parameter.name
        elif isinstance(owner, Conv1D):
            assert size == (owner.nf, owner.nx), parameter.name
        elif isinstance(owner, torch.nn.Embedding):
            assert size == (owner.num_embeddings, owner.embedding_dim), parameter.name
        assert parameter.transposed == (isinstance(owner, Conv1D) and len(parameter.shape) == 2)


def test_a_transposed_matrix_reads_as_outputs_by_inputs(pairs: Pairs) -> None:
    folder = pairs("gpt2")[1]
    (fused,) = [p for p in read_layout(folder).parameters if p.role == "qkv" and p.block == 0]
    tensors = open_tensors(folder)
    matrix = tensors.matrix(fused.name, transposed=fused.transposed)
    assert matrix.shape == (fused.rows, fused.cols) == (96, 32)
    assert (matrix == tensors.floats(fused.name).T).all()


@EACH
def test_what_cannot_be_pruned_is_named_with_its_reason(pairs: Pairs, name: str) -> None:
    layout = read_layout(pairs(name)[1])
    reasons = {p.name: p.reason for p in layout.parameters if not p.prunable}
    dimensions = "{} dimensions: only vectors and matrices are pruned".format
    expected = {
        "vit": {
            "vit.embeddings.cls_token": dimensions(3),
            "vit.embeddings.position_embeddings": dimensions(3),
            "vit.embeddings.patch_embeddings.projection.weight": dimensions(4),
        },
        "bart": {"final_logits_bias": "a buffer, not a trained weight"},
    }
    assert reasons == expected.get(name, {})


@EACH
def test_nothing_is_noted_of_a_plain_checkpoint(pairs: Pairs, name: str) -> None:
    notes = read_layout(pairs(name)[1]).notes
    shared = ("1 block holds the weights of 2 layers.",)
    assert notes == (shared if name == "albert" else ())


def test_embeddings_of_vision_are_embeddings(pairs: Pairs) -> None:
    found = {p.name: p.role for p in read_layout(pairs("vit")[1]).parameters if p.block is None}
    inside = {role for name, role in found.items() if name.startswith("vit.embeddings.")}
    assert inside == {"embedding", "bias"}


def test_the_table_of_t5_s_positions_is_an_embedding_in_the_attention(pairs: Pairs) -> None:
    tables = [p for p in read_layout(pairs("t5")[1]).parameters if "relative" in p.name]
    assert {(p.stack, p.block, p.role, p.part) for p in tables} == {
        ("encoder", 0, "embedding", "attention"),
        ("decoder", 0, "embedding", "attention"),
    }


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], []),
        (["model.layers"], ["blocks"]),
        (["encoder.block", "decoder.block"], ["encoder", "decoder"]),
        (["model.encoder.layers", "model.decoder.layers"], ["encoder", "decoder"]),
        (["vision.encoder.layers", "text.layers"], ["vision", "text"]),
        (["m.a.x", "m.a.y", "m.b.x"], ["m.a.x", "m.a.y", "m.b.x"]),
        (["m", "m2.layers"], ["m", "m2"]),
    ],
)
def test_stack_names(paths: list[str], expected: list[str]) -> None:
    assert list(stack_names(paths).values()) == expected
