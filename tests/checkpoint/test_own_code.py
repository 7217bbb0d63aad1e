"""No code of a checkpoint is run, and nobody is asked whether it may be."""

from __future__ import annotations

import ast
import builtins
import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kencore.checkpoint.layout import read_layout
from kencore.errors import ConfigError, KencoreError, OwnCodeError
from kencore.models.loading import load_config, load_fields, load_tokenizer
from tests.support.tiny_models import build
from tests.support.tiny_text import add_tokenizer

ROOT = Path(__file__).parents[2]
LOADERS = ("from_pretrained", "from_config")
NOT_LOADERS = ("save_pretrained",)


def _sources() -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = listed.split() or [str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py")]
    yield from (ROOT / name for name in names if name.split("/")[0] not in ("tests", ".venv"))


def _faults(text: str) -> list[int]:
    """Lines where a model, a config or a tokenizer is loaded without saying that its code is not run."""
    tree = ast.parse(text)
    said = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOADERS:
            values = {word.arg: word.value for word in node.keywords}
            value = values.get("trust_remote_code")
            if isinstance(value, ast.Constant) and value.value is False:
                said.add(node.func)
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in LOADERS]
    return [node.lineno for node in named if node not in said]


def test_every_loading_says_that_code_is_not_run() -> None:
    found = {path: _faults(path.read_text("utf-8")) for path in _sources()}
    assert len(found) > 100
    assert {str(path.relative_to(ROOT)): lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("AutoModel.from_pretrained(f)", [1]),
        ("AutoModel.from_pretrained(f, trust_remote_code=True)", [1]),
        ("AutoModel.from_pretrained(f, trust_remote_code=x)", [1]),
        ("load = AutoModel.from_pretrained\nload(f)", [1]),
        ("AutoModel.from_config(c)", [1]),
        ("AutoModel.from_pretrained(f, trust_remote_code=False)", []),
    ],
)
def test_the_scan_sees_what_it_is_for(text: str, lines: list[int]) -> None:
    assert _faults(text) == lines


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    build("llama").save_pretrained(folder)
    return add_tokenizer(folder)


@pytest.fixture
def hostile(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the model with code beside it that leaves a mark, and nobody to answer a question."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in plain.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    mark = tmp_path / "ran"
    (folder / "own.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "from transformers import LlamaConfig as C, LlamaForCausalLM as X, PreTrainedTokenizerFast as T\n"
    )

    def asked(*_: Any) -> str:
        raise AssertionError("transformers asked a question")

    monkeypatch.setattr(builtins, "input", asked)
    return folder


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _load(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    read_layout(folder)
    load_config(folder)
    load_tokenizer(folder)
    load_fields(AutoModelForCausalLM, folder, device="cpu", dtype=torch.float32)


def test_code_for_a_model_that_transformers_has_is_ignored(hostile: Path) -> None:
    _edit(hostile / "config.json", auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.X"})
    _load(hostile)
    assert not (hostile.parent / "ran").exists()


def test_a_model_of_its_own_type_is_refused(hostile: Path) -> None:
    _edit(hostile / "config.json", model_type="own", architectures=["Own"], auto_map={"AutoConfig": "own.C"})
    with pytest.raises(ConfigError, match="brings code") as told:
        _load(hostile)
    assert "not run" in str(told.value)
    assert not (hostile.parent / "ran").exists()


def test_a_tokenizer_of_its_own_is_refused(hostile: Path) -> None:
    _edit(hostile / "tokenizer_config.json", tokenizer_class="T", auto_map={"AutoTokenizer": ["own.T", "own.T"]})
    with pytest.raises(OwnCodeError, match="not run"):
        load_tokenizer(hostile)
    assert not (hostile.parent / "ran").exists()


def test_code_named_in_a_config_inside_the_config_is_ignored(hostile: Path) -> None:
    _edit(hostile / "config.json", text_config={"model_type": "llama", "auto_map": {"AutoConfig": "own.C"}})
    with contextlib.suppress(KencoreError):  # transformers may not like it: then it says so
        _load(hostile)
    assert not (hostile.parent / "ran").exists()


@pytest.mark.parametrize("inside", [False, True])
def test_compiled_code_on_the_hub_is_refused(hostile: Path, inside: bool) -> None:
    named = {"attn_implementation": "somebody/their-kernel"}
    _edit(hostile / "config.json", **({"text_config": named} if inside else named))
    with pytest.raises(OwnCodeError, match="somebody/their-kernel"):
        _load(hostile)
