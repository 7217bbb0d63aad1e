"""Exports of a run: masks, and what is put on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
from safetensors.torch import load_file

from kencore import PruneSpec, Run, prune
from kencore.errors import CorruptSubnetworkError, KencoreError, NoNetworkError, RunExistsError, SpecError, UploadError
from kencore.exports.export import export, file_name
from kencore.exports.masks import export_mask, read_masks
from kencore.exports.upload import upload
from tests.support.runs import make_run
from tests.support.tiny_models import save_pair


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a model whose matrices are stored inputs x outputs."""
    folder = tmp_path_factory.mktemp("gpt2")
    base, tuned = save_pair("gpt2", folder)
    return prune(PruneSpec(model=str(tuned), base=str(base), keep=0.4), out=folder / "run")


@pytest.mark.parametrize("at_once", [1 << 23, 50])
def test_masks_choose_between_the_two_checkpoints(
    gpt2: Run, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kencore.exports.subnetwork import write as module

    monkeypatch.setattr(module, "ROWS_AT_ONCE", at_once)
    masks = load_file(export_mask(gpt2, tmp_path / "masks.safetensors"))
    assert set(masks) == {name for name in gpt2.tuned_tensors.names if gpt2.owner(name)}
    tuned, base = (load_file(Path(str(folder)) / "model.safetensors") for folder in (gpt2.spec.model, gpt2.spec.base))
    for name, tensor in gpt2.apply().items():
        assert masks[name].dtype == torch.bool
        assert torch.equal(torch.where(masks[name], tuned[name], base[name]), tensor)
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept == gpt2.totals["kept"]


def test_packed_masks_are_the_same_at_a_bit_an_entry(gpt2: Run, tmp_path: Path) -> None:
    plain, small = tmp_path / "plain", tmp_path / "small"
    export_mask(gpt2, plain)
    export_mask(gpt2, small, pack=True)
    wanted = {name: mask.numpy() for name, mask in load_file(plain).items()}
    for path in (plain, small):
        found = read_masks(path)
        assert found.keys() == wanted.keys()
        for name, mask in found.items():
            assert mask.dtype == np.bool_
            np.testing.assert_array_equal(mask, wanted[name])
    assert (
        small.stat().st_size < plain.stat().st_size / 3
    )  # names and shapes weigh more than bits in a model this small
    assert sum(bits.numel() for bits in load_file(small).values()) == sum(
        -(-mask.size // 8) for mask in wanted.values()
    )
    small.write_bytes(small.read_bytes()[:-1])
    for path in (small, tmp_path / "none", Path(str(gpt2.spec.model)) / "model.safetensors"):
        with pytest.raises(CorruptSubnetworkError, match="keep masks"):
            read_masks(path)


def test_masks_are_whole_or_absent(gpt2: Run, tmp_path: Path) -> None:
    def stop(done: float, total: float, message: str) -> None:
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_mask(gpt2, tmp_path / "masks.safetensors", stop)
    assert list(tmp_path.iterdir()) == []
    export_mask(gpt2, tmp_path / "masks.safetensors")
    with pytest.raises(RunExistsError):
        export_mask(gpt2, tmp_path / "masks.safetensors")


def test_every_form_says_what_it_wrote(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for form, zstd in (
        ("folder", False),
        ("subnetwork", True),
        ("masks", False),
        ("packed-masks", False),
        ("sparse-delta", False),
    ):
        path = tmp_path / file_name(run.id, form, zstd=zstd)
        facts = export(run.path, path, form, zstd=zstd)
        assert facts["folder" if form == "folder" else "file"] == str(path)
        files = [file for file in path.rglob("*") if file.is_file()] if form == "folder" else [path]
        assert facts["bytes"] == sum(file.stat().st_size for file in files)
    for form, zstd in (("pickle", False), ("masks", True), ("folder", True)):
        with pytest.raises(SpecError):
            export(run.path, tmp_path / "more", form, zstd=zstd)
    assert not (tmp_path / "more").exists()


class FakeHub:
    """Takes what `huggingface_hub.HfApi` takes, and notes it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error = error

    def create_repo(self, repo_id: str, **asked: Any) -> Any:
        self.calls.append(("create_repo", {"repo_id": repo_id, **asked}))
        if self.error is not None:
            raise self.error
        return huggingface_hub.RepoUrl(f"https://huggingface.co/someone/{repo_id}")

    def upload_folder(self, **asked: Any) -> None:
        self.calls.append(("upload_folder", asked))

    def upload_file(self, **asked: Any) -> None:
        self.calls.append(("upload_file", asked))


def test_a_folder_or_a_file_is_uploaded_to_a_private_repository(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    hub = FakeHub()
    assert upload(tmp_path / "model", "mine", api=hub) == "https://huggingface.co/someone/mine"
    upload(tmp_path / "file", "mine", private=False, api=hub)
    made = {"repo_id": "mine", "exist_ok": True}
    assert hub.calls == [
        ("create_repo", made | {"private": True}),
        ("upload_folder", {"repo_id": "someone/mine", "folder_path": str(tmp_path / "model")}),
        ("create_repo", made | {"private": False}),
        ("upload_file", {"repo_id": "someone/mine", "path_or_fileobj": str(tmp_path / "file"), "path_in_repo": "file"}),
    ]


def refusal(status: int) -> HfHubHTTPError:
    request = httpx2.Request("POST", "https://huggingface.co/api/repos/create")
    return HfHubHTTPError("no\nmore", response=httpx2.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (LocalTokenNotFoundError("no token"), UploadError, "hf auth login"),
        (refusal(401), UploadError, "hf auth login"),
        (refusal(403), UploadError, "may not write"),
        (refusal(500), UploadError, "the hub refused it (no)"),
        (OfflineModeIsEnabled("offline"), NoNetworkError, "offline"),
        (httpx2.ConnectError("no route"), NoNetworkError, "no route"),
    ],
)
def test_what_the_hub_says_is_told(error: Exception, kind: type[KencoreError], words: str, tmp_path: Path) -> None:
    with pytest.raises(kind) as caught:
        upload(tmp_path, "someone/model", api=FakeHub(error))
    assert words in str(caught.value)
    assert str(tmp_path) in caught.value.remedy  # what was written is not lost


def test_a_name_that_no_repository_can_have(tmp_path: Path) -> None:
    with pytest.raises(UploadError, match="not the name of a repository"):
        upload(tmp_path, "a/b/c d", api=huggingface_hub.HfApi(endpoint="http://127.0.0.1:9"))


def test_a_name_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UploadError, match="not the name of a repository"):
        export(make_run(tmp_path).path, tmp_path / "file", "subnetwork", push="a/b/c d")
    assert not (tmp_path / "file").exists()


def test_an_export_is_pushed_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    run = make_run(tmp_path)
    facts = export(run.path, tmp_path / "file", "subnetwork", push="model")
    assert facts["repository"] == "https://huggingface.co/someone/model"
    assert [name for name, _ in hub.calls] == ["create_repo", "upload_file"]
    export(run.path, tmp_path / "other", "subnetwork")
    assert len(hub.calls) == 2
    np.testing.assert_equal((tmp_path / "file").read_bytes(), (tmp_path / "other").read_bytes())
