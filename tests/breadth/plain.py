"""The same figures without kencore: transformers' Auto classes, plain torch loops, tensors as they lie on disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer

from tests.breadth.models import no_cache

WINDOW, WINDOWS = 16, 4


def load(auto: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A model in evaluation mode and in float32, and what transformers says of its keys."""
    model, said = getattr(transformers, auto).from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, output_loading_info=True
    )
    return model.eval(), said


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= load_file(path)
    return found


def text_tokens(folder: Path, text: Path) -> torch.Tensor:
    """(N,) token ids of a text."""
    return torch.tensor(AutoTokenizer.from_pretrained(folder)(text.read_text("utf-8"))["input_ids"])


@torch.no_grad()
def nll(model: Any, ids: torch.Tensor) -> float:
    """Mean negative log-likelihood over the first windows of a text, one at a time."""
    total = 0.0
    for start in range(0, WINDOWS * WINDOW, WINDOW):
        window = ids[start : start + WINDOW]
        logits = model(input_ids=window[None], **no_cache(model)).logits[0].double()
        total += float(cross_entropy(logits[:-1], window[1:], reduction="sum"))
    return total / (WINDOWS * (WINDOW - 1))


@torch.no_grad()
def answers(model: Any, folder: Path, sentences: list[str]) -> torch.Tensor:
    """(N, labels) logits, one sentence at a time, without any padding."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [model(**tokenizer(sentence, return_tensors="pt")).logits[0] for sentence in sentences]
    return torch.stack(rows).double()


def sentences_of(path: Path) -> tuple[list[str], torch.Tensor]:
    """Sentences and labels of a .tsv file with a header."""
    lines = [line.split("\t") for line in path.read_text("utf-8").splitlines()[1:]]
    return [line[0] for line in lines], torch.tensor([int(line[1]) for line in lines])


def judged(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Accuracy and mean cross-entropy."""
    return {
        "accuracy": float((logits.argmax(1) == labels).double().mean()),
        "loss": float(cross_entropy(logits, labels)),
    }


@torch.no_grad()
def input_norms(model: Any, names: list[str], windows: torch.Tensor) -> dict[str, torch.Tensor]:
    """For each weight of a linear layer: (C,) norm of its inputs over windows (S, T), divided by the root of S."""
    modules = dict(model.named_modules())
    squares: dict[str, torch.Tensor] = {}
    handles = []
    for name in names:
        module = modules.get(name.removesuffix(".weight"))
        if type(module).__name__ not in ("Linear", "Conv1D"):
            continue

        def add(module: Any, args: tuple[torch.Tensor, ...], name: str = name) -> None:
            x = args[0].reshape(-1, args[0].shape[-1]).double()
            squares[name] = squares.get(name, 0) + (x * x).sum(0)

        handles.append(module.register_forward_pre_hook(add))
    for window in windows:
        model(input_ids=window[None], **no_cache(model))
    for handle in handles:
        handle.remove()
    return {name: (found / len(windows)).sqrt() for name, found in squares.items()}


def close(a: float, b: float, tolerance: float = 2e-4) -> bool:
    """Whether two figures are the same but for rounding."""
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
