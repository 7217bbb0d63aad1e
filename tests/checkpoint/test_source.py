"""Telling folders from hub ids, and the demo; every way a folder can be no model."""

from __future__ import annotations

from pathlib import Path

import pytest

from kencore.checkpoint.shards import SINGLE
from kencore.checkpoint.source import resolve
from kencore.errors import ConfigError, NoSafetensorsError, SourceNotFoundError, SpecError
from kencore.system.places import assets_folder
from tests.checkpoint.files import small, write_config


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``org/model`` in the current directory."""
    folder = tmp_path / "org" / "model"
    folder.mkdir(parents=True)
    small(folder / SINGLE, "a")
    write_config(folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, model: Path) -> list[str]:
    """Hub ids that were asked for; each is answered with the model's folder."""
    ids: list[str] = []

    def fetch(text: str, **_: object) -> Path:
        ids.append(text)
        return model

    monkeypatch.setattr("kencore.checkpoint.hub.fetch", fetch)
    return ids


@pytest.mark.parametrize("text", ["org/model", "./org/model", "org/../org/model", "{}", " {} ", "{}/"])
def test_folders(model: Path, asked: list[str], text: str) -> None:
    source = resolve(text.format(model))
    assert source.kind == "folder"
    assert source.folder.is_absolute()
    assert source.folder.samefile(model)
    assert source.text == text.format(model).strip()
    assert source.revision is None
    assert asked == []


def test_a_folder_in_the_home(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(model.parent))
    assert resolve("~/model").folder.samefile(model)


@pytest.mark.parametrize("text", ["gpt2", "org/other", "org.x/name-v1.0", "org/no/", " org/no// "])
def test_hub_ids(asked: list[str], model: Path, text: str) -> None:
    """A slash behind an id, as browsers copy it, is no part of it."""
    source = resolve(text)
    bare = text.strip(" /")
    assert asked == [bare]
    assert (source.kind, source.text, source.folder) == ("hub", bare, model)
    assert source.revision == model.name


@pytest.mark.parametrize("text", ["./no", "../no", "/no/such", "~/no-such-folder", "a/b/c", "C:\\models\\x", "no/"])
def test_what_looks_like_a_path_is_never_asked_of_the_hub(asked: list[str], text: str) -> None:
    with pytest.raises(SourceNotFoundError, match="no such folder"):
        resolve(text)
    assert asked == []


def test_a_file_is_refused_with_its_folder_as_remedy(model: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="a file") as caught:
        resolve(str(model / SINGLE))
    assert str(model) in caught.value.remedy


def test_a_revision_of_a_folder_is_refused(model: Path) -> None:
    with pytest.raises(SpecError, match="only hub models have revisions"):
        resolve(str(model), revision="main")


def test_a_name_with_a_revision_is_of_the_hub_even_beside_such_a_folder(asked: list[str]) -> None:
    assert resolve("org/model").kind == "folder"
    assert resolve("org/model", revision="abc").kind == "hub"
    assert asked == ["org/model"]


def test_weights_come_before_config_in_what_is_said(model: Path) -> None:
    (model / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config\.json"):
        resolve(str(model))
    (model / SINGLE).rename(model / "adapter_model.safetensors")
    with pytest.raises(NoSafetensorsError, match="LoRA adapter"):
        resolve(str(model))


def test_empty_text_names_no_model() -> None:
    with pytest.raises(SourceNotFoundError):
        resolve("  ")


def test_the_demo_of_another_assets_folder(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_ASSETS", str(model.parent))
    with pytest.raises(SourceNotFoundError, match="Reinstall"):
        resolve("demo")
    for half in ("tuned", "base"):
        folder = model.parent / "demo" / "encoder" / half
        folder.mkdir(parents=True)
        small(folder / SINGLE, half)
        write_config(folder)
    assert resolve("demo").folder == model.parent / "demo" / "encoder" / "tuned"
    assert resolve("demo-base").folder == model.parent / "demo" / "encoder" / "base"
    assert resolve("demo").kind == "demo"


def test_the_demo_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KENVIZ_ASSETS", raising=False)
    assert resolve("demo").folder == assets_folder() / "demo" / "encoder" / "tuned"
    assert (resolve("demo-base").folder / SINGLE).is_file()


@pytest.mark.parametrize("text", ["/" + "x" * 300, "~nobody-of-that-name/model"])
def test_paths_that_cannot_be(text: str) -> None:
    with pytest.raises(SourceNotFoundError, match="no such folder"):
        resolve(text)


def test_a_long_text_is_asked_of_the_hub(asked: list[str]) -> None:
    assert resolve("x" * 300).kind == "hub"
    assert asked == ["x" * 300]
