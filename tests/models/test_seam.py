"""What others' code raises while a model is loaded or run is told as one of our errors."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from kencore.data.examples import Examples
from kencore.errors import (
    AdapterFolderError,
    ConfigError,
    CorruptShardError,
    JobCancelled,
    KencoreError,
    MissingExtraError,
    ModelRunError,
    NotEnoughMemoryError,
    OwnCodeError,
    ShapeError,
    TokenTableError,
)
from kencore.models.classifier import Classifier
from kencore.models.loading import load_tokenizer
from kencore.models.seam import forward, loading, running


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (SafetensorError("header too large"), CorruptShardError),
        (ValueError("set `trust_remote_code=True` to allow custom code to be run"), OwnCodeError),
        (ImportError("BigBirdTokenizer requires the sentencepiece library"), MissingExtraError),
        (torch.OutOfMemoryError("CUDA out of memory"), NotEnoughMemoryError),
        (MemoryError(), NotEnoughMemoryError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), NotEnoughMemoryError),
        (KeyError("layer_types"), ConfigError),
        (TypeError("unsupported operand"), ConfigError),
        (AttributeError("'NoneType' object has no attribute 'endswith'"), ConfigError),
        (RecursionError("maximum recursion depth exceeded"), ConfigError),
        (ZeroDivisionError("division by zero"), ConfigError),
        (Exception("data did not match any variant of untagged enum ModelWrapper"), ConfigError),
    ],
)
def test_loading(raised: Exception, told: type[KencoreError], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="kencore")
    with pytest.raises(told) as caught, loading(tmp_path):
        raise raised
    assert type(caught.value) is told
    assert caught.value.__cause__ is raised
    assert caught.value.subject == f"Model {tmp_path}"
    assert caught.value.remedy
    assert "Traceback" in caplog.text


def test_a_folder_is_no_matter_of_the_network(tmp_path: Path) -> None:
    text = "We couldn't connect to 'https://huggingface.co' to load the files"
    with pytest.raises(ConfigError) as caught, loading(tmp_path):
        raise OSError(text)
    assert "missing" in str(caught.value)
    assert "connect" not in str(caught.value)
    assert "guess" in caught.value.remedy


@pytest.mark.parametrize("mine", [ShapeError("x", got="a", wanted="b", remedy="c"), JobCancelled()])
def test_our_own_errors_pass(mine: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(mine)) as caught, loading(tmp_path):
        raise mine
    assert caught.value is mine
    with pytest.raises(type(mine)) as caught, running(torch.nn.Linear(1, 1)):
        raise mine
    assert caught.value is mine


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (IndexError("index out of range in self"), "A guess"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x4 and 5x3)"), "A guess"),
        (RuntimeError("The size of tensor a (12) must match the size of tensor b (8)"), "A guess"),
        (TypeError("forward() got an unexpected keyword argument 'token_type_ids'"), "not known"),
        (AssertionError(), "not known"),
    ],
)
def test_running(raised: Exception, words: str) -> None:
    with pytest.raises(ModelRunError) as caught, running(torch.nn.Linear(1, 1)):
        raise raised
    assert caught.value.__cause__ is raised
    assert words in caught.value.remedy
    assert type(raised).__name__ in caught.value.got


def test_a_real_pass_that_fails() -> None:
    with pytest.raises(ModelRunError, match="index out of range"):
        forward(torch.nn.Embedding(3, 2), torch.tensor([7]))


def test_a_tokenizer_of_a_larger_vocabulary(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    model = Classifier.load(folder)
    model.model.get_input_embeddings().num_embeddings = 5
    model.model.get_input_embeddings().weight = torch.nn.Parameter(torch.zeros(5, 16))
    with pytest.raises(TokenTableError, match="wanted numbers 0 to 4"):
        model.predict(Examples(texts=("a film",), labels=(0,)))


@pytest.mark.parametrize("content", ["{}", "[]", '{"model": 3}', "\x00", ""])
def test_a_tokenizer_file_that_is_none(content: str, make_model: Callable[..., Path]) -> None:
    folder = make_model()
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(KencoreError) as caught:
        load_tokenizer(folder)
    assert str(folder) in str(caught.value)


def test_an_adapter_beside_a_model(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(AdapterFolderError, match="adapter beside it") as caught:
        Classifier.load(folder)
    assert "Merge" in caught.value.remedy


def _passes(text: str) -> list[int]:
    """Lines where a model is called past the seam: ``model(...)`` or ``x.model(...)``."""
    tree = ast.parse(text)
    inside = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.With) and any("running(" in ast.unparse(item.context_expr) for item in block.items)
        for node in ast.walk(block)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node not in inside]
    names = {node: getattr(node.func, "attr", getattr(node.func, "id", "")) for node in calls}
    return [node.lineno for node, name in names.items() if name == "model"]


def test_no_model_is_called_past_the_seam() -> None:
    root = Path(__file__).parents[2] / "kencore"
    found = {path: _passes(path.read_text("utf-8")) for path in root.rglob("*.py") if path.name != "seam.py"}
    assert {str(path): lines for path, lines in found.items() if lines} == {}
    assert _passes("logits = self.model.model(ids).logits") == [1]
    assert _passes("with running(model):\n    model(ids)") == []
