"""A LoRA adapter as a tuned model, against W + scale B A written out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, prune
from kencore.checkpoint.source import resolve
from kencore.errors import AdapterFolderError
from tests.support.tiny_models import save_pair

QUERY, DOWN = "encoder.layer.0.attention.self.query", "encoder.layer.1.output.dense"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))


def adapter(folder: Path, base: Path, name: str = "bert.", **config: Any) -> dict[str, torch.Tensor]:
    """Write an adapter of two matrices and a new head; its tensors."""
    weights = load_file(base / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    found = {}
    for module in (QUERY, DOWN):
        rows, cols = weights[next(one for one in weights if one.endswith(f"{module}.weight"))].shape
        found[f"base_model.model.{name}{module}.lora_A.weight"] = torch.randn(4, cols, generator=generator)
        found[f"base_model.model.{name}{module}.lora_B.weight"] = torch.randn(rows, 4, generator=generator)
    folder.mkdir()
    save_file(found, folder / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "base_model_name_or_path": str(base), "r": 4, "lora_alpha": 6} | config
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return found


@pytest.mark.parametrize(
    ("config", "scales"),
    [({}, (1.5, 1.5)), ({"use_rslora": True}, (3.0, 3.0)), ({"alpha_pattern": {"output.dense": 10}}, (1.5, 2.5))],
)
def test_it_is_merged_as_the_formula_says(config: dict[str, Any], scales: tuple[float, float], tmp_path: Path) -> None:
    base, _ = save_pair("bert", tmp_path)
    made = adapter(tmp_path / "lora", base, **config)
    source = resolve(str(tmp_path / "lora"))
    assert source.kind == "adapter"
    before, after = load_file(base / "model.safetensors"), load_file(source.folder / "model.safetensors")
    assert set(before) == set(after)
    changed = dict(zip((QUERY, DOWN), scales, strict=True))
    for name, weight in before.items():
        module = next((one for one in changed if name.endswith(f"{one}.weight")), None)
        if module is None:
            assert torch.equal(weight, after[name])
            continue
        a, b = (made[f"base_model.model.bert.{module}.lora_{side}.weight"] for side in "AB")
        expected = weight + np.float32(changed[module]) * (b @ a)
        assert torch.allclose(after[name], expected, rtol=1e-6, atol=1e-6)
    assert resolve(str(tmp_path / "lora")).folder == source.folder  # made once
    assert "LoRA adapter" in (source.folder / "README.md").read_text()


def test_a_run_of_it_says_so_and_stores_its_difference(tmp_path: Path) -> None:
    base, _ = save_pair("bert", tmp_path)
    adapter(tmp_path / "lora", base)
    spec = PruneSpec(model=str(tmp_path / "lora"), base=str(base), method="delta", keep=0.5)
    run = prune(spec, out=tmp_path / "run", threads=1)
    assert any("LoRA adapter" in note for note in run.notes)
    moved = run.matrices.set_index("name")["diff_rms"]
    assert set(moved[moved > 0].index) == {
        name for name in moved.index if name.endswith((f"{QUERY}.weight", f"{DOWN}.weight"))
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "IA3"}, "type IA3"),
        ({"base_model_name_or_path": None}, "names no base"),
        ({"base_model_name_or_path": "./no/such/folder"}, "cannot be opened"),
    ],
)
def test_what_is_more_than_that_is_refused(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    base, _ = save_pair("bert", tmp_path)
    adapter(tmp_path / "lora", base, **config)
    with pytest.raises(AdapterFolderError, match=message):
        resolve(str(tmp_path / "lora"))
    assert not list((tmp_path / "home").glob("models/adapter-*"))


def test_one_of_another_model_is_refused(tmp_path: Path) -> None:
    base, _ = save_pair("bert", tmp_path)
    adapter(tmp_path / "lora", base, name="roberta.other.")
    with pytest.raises(AdapterFolderError, match="not in the base"):
        resolve(str(tmp_path / "lora"))
