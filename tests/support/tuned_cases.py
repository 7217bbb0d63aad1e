"""Tiny runs to be tuned, and what they are tuned on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from kencore import PruneSpec, Run, prune
from kencore.recovery import RecoverSpec, recover
from kencore.runs.run import open_run
from tests.support.tiny_models import VOCABULARY, save_pair
from tests.support.tiny_text import add_tokenizer, write_text

LANGUAGE = frozenset({"gpt2", "llama", "qwen3", "mixtral", "opt"})
WINDOW = 12


def write_sentences(path: Path, count: int = 300, seed: int = 0) -> Path:
    """Labelled sentences of 3 to 8 words: of odd words, or of even ones."""
    chance = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        label = int(chance.integers(2))
        words = 3 + 2 * chance.integers((VOCABULARY - 4) // 2, size=chance.integers(3, 9)) + label
        lines.append(" ".join(f"w{word}" for word in words) + f"\t{label}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_data(folder: Path, architecture: str, *, seed: int = 0, count: int = 300) -> Path:
    """Training data of the model's kind."""
    if architecture in LANGUAGE:
        return write_text(folder / f"text-{seed}.txt", count * WINDOW, seed)
    return write_sentences(folder / f"sentences-{seed}.tsv", count, seed)


def make_run(
    folder: Path,
    architecture: str = "bert",
    *,
    dtype: torch.dtype = torch.float32,
    restore: str = "base",
    **settings: Any,
) -> Run:
    """A pruned tiny model with a tokenizer, in ``folder``."""
    base, tuned = save_pair(architecture, folder, dtype=dtype, change=0.05)
    for side in (base, tuned):
        add_tokenizer(side)
    usual: dict[str, Any] = {"method": "magnitude", "keep": 0.4, "window": WINDOW, "cost": False}
    usual["base"] = str(base) if restore == "base" else None
    spec = PruneSpec(model=str(tuned), **{**usual, **settings})
    prune(spec, out=folder / "run", threads=1)
    return open_run(folder / "run")


def tuned_run(parent: Run, train_on: Path, out: Path, **settings: Any) -> Run:
    """The run, tuned a little, on one thread."""
    usual: dict[str, Any] = {
        "run": str(parent.path),
        "data": str(train_on),
        "steps": 20,
        "batch": 4,
        "lr": 3e-3,
        "sample": 12,
        "evaluation": None,
        "cost": False,
        "device": "cpu",
    }
    hooks = {key: settings.pop(key) for key in ("progress", "on_point") if key in settings}
    return recover(RecoverSpec(**{**usual, **settings}), out, threads=1, **hooks)


def reset_entries(run: Run, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The entries of a state that the run did not keep, by stored name, as integers (bits)."""
    found = {}
    for name, tensor in state.items():
        owner = run.owner(name)
        if owner is not None:
            keep = torch.from_numpy(run.keep(owner))  # R, C
            keep = (keep.T if run.matrix(owner)["transposed"] else keep).reshape(tensor.shape)
            whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
            found[name] = tensor.view(whole)[~keep]
    return found
