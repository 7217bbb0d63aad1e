"""A language model that does not fit into memory is pruned and measured as one that does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kencore.models.pages import Pages
from kencore.pruning.prune import prune
from kencore.settings.prune import PruneSpec
from kencore.system.memory import VARIABLE
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer, write_text

FILES = ("masks.safetensors", "matrices.parquet", "rows.parquet", "activations.safetensors")


def times_out(value: Any) -> Any:
    """Without what a clock or another run says: seconds, the device's cost, when it was."""
    if isinstance(value, dict):
        return {name: times_out(one) for name, one in value.items() if name not in ("seconds", "cost", "created")}
    return [times_out(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_run_is_the_same(method: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, model = save_pair("llama", tmp_path, change=0.05, dtype=dtype)
    add_tokenizer(model)
    text = str(write_text(tmp_path / "text.txt", 2000))
    spec = PruneSpec(
        model=str(model),
        method=method,
        keep=0.5,
        calibration=text,
        evaluation=text,
        sequences=3,
        window=12,
        cost=method == "wanda",
        device="cpu",
    )
    made: list[int] = []
    inside = Pages.__init__
    monkeypatch.setattr(Pages, "__init__", lambda self, *given: (made.append(1), inside(self, *given))[1])
    whole = prune(spec, out=tmp_path / "whole")
    assert not made
    monkeypatch.setenv(VARIABLE, "1K")
    paged = prune(spec, out=tmp_path / "paged")
    assert made
    for name in FILES:
        assert (paged.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    measured = [times_out(json.loads((run.path / "metrics.json").read_text("utf-8"))) for run in (whole, paged)]
    assert measured[0] == measured[1]
    assert measured[0]["dense"] != measured[0]["pruned"]
