"""A model that is loaded without transformers' conversions is the one that transformers loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from kencore.checkpoint.layout import open_named
from kencore.checkpoint.skeleton import read_skeleton
from kencore.models.language import LanguageModel
from kencore.models.plain_loading import loads_plainly
from tests.support.classifiers import save_tokenizer
from tests.support.tiny_models import VOCABULARY, build

IDS = torch.randint(3, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(2))


def saved(kind: str, folder: Path) -> Path:
    build(kind).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def plainly(folder: Path) -> bool:
    skeleton = read_skeleton(folder)
    with open_named(folder, skeleton) as tensors:
        return loads_plainly(skeleton, tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
def test_the_model_that_transformers_loads(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    folder = saved(kind, tmp_path)
    assert plainly(folder)
    found, wanted = (
        LanguageModel.load(folder, dtype=dtype).model,
        AutoModelForCausalLM.from_pretrained(folder, dtype=dtype),
    )
    for kind_of in ("named_parameters", "named_buffers"):
        own, theirs = dict(getattr(found, kind_of)()), dict(getattr(wanted, kind_of)())
        assert own.keys() == theirs.keys()
        assert all(own[name].dtype == theirs[name].dtype and torch.equal(own[name], theirs[name]) for name in own)
    assert (found.training, found.dtype, type(found)) == (False, dtype, type(wanted))
    assert found.config._attn_implementation == wanted.config._attn_implementation
    with torch.no_grad():
        assert torch.equal(found(IDS).logits, wanted(IDS).logits)


def test_what_is_written_into_a_model_does_not_reach_the_file(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    before = (folder / "model.safetensors").read_bytes()
    model = LanguageModel.load(folder).model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert (folder / "model.safetensors").read_bytes() == before
    with torch.no_grad():
        assert LanguageModel.load(folder).model(IDS).logits.abs().sum() > 0


def test_other_names_are_left_to_transformers(tmp_path: Path) -> None:
    assert not plainly(saved("gpt2", tmp_path))
