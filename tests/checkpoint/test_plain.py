"""The usual language models as they are read without transformers, against what transformers builds."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from kencore.checkpoint import skeleton
from kencore.checkpoint.plain import family_of
from kencore.errors import ConfigError
from tests.support.tiny_models import build, save_pair

PLAIN = ("llama", "mistral", "qwen2", "qwen3")
COMPARED = [field.name for field in fields(skeleton.Skeleton) if not field.name.startswith("_")]


def config_of(kind: str, folder: Path, **changed: Any) -> dict[str, Any]:
    build(kind).config.save_pretrained(folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    own = {"architectures": [type(build(kind)).__name__]}
    config = {name: value for name, value in (config | own | changed).items() if value != "gone"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return config


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"tie_word_embeddings": True},
        {"tie_word_embeddings": "gone", "head_dim": 16},
        {"attention_bias": True, "mlp_bias": True},
        {"num_key_value_heads": 4, "hidden_size": 64},
    ],
)
def test_both_readings_are_one(kind: str, changed: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(kind, tmp_path, **changed)
    assert family_of(config) is not None
    found, wanted = skeleton.read_skeleton(tmp_path), skeleton._build(tmp_path, config)
    for name in COMPARED:
        assert getattr(found, name) == getattr(wanted, name), name
    assert list(found.shapes) == list(wanted.shapes)
    for name in (*wanted.shapes, "layers.0.mlp.up_proj.weight", "model.layers.0.LayerNorm.gamma", "nothing"):
        assert found.rename(name) == wanted.rename(name)


@pytest.mark.parametrize(
    "changed",
    [
        {"quantization_config": {"quant_method": "gptq"}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
        {"num_attention_heads": 3},
        {"hidden_size": "gone"},
        {"hidden_size": -32},
        {"vocab_size": 3.5},
        {"auto_map": {"AutoModel": "own.Model"}},
        {"architectures": ["LlamaForSequenceClassification"]},
        {"architectures": []},
        {"model_type": "mistral"},
        {"attn_implementation": "somebody/kernel"},
    ],
)
def test_what_is_not_plain_is_left_to_transformers(changed: dict[str, Any], tmp_path: Path) -> None:
    assert family_of(config_of("llama", tmp_path, **changed)) is None


def test_a_config_that_cannot_be_is_refused_as_before(tmp_path: Path) -> None:
    config_of("llama", tmp_path, hidden_act="no such function")
    with pytest.raises(ConfigError):
        skeleton.read_skeleton(tmp_path)


def test_a_usual_model_is_inspected_without_torch(tmp_path: Path) -> None:
    _, tuned = save_pair("llama", tmp_path)
    script = (
        "import sys; from kencore.models.inspect import inspect; found = inspect(sys.argv[1]);"
        "print(found['positions'], sorted({'torch', 'transformers', 'numba'} & sys.modules.keys()))"
    )
    told = subprocess.run([sys.executable, "-c", script, str(tuned)], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["24", "[]"]
