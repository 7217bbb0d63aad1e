"""Which files of a folder are read, and that the loaded model is made of the very same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.shards import find_shards
from kencore.checkpoint.tensors import open_tensors
from kencore.errors import ConfigError, MissingShardError, NoSafetensorsError, UnsafeIndexError
from kencore.models.loading import load_fields
from tests.support.tiny_models import build
from tests.support.tiny_text import add_tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    build("llama").save_pretrained(folder)
    return add_tokenizer(folder)


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def _loaded(folder: Path) -> dict[str, torch.Tensor]:
    from transformers import AutoModelForCausalLM

    fields, missing = load_fields(AutoModelForCausalLM, folder, device="cpu", dtype=torch.float32)
    assert not missing
    state: dict[str, torch.Tensor] = fields["model"].state_dict()
    return state


def _same(folder: Path) -> None:
    """What is loaded is what is read."""
    state = _loaded(folder)
    with open_tensors(folder) as tensors:
        assert set(tensors.names) == set(state)
        assert all((tensors.floats(name) == state[name].numpy()).all() for name in tensors.names)


def _shards(folder: Path, change: float, dtype: torch.dtype) -> None:
    """A second, whole set of weights in two shards with an index."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, own in parts.items():
        save_file({name: (tensors[name] + change).to(dtype) for name in own}, folder / file)
    index = {name: file for file, own in parts.items() for name in own}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def test_two_whole_sets_of_different_dtypes(folder: Path) -> None:
    _shards(folder, 1.0, torch.bfloat16)
    (note,) = read_layout(folder).notes
    assert note.startswith("Weights are read from model.safetensors, as transformers chooses")
    assert "model-00001-of-00002.safetensors" in note
    assert {p.dtype for p in read_layout(folder).parameters} == {"F32"}
    _same(folder)


def test_a_stale_index_beside_a_single_file(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    (note,) = find_shards(folder).notes
    assert "model.safetensors.index.json" in note
    _same(folder)


def test_shards_that_no_index_names(folder: Path) -> None:
    _shards(folder, 0.0, torch.float16)
    (folder / "model.safetensors").rename(folder / "model-old.safetensors")
    (note,) = find_shards(folder).notes
    assert "not read: model-old.safetensors" in note
    _same(folder)


def test_an_index_that_names_a_missing_shard(folder: Path) -> None:
    _shards(folder, 0.0, torch.float32)
    (folder / "model.safetensors").unlink()
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(MissingShardError, match="model-00002-of-00002"):
        _loaded(folder)


def test_pickles_beside_are_told_and_not_read(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    (folder / "training_args.bin").write_bytes(b"no weights")
    (note,) = find_shards(folder).notes
    assert note.endswith("not read: pytorch_model.bin.")
    _same(folder)


@pytest.mark.parametrize("name", ["MODEL.SAFETENSORS", "Model.Safetensors", "weights.safetensors"])
def test_weights_under_another_name(name: str, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(NoSafetensorsError, match="other names") as told:
        find_shards(folder)
    assert name in str(told.value)


def test_the_file_that_the_config_names(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({name: value + 1 for name, value in tensors.items()}, folder / "other.safetensors")
    config = json.loads((folder / "config.json").read_text()) | {"transformers_weights": "other.safetensors"}
    (folder / "config.json").write_text(json.dumps(config))
    assert list(find_shards(folder).files) == ["other.safetensors"]
    assert torch.equal(_loaded(folder)["lm_head.weight"], tensors["lm_head.weight"] + 1)


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ("gone.safetensors", MissingShardError),
        ("../x.safetensors", UnsafeIndexError),
        ("a.index.json", UnsafeIndexError),
    ],
)
def test_a_config_that_names_no_file(named: str, error: type[Exception], folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "transformers_weights": named}))
    with pytest.raises(error):
        find_shards(folder)


def test_a_linked_file_is_the_file(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(tmp_path / "far.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "far.safetensors")
    _same(folder)


@pytest.mark.parametrize("named", [["MistralForCausalLM"], ["LlamaForCausalLM", "Other"]])
def test_an_architecture_of_another_type(named: list[str], folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"architectures": named}
    (folder / "config.json").write_text(json.dumps(config))
    layout = read_layout(folder)
    assert layout.architecture == "LlamaForCausalLM"
    assert ("read as LlamaForCausalLM" in " ".join(layout.notes)) == (named[0] == "MistralForCausalLM")
    _same(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architectures", -1),
        ("architectures", "LlamaForCausalLM"),
        ("id2label", 7),
        ("label2id", []),
        ("problem_type", 5),
    ],
)
def test_a_field_of_another_kind(field: str, value: object, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {field: value}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=field):
        read_layout(folder)
