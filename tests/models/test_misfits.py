"""Weights of other shapes than config.json says are told by name, before anything is pruned or measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, SweepSpec, prune
from kencore.errors import WeightShapeError
from kencore.quality.judge import judge
from kencore.sweeps.sweep import sweep
from tests.support.classifiers import make_model, save_tokenizer
from tests.support.tiny_models import build

__all__ = ["make_model"]  # a fixture


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def grown(folder: Path) -> tuple[Path, str]:
    """A vocabulary that grew, and a config that does not know."""
    model = build("llama")
    model.resize_token_embeddings(120, mean_resizing=False)
    model.save_pretrained(folder)
    edit(folder, vocab_size=99)
    return folder, "embed_tokens.weight is (120, 32) on disk, (99, 32) by config.json"


def narrow(folder: Path) -> tuple[Path, str]:
    """A config of a narrower feed-forward."""
    build("llama").save_pretrained(folder)
    edit(folder, intermediate_size=40)
    return folder, "gate_proj.weight is (48, 32) on disk, (40, 32) by config.json"


def fewer_heads(folder: Path) -> tuple[Path, str]:
    """A config of other key and value heads."""
    build("llama").save_pretrained(folder)
    edit(folder, num_key_value_heads=1)
    return folder, "k_proj.weight is (16, 32) on disk, (8, 32) by config.json"


@pytest.mark.parametrize("make", [grown, narrow, fewer_heads])
def test_language_models(make: Callable[[Path], tuple[Path, str]], tmp_path: Path) -> None:
    folder, said = make(tmp_path / "model")
    save_tokenizer(folder, limit=None)
    text = tmp_path / "a.txt"
    text.write_text("a good film and a bad story " * 60)
    with pytest.raises(WeightShapeError) as caught:
        judge(str(folder), str(text), window=8)
    assert said in str(caught.value)
    measured = {"evaluation": str(text), "window": 8}
    calibrated = {"method": "wanda", "calibration": str(text), "sequences": 2, "window": 8}
    for asked in ({"method": "magnitude", **measured}, calibrated):
        with pytest.raises(WeightShapeError) as caught:
            prune(PruneSpec(model=str(folder), keep=0.5, **asked), out=tmp_path / "run")
        assert said in str(caught.value)
    with pytest.raises(WeightShapeError):
        sweep(SweepSpec(model=str(folder), methods=("magnitude",), keeps=(0.5,), **measured))
    assert not (tmp_path / "run").exists()


def test_a_head_of_three_outputs_and_two_labels(make_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_model("bert")
    state = load_file(folder / "model.safetensors")
    state |= {"classifier.weight": torch.zeros(3, 16), "classifier.bias": torch.zeros(3)}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    data = tmp_path / "a.tsv"
    data.write_text("good film\t1\nbad film\t0\n")
    for job in (
        lambda: judge(str(folder), str(data)),
        lambda: prune(
            PruneSpec(model=str(folder), method="magnitude", keep=0.5, evaluation=str(data)), out=tmp_path / "run"
        ),
    ):
        with pytest.raises(
            WeightShapeError, match=r"classifier\.weight is \(3, 16\) on disk, \(2, 16\) by config\.json"
        ):
            job()
    # without a measurement nothing runs: its tensors are pruned as they are, and a note says so
    run = prune(PruneSpec(model=str(folder), method="magnitude", keep=0.5), out=tmp_path / "run")
    assert any("Of another shape than config.json says: classifier" in note for note in run.record["notes"])
