"""Which files hold the weights: preference, indexes that lie, links that lead away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kencore.checkpoint.shards import find_shards
from kencore.checkpoint.tensors import open_tensors
from kencore.errors import CorruptShardError, MissingShardError, NoSafetensorsError, UnsafeIndexError
from tests.checkpoint.files import small, write_index

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_the_single_file_comes_first(tmp_path: Path) -> None:
    small(tmp_path / "model.safetensors", "whole")
    small(tmp_path / ONE, "a")
    write_index(tmp_path, {"a": ONE})
    assert open_tensors(tmp_path).names == ("whole",)


def test_the_index_comes_before_other_shards(tmp_path: Path) -> None:
    small(tmp_path / "part.safetensors", "a")
    small(tmp_path / ONE, "b")
    small(tmp_path / TWO, "c")
    write_index(tmp_path, {"a": "part.safetensors"})
    assert open_tensors(tmp_path).names == ("a",)


def test_shards_without_an_index(tmp_path: Path) -> None:
    small(tmp_path / ONE, "a")
    small(tmp_path / TWO, "b")
    assert open_tensors(tmp_path).names == ("a", "b")


def test_a_gap_in_the_numbering(tmp_path: Path) -> None:
    small(tmp_path / TWO, "b")
    with pytest.raises(MissingShardError, match=r"1 of 2 shards missing \(model-00001-of-00002"):
        find_shards(tmp_path)


def test_a_shard_that_the_index_names_is_missing(tmp_path: Path) -> None:
    small(tmp_path / ONE, "a")
    write_index(tmp_path, {"a": ONE, "b": TWO, "c": "model-x.safetensors"})
    with pytest.raises(MissingShardError, match="2 of 3 shards missing") as caught:
        find_shards(tmp_path)
    assert TWO in str(caught.value)


def test_a_name_that_no_file_can_have_is_a_missing_shard(tmp_path: Path) -> None:
    small(tmp_path / ONE, "a")
    write_index(tmp_path, {"a": ONE, "b": "b" * 300})
    with pytest.raises(MissingShardError, match="1 of 2 shards missing"):
        find_shards(tmp_path)


def test_the_index_names_a_tensor_that_is_not_in_its_shard(tmp_path: Path) -> None:
    small(tmp_path / ONE, "a")
    small(tmp_path / TWO, "b")
    write_index(tmp_path, {"a": ONE, "b": ONE})
    with pytest.raises(CorruptShardError, match="tensor 'b' missing from model-00001"):
        open_tensors(tmp_path)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_tensor_in_two_shards(tmp_path: Path, indexed: bool) -> None:
    small(tmp_path / ONE, "a", "both")
    small(tmp_path / TWO, "b", "both")
    if indexed:
        write_index(tmp_path, {"a": ONE, "b": TWO, "both": TWO})
    with pytest.raises(CorruptShardError, match=f"'both' in both {ONE} and {TWO}"):
        open_tensors(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",
        "sub/../../outside.safetensors",
        "..\\outside.safetensors",
        "/etc/outside.safetensors",
        "C:\\outside.safetensors",
        "\\\\host\\share\\outside.safetensors",
        "a\0b.safetensors",
    ],
)
def test_an_index_that_points_outside(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    small(tmp_path / "outside.safetensors", "a")
    write_index(folder, {"a": name})
    with pytest.raises(UnsafeIndexError, match="outside the model's folder"):
        open_tensors(folder)


def test_a_link_that_leads_outside(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    small(tmp_path / "outside.safetensors", "a")
    (folder / ONE).symlink_to(tmp_path / "outside.safetensors")
    write_index(folder, {"a": ONE})
    with pytest.raises(UnsafeIndexError, match=ONE):
        open_tensors(folder)


def test_a_linked_folder_that_leads_outside(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    small(tmp_path / "elsewhere" / "x.safetensors", "a")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "sub").symlink_to(tmp_path / "elsewhere")
    write_index(folder, {"a": "sub/x.safetensors"})
    with pytest.raises(UnsafeIndexError):
        open_tensors(folder)


def test_links_of_the_hub_cache_are_followed(tmp_path: Path) -> None:
    folder = hub_cache(tmp_path, {ONE: "a", TWO: "b"})
    write_index(folder, {"a": ONE, "b": TWO})
    assert open_tensors(folder).names == ("a", "b")


def test_links_of_the_hub_cache_through_a_link_to_the_cache(tmp_path: Path) -> None:
    folder = hub_cache(tmp_path / "disk", {ONE: "a"})
    write_index(folder, {"a": ONE})
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    seen = tmp_path / "home" / folder.relative_to(tmp_path / "disk")
    assert open_tensors(seen).names == ("a",)


def test_links_from_a_snapshot_to_another_repository(tmp_path: Path) -> None:
    folder = hub_cache(tmp_path, {ONE: "a"})
    other = tmp_path / "models--other--one" / "blobs"
    other.mkdir(parents=True)
    small(other / "x", "b")
    (folder / TWO).symlink_to(other / "x")
    write_index(folder, {"a": ONE, "b": TWO})
    with pytest.raises(UnsafeIndexError, match=TWO):
        open_tensors(folder)


def hub_cache(root: Path, files: dict[str, str]) -> Path:
    """A snapshot as huggingface_hub lays it out: links to ``../../blobs/<hash>``."""
    repo = root / "models--org--name"
    folder = repo / "snapshots" / ("c" * 40)
    folder.mkdir(parents=True)
    (repo / "blobs").mkdir()
    for number, (name, tensor) in enumerate(files.items()):
        small(repo / "blobs" / f"{number:064x}", tensor)
        (folder / name).symlink_to(Path("..", "..", "blobs", f"{number:064x}"))
    return folder


@pytest.mark.parametrize("index", [[], {}, {"a": 1}, {"a": ""}, "text", None])
def test_an_index_without_a_usable_weight_map(tmp_path: Path, index: Any) -> None:
    write_index(tmp_path, index)
    with pytest.raises(CorruptShardError, match="no usable weight_map"):
        find_shards(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xff", b"[]", b"{}"])
def test_an_index_that_is_not_one(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(text)
    with pytest.raises(CorruptShardError, match="no usable weight_map"):
        find_shards(tmp_path)


@pytest.mark.parametrize(
    ("files", "said", "remedy"),
    [
        (["pytorch_model.bin", "config.json"], "only pickle weights (pytorch_model.bin)", "Convert"),
        (["tf_model.h5", "model.ckpt"], "model.ckpt, tf_model.h5", "Convert"),
        (["adapter_model.safetensors", "adapter_config.json"], "a LoRA adapter", "Merge"),
        (["adapter_config.json"], "a LoRA adapter", "Merge"),
        (["consolidated.safetensors"], "under other names (consolidated.safetensors)", "Rename"),
        (["training_args.bin", "notes.txt"], "no weights at all", "save_pretrained"),
        ([], "no weights at all;", "save_pretrained"),
    ],
)
def test_no_weights_to_open(tmp_path: Path, files: list[str], said: str, remedy: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(NoSafetensorsError) as caught:
        open_tensors(tmp_path)
    assert said in str(caught.value)
    assert remedy in caught.value.remedy
