"""Fetching from the hub: the real huggingface_hub, with its network answered from memory."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from kencore.checkpoint.source import resolve
from kencore.checkpoint.tensors import open_tensors
from kencore.errors import (
    AccessError,
    ConfigError,
    JobCancelled,
    KencoreError,
    NoNetworkError,
    NoSafetensorsError,
    SourceNotFoundError,
    StoreNotWritableError,
    UnsafeIndexError,
)
from tests.checkpoint.files import small, write_index
from tests.checkpoint.hub_server import NO_NETWORK, OFFLINE, SHA, Server

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A hub with one sharded model and much that nobody needs, and an empty cache."""
    made = tmp_path / "made"
    made.mkdir()
    write_index(made, {"a": ONE, "b": TWO})
    wanted = {
        ONE: small(made / ONE, "a").read_bytes(),
        TWO: small(made / TWO, "b").read_bytes(),
        "model.safetensors.index.json": (made / "model.safetensors.index.json").read_bytes(),
        "config.json": b'{"model_type": "bert"}',
        "tokenizer.json": b"{}",
        "spiece.model": b"x",
    }
    unwanted = dict.fromkeys(
        [
            "pytorch_model.bin",
            "modeling_custom.py",
            "consolidated.safetensors",
            "model.fp16.safetensors",
            "onnx/model.safetensors",
            "original/tokenizer.model",
            "README.md",
        ],
        b"no",
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # huggingface_hub's between retries
    monkeypatch.chdir(tmp_path)
    hub = Server(wanted | unwanted)
    before = huggingface_hub.utils._http._GLOBAL_CLIENT_FACTORY
    huggingface_hub.set_client_factory(hub.client)
    yield hub
    huggingface_hub.set_client_factory(before)


def test_fetches_weights_config_and_tokenizer_and_nothing_else(server: Server) -> None:
    source = resolve("org/name")
    assert (source.kind, source.revision) == ("hub", SHA)
    expected = {ONE, TWO, "model.safetensors.index.json", "config.json", "tokenizer.json", "spiece.model"}
    assert set(server.fetched) == expected
    assert {path.name for path in source.folder.rglob("*") if path.is_file()} == expected


def test_modules_around_a_model_come_with_it_and_other_folders_do_not(server: Server) -> None:
    paths = ("", "1_Pooling", "2_Dense", "../evil", "onnx/../..")
    belongs = {"1_Pooling/config.json": b"{}", "2_Dense/config.json": b"{}", "2_Dense/model.safetensors": b"x"}
    stays = dict.fromkeys(["2_Dense/pytorch_model.bin", "2_Dense/run.py", "3_Other/config.json"], b"no")
    modules = {"modules.json": json.dumps([{"path": path} for path in paths]).encode()}
    server.files |= modules | belongs | stays | {"chat_template.jinja": b"x"}
    folder = resolve("org/name").folder
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"modules.json", "chat_template.jinja", *belongs} <= found
    assert found.isdisjoint(stays)
    assert not any(name.startswith("onnx") for name in found)
    before = list(server.fetched)
    resolve("org/name")
    assert server.fetched == before


def test_the_snapshot_is_a_folder_of_links_and_opens(server: Server) -> None:
    folder = resolve("org/name").folder
    assert (folder / ONE).is_symlink()
    with open_tensors(folder) as tensors:
        assert tensors.names == ("a", "b")
        assert tensors.floats("b").tolist() == [0, 0]


def test_a_single_file_without_an_index(server: Server) -> None:
    del server.files["model.safetensors.index.json"]
    server.files["model.safetensors"] = server.files[ONE]
    assert open_tensors(resolve("org/name").folder).names == ("a",)


def test_a_single_file_beside_an_index_is_what_is_read(server: Server) -> None:
    server.files["model.safetensors"] = server.files[ONE]
    folder = resolve("org/name").folder
    with open_tensors(folder) as tensors:
        assert tensors.shards == ("model.safetensors",)
        assert tensors.names == ("a",)
    assert not {ONE, TWO} & set(server.fetched)


def test_a_file_that_is_not_there_is_no_matter_of_the_network(server: Server) -> None:
    server.down = NO_NETWORK
    for text in ("model.safetensors", "some/pytorch_model.bin", "config.json"):
        with pytest.raises(SourceNotFoundError, match="no such folder") as told:
            resolve(text)
        assert "network" not in str(told.value)


def test_a_revision_is_pinned_to_its_commit(server: Server) -> None:
    assert resolve("org/name", revision=SHA).revision == SHA
    with pytest.raises(SourceNotFoundError, match="no revision 'nope'"):
        resolve("org/name", revision="nope")


def test_progress_tells_bytes(server: Server) -> None:
    seen: list[tuple[float, float, str]] = []
    resolve("org/name", progress=lambda done, total, text: seen.append((done, total, text)))
    weights = len(server.files[ONE]) + len(server.files[TWO])
    assert max(done for done, _, _ in seen) == weights
    assert all(0 <= done <= total for done, total, _ in seen)
    assert {text for _, _, text in seen} == {"Downloading org/name"}


