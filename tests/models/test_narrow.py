"""Half-precision weights that are widened block by block compute what a model in float32 does, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kencore.allocate.budget import exact_counts
from kencore.allocate.uniform import uniform
from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.tensors import open_tensors
from kencore.models.blocks import BlockModel, capture
from kencore.models.blocks.linears import find_blocks
from kencore.models.language import LanguageModel
from kencore.models.narrow import own_dtype, widen_when_run
from kencore.pruning.blocks import prune_blocks
from kencore.pruning.rule import Rule
from tests.support.classifiers import save_tokenizer
from tests.support.tiny_models import LANGUAGE_MODELS, VOCABULARY, build

IDS = torch.randint(3, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(2))
NOT = {"mixtral": "experts in one stack", "gemma2": "a factor that is kept in half precision"}


def saved(kind: str, folder: Path, dtype: torch.dtype = torch.bfloat16) -> Path:
    build(kind).to(dtype).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def both(folder: Path, dtype: torch.dtype) -> tuple[LanguageModel, LanguageModel, bool]:
    """In float32, and in half precision; and whether the latter is widened when it runs."""
    wide, half = LanguageModel.load(folder), LanguageModel.load(folder, dtype=dtype)
    return wide, half, widen_when_run(half.model, find_blocks(half.model, read_layout(folder))[1])


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_the_same_logits(kind: str, tmp_path: Path) -> None:
    wide, half, works = both(saved(kind, tmp_path), torch.bfloat16)
    assert works == (kind not in NOT)
    if works:
        with torch.no_grad():
            found, wanted = (model.model(IDS, use_cache=False).logits for model in (half, wide))
        assert torch.equal(found, wanted)
        assert {parameter.dtype for parameter in half.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("method", "published"), [("wanda", False), ("sparsegpt", False), ("sparsegpt", True), ("magnitude", False)]
)
def test_the_same_pruning(method: str, published: bool, tmp_path: Path) -> None:
    wide, half, _ = both(saved("llama", tmp_path, torch.float16), torch.float16)
    layout, made = read_layout(tmp_path), []
    for model in (wide, half):
        blocks = BlockModel(model.model, layout)
        counts = dict(exact_counts(blocks.slots, uniform(blocks.slots, 0.5), 0.5))
        rule = Rule(method=method, published=published)
        made.append(list(prune_blocks(blocks, capture(blocks, IDS), rule, counts)))
    kinds = {parameter.dtype for parameter in half.model.parameters()}
    assert kinds == {torch.float16, torch.float32} if published else kinds == {torch.float16}
    for one, other in zip(*made, strict=True):
        for name in ("keep", "weight", "dense_norm", "sparse_norm"):
            assert torch.equal(getattr(one, name), getattr(other, name)), (one.slot.name, name)
    quality = [model.model(IDS, use_cache=False).logits for model in (wide, half)]
    assert torch.equal(*quality)


def test_a_block_that_fails_gets_its_own_weights_back(tmp_path: Path) -> None:
    _, half, _ = both(saved("llama", tmp_path), torch.bfloat16)
    with pytest.raises(IndexError):
        half.model(torch.full((1, 3), VOCABULARY + 5))
    with pytest.raises((RuntimeError, TypeError)):
        half.model.model.layers[0](torch.zeros(1, 3, 5), position_embeddings=None)
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(("kept", "found"), [(False, "bfloat16"), (True, None)])
def test_only_a_checkpoint_of_one_half_precision_is_held_so(kept: bool, found: str | None, tmp_path: Path) -> None:
    model = build("llama").to(torch.bfloat16)
    if kept:
        model.model.norm.float()
    model.save_pretrained(tmp_path)
    with open_tensors(tmp_path) as tensors:
        assert own_dtype(tensors) == found
