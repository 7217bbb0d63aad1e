"""A run whose every name tries to be a link, a picture or a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from kencore.runs.run import Run
from tests.support import runs

SITE = "evil.example"
TEXT = (
    f"![p](http://{SITE}/p.png)[l](http://{SITE})<img src=http://{SITE}/i.png><a href='http://{SITE}'>a</a>"
    f" https://{SITE} www.{SITE} a@{SITE} `c` **b** :red[r] $e$ :material/delete: \x1b]8;;http://{SITE}\x07\x1b[31m"
)
"""What the names hold."""
MATRIX = f"bert.encoder.layer.1.intermediate.{TEXT}.weight"
OUTSIDE = f"bert.{TEXT}.weight"
_RENAMED = {"bert.encoder.layer.1.intermediate.dense.weight": MATRIX, "bert.pooler.dense.weight": OUTSIDE}


def make_hostile_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run, with its models, in ``folder``."""
    pair = runs._pair

    def renamed(place: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        sides = tuple({_RENAMED.get(name, name): value for name, value in side.items()} for side in pair(place))
        for side, tensors in zip(("tuned", "base"), sides, strict=True):
            save_file(tensors, place / side / "model.safetensors")
            config = json.loads((place / side / "config.json").read_text())
            (place / side / "config.json").write_text(json.dumps(config | {"id2label": {"0": TEXT, "1": "fine"}}))
        return sides[0], sides[1]

    with monkeypatch.context() as patch:
        patch.setattr(runs, "_pair", renamed)
        run = runs.make_run(folder)
    _change(run.path / "record.json", device=TEXT, notes=[TEXT, f"- {TEXT}", TEXT, TEXT])
    measured = {"accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.95, "f1_binary": 0.9, "loss": 0.2}
    _change(
        run.path / "metrics.json",
        data=TEXT,
        examples=100,
        dense=measured,
        pruned=measured | {"accuracy": 0.8},
        baselines={"random": measured | {"accuracy": 0.7}},
    )
    return Run(run.path)


def _change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def read(text: str) -> str:
    """A text of a page as a person reads it, without what keeps it from being more than text."""
    return text.replace("\\", "").replace("\u2060", "")