def test_progress_can_cancel(server: Server) -> None:
    def cancel(done: float, total: float, message: str) -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled):
        resolve("org/name", progress=cancel)


def test_once_fetched_it_opens_without_a_network(server: Server) -> None:
    folder = resolve("org/name").folder
    server.down = NO_NETWORK
    server.fetched.clear()
    assert resolve("org/name").folder == folder
    assert server.fetched == []


def test_no_network_and_nothing_in_the_cache(server: Server) -> None:
    server.down = NO_NETWORK
    with pytest.raises(NoNetworkError, match="Temporary failure in name resolution") as caught:
        resolve("org/name")
    assert caught.value.subject == "org/name"


def test_offline_mode_and_nothing_in_the_cache(server: Server) -> None:
    server.down = OFFLINE
    with pytest.raises(NoNetworkError, match="HF_HUB_OFFLINE is set"):
        resolve("org/name")


def test_no_network_and_half_of_it_in_the_cache(server: Server) -> None:
    folder = resolve("org/name").folder
    (folder / TWO).unlink()
    server.down = NO_NETWORK
    with pytest.raises(NoNetworkError, match="all of its files in the local cache"):
        resolve("org/name")


def test_no_network_and_a_cache_without_weights(server: Server, tmp_path: Path) -> None:
    repo = tmp_path / "cache" / "models--org--name"
    (repo / "snapshots" / SHA).mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(SHA)
    server.down = NO_NETWORK
    with pytest.raises(NoNetworkError, match="its weights are not in the local cache"):
        resolve("org/name")


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        ((404, "RepoNotFound"), SourceNotFoundError, "neither a folder here nor a repository"),
        ((401, "RepoNotFound"), SourceNotFoundError, "neither a folder here nor a repository"),
        ((403, "GatedRepo"), AccessError, "may not read"),
        ((401, "GatedRepo"), AccessError, "may not read"),
        ((403, ""), AccessError, "may not read"),
        ((503, ""), NoNetworkError, "503"),
    ],
)
def test_refusals_of_the_hub(server: Server, refusal: tuple[int, str], kind: type[KencoreError], said: str) -> None:
    server.refusal = refusal
    with pytest.raises(kind, match=said) as caught:
        resolve("org/name")
    assert type(caught.value) is kind


def test_another_repository(server: Server) -> None:
    with pytest.raises(SourceNotFoundError, match="this account can see"):
        resolve("org/other")


@pytest.mark.parametrize("text", ["a b", "org/na:me", "-x", "org/name--x", "ä/ö"])
def test_no_hub_id_at_all(server: Server, text: str) -> None:
    with pytest.raises(SourceNotFoundError, match="neither a folder nor a hub id"):
        resolve(text)


def test_a_repository_of_pickles_is_named(server: Server) -> None:
    server.files = {"config.json": b"{}", "pytorch_model.bin": b"x", "README.md": b"x"}
    with pytest.raises(NoSafetensorsError, match=r"only pickle weights \(pytorch_model.bin\)"):
        resolve("org/name")
    assert server.fetched == ["config.json"]


def test_a_repository_of_an_adapter(server: Server) -> None:
    server.files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}
    with pytest.raises(NoSafetensorsError, match="LoRA adapter"):
        resolve("org/name")
    assert server.fetched == ["adapter_config.json"]


def test_a_repository_without_config(server: Server) -> None:
    del server.files["config.json"]
    with pytest.raises(ConfigError, match=r"no config\.json"):
        resolve("org/name")


def test_an_index_that_points_outside_is_refused_before_the_weights(server: Server) -> None:
    server.files["model.safetensors.index.json"] = b'{"weight_map": {"a": "../../x"}}'
    with pytest.raises(UnsafeIndexError):
        resolve("org/name")
    assert ONE not in server.fetched


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), OSError(errno.ENOSPC, "No space left")])
def test_a_cache_that_cannot_be_written(server: Server, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub._snapshot_download, "hf_hub_download", fail)
    with pytest.raises(StoreNotWritableError, match="local cache"):
        resolve("org/name")


def test_a_process_that_stays_offline_takes_what_is_there_and_asks_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kencore.checkpoint import hub

    monkeypatch.setattr(hub, "_offline", False)
    hub.stay_offline()
    asked: list[object] = []
    answer = server._answer
    monkeypatch.setattr(server, "_answer", lambda request: (asked.append(request), answer(request))[1])
    with pytest.raises(NoNetworkError, match="a job fetches it"):
        resolve("org/name")
    with pytest.raises(NoNetworkError, match="a job fetches it"):
        resolve("org/name", revision=SHA)
    assert asked == []
    monkeypatch.setattr(hub, "_offline", False)
    there = resolve("org/name")
    hub.stay_offline()
    asked.clear()
    assert resolve("org/name", revision=there.revision).folder == there.folder
    assert asked == []
