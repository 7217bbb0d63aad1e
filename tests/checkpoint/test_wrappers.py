"""Names that a wrapper put words into are read as the model's own, and others are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore.checkpoint.layout import open_model, read_layout
from kencore.checkpoint.pair import open_pair
from kencore.checkpoint.source import resolve
from kencore.checkpoint.tensors import open_fitting, open_tensors
from kencore.checkpoint.wrappers import prefix_of, spare_prefix, unwrapped
from kencore.errors import ConfigError, CorruptShardError
from kencore.models.loading import load_fields
from tests.support.tiny_models import build
from tests.support.tiny_text import add_tokenizer

Rename = Callable[[str], str]


def _inside(word: str) -> Rename:
    """A wrapper around every block."""

    def rename(name: str) -> str:
        words = name.split(".")
        return ".".join([*words[:3], word, *words[3:]]) if words[1:2] == ["layers"] else name

    return rename


WRAPPED: dict[str, Rename] = {
    "_orig_mod": lambda name: f"_orig_mod.{name}",
    "module": lambda name: f"module.{name}",
    "module._orig_mod": lambda name: f"module._orig_mod.{name}",
    "_orig_mod.module.module": lambda name: f"_orig_mod.module.module.{name}",
    "base_model.model": lambda name: f"base_model.model.{name}",
    "every block": _inside("_orig_mod"),
    "FSDP": _inside("_fsdp_wrapped_module"),
    "checkpointing": _inside("_checkpoint_wrapped_module"),
    "Lightning": lambda name: f"model.{name}",
    "language_model": lambda name: f"language_model.{name}",
    "two words": lambda name: f"student.net.{name}",
    "transformer": lambda name: f"transformer.{name}",
}
NOT_SAID = ("Lightning",)  # transformers itself sees through it


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    build("llama").save_pretrained(folder)
    return add_tokenizer(folder)


def _renamed(plain: Path, folder: Path, rename: Rename, **config: object) -> Path:
    shutil.copytree(plain, folder)
    tensors = {rename(name): value for name, value in load_file(plain / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    told = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_wrapper_is_seen_through(kind: str, plain: Path, tmp_path: Path) -> None:
    folder = _renamed(plain, tmp_path / "m", WRAPPED[kind])
    ours, own = read_layout(folder), read_layout(plain)
    assert [(p.model_name, p.role, p.block, p.prunable) for p in ours.parameters] == [
        (p.model_name, p.role, p.block, p.prunable) for p in own.parameters
    ]
    if kind not in NOT_SAID:
        assert [p.name for p in ours.parameters] == [p.name for p in own.parameters]
        assert "without it" in ours.notes[0]


@pytest.mark.parametrize("kind", ["module._orig_mod", "every block", "language_model"])
def test_what_is_loaded_is_what_is_read(kind: str, plain: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = _renamed(plain, tmp_path / "m", WRAPPED[kind])
    fields, missing = load_fields(AutoModelForCausalLM, folder, device="cpu", dtype=torch.float32)
    wanted = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32).state_dict()
    found = fields["model"].state_dict()
    assert not missing
    assert not fields["ignored"]
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_prefix_on_the_base_alone_and_on_the_tuned_alone(plain: Path, tmp_path: Path) -> None:
    wrapped = _renamed(plain, tmp_path / "m", WRAPPED["two words"])
    for tuned, base in ((plain, wrapped), (wrapped, plain), (wrapped, wrapped)):
        pair = open_pair(resolve(str(tuned)), resolve(str(base)))
        assert all(name == other for name, other in pair.base_names.items())
        assert any("same, bit for bit" in note for note in pair.notes)
        pair.close()


def test_names_that_are_known_from_before_are_found_again(plain: Path, tmp_path: Path) -> None:
    folder = _renamed(plain, tmp_path / "m", WRAPPED["two words"])
    tensors, layout = open_model(folder)
    tensors.close()
    with open_fitting(folder, [p.name for p in layout.parameters]) as again:
        assert again.names == tensors.names
    with open_tensors(folder) as raw:
        assert raw.names != tensors.names


def test_two_copies_are_not_guessed_at(plain: Path, tmp_path: Path) -> None:
    folder = _renamed(plain, tmp_path / "m", lambda name: name)
    tensors = load_file(folder / "model.safetensors")
    both = {f"{who}.{name}": value.clone() for who in ("student", "teacher") for name, value in tensors.items()}
    save_file(both | {name: v.clone() for name, v in tensors.items()}, folder / "model.safetensors")
    layout = read_layout(folder)  # the model's own names are there: the copies are left alone
    assert {p.reason for p in layout.parameters if p.name.startswith(("student", "teacher"))} == {
        "not used by LlamaForCausalLM"
    }
    assert not any(p.prunable for p in layout.parameters if p.name.startswith("teacher"))


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("layers", "lagen"),
        lambda name: name.replace("self_attn", "attention"),
        lambda name: f"x.{len(name)}.{name}",
    ],
)
def test_names_of_no_model_are_refused(rename: Rename, plain: Path, tmp_path: Path) -> None:
    folder = _renamed(plain, tmp_path / "m", rename)
    with pytest.raises(ConfigError, match="no weights for") as told:
        read_layout(folder)
    assert "does not have" in str(told.value)


def test_fewer_blocks_than_the_config_says_are_refused(plain: Path, tmp_path: Path) -> None:
    folder = _renamed(plain, tmp_path / "m", lambda name: name, num_hidden_layers=3)
    with pytest.raises(ConfigError, match=r"model\.layers\.2"):
        read_layout(folder)


@pytest.mark.parametrize("name", ["lora_A.weight", "lora_B.default.weight", "lora_magnitude_vector.default.weight"])
def test_an_adapter_inside_the_weights_is_refused(name: str, plain: Path, tmp_path: Path) -> None:
    folder = _renamed(plain, tmp_path / "m", lambda old: f"base_model.model.{old}")
    tensors = load_file(folder / "model.safetensors")
    tensors[f"base_model.model.model.layers.0.self_attn.q_proj.{name}"] = torch.zeros(4, 32)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CorruptShardError, match="not merged"):
        read_layout(folder)


def test_two_names_that_would_be_one_are_refused(plain: Path, tmp_path: Path) -> None:
    folder = _renamed(plain, tmp_path / "m", lambda name: name)
    tensors = load_file(folder / "model.safetensors")
    tensors["_orig_mod.lm_head.weight"] = tensors["lm_head.weight"] + 1
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CorruptShardError, match="are one without"):
        read_layout(folder)


def test_words_alone() -> None:
    names, said = unwrapped("here", ["module.a.weight", "module.module.b"])
    assert names == {"module.a.weight": "a.weight", "module.module.b": "module.b"}
    assert "DataParallel" in said[0]
    assert unwrapped("here", ["module.a", "b"])[0] == {"module.a": "module.a", "b": "b"}
    assert spare_prefix(["x.y.a", "x.y.b"], {"a": "a", "b": "b"}.get) == "x.y"
    assert spare_prefix(["x.a", "a"], {"a": "a"}.get) == ""
    assert spare_prefix(["a", "b"], {"a": "a", "b": "b"}.get) == ""
    assert prefix_of(["x.y.a", "x.y.b"], ["a", "b"]) == "x.y"
    assert prefix_of(["a", "b"], ["a"]) == ""
    assert prefix_of(["a"], ["z"]) == ""
