"""What is passed through a model to count, to time and to weigh a pass: an input as long as the evaluation's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.models.language import Windows

if TYPE_CHECKING:
    import torch

    from kencore.data.examples import Examples
    from kencore.data.lines import Lines
    from kencore.models.language import LanguageModel

TOKENS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Inputs of a forward pass.

    Args:
        one: of a batch of one, on the model's device.
        tokens: T, tokens of it.
        batch: how many of these the evaluation takes at once, at most 4,096 tokens of them.
        what: where the number of tokens is from.
    """

    one: dict[str, torch.Tensor | bool]
    tokens: int
    batch: int
    what: str

    def of(self, size: int) -> dict[str, torch.Tensor | bool]:
        """The same input so many times: (size, T)."""
        return {
            name: value if isinstance(value, bool) else value.expand(size, -1).contiguous()
            for name, value in self.one.items()
        }

    def cut(self, tokens: int) -> Probe:
        """The same input with so many tokens: the first ones, and the last, which some classifiers ask for."""
        if tokens >= self.tokens:
            return self
        one = {
            name: value if isinstance(value, bool) else value[:, [*range(tokens - 1), self.tokens - 1]]
            for name, value in self.one.items()
        }
        return replace(self, one=one, tokens=tokens, what=f"{tokens} tokens of {self.what}")


def probe_of(model: Any, data: Examples | Windows | Lines) -> Probe:
    """What a model is given that is evaluated on these data."""
    return _window_probe(model, data) if isinstance(data, Windows) else _sentence_probe(model, data)


def _window_probe(model: LanguageModel, windows: Windows) -> Probe:
    """The first window of a text."""
    from kencore.models.perplexity import windows_at_once

    count, tokens = windows.ids.shape
    one: dict[str, torch.Tensor | bool] = {"input_ids": windows.ids[:1].to(model.device)}
    batch = _batch(tokens, min(count, windows_at_once(model.model, tokens)))
    return Probe(one=one | {"use_cache": False}, tokens=tokens, batch=batch, what="one window")


def _sentence_probe(model: Any, examples: Examples | Lines) -> Probe:
    """The sentence, or pair, whose number of tokens is nearest to the mean."""
    import torch

    from kencore.models.classifier import BATCH

    rows = model.tokens(examples)
    lengths = np.array([len(row["input_ids"]) for row in rows])  # N
    row = rows[int(np.abs(lengths - lengths.mean()).argmin())]
    one: dict[str, torch.Tensor | bool] = {
        name: torch.tensor([values], device=model.device) for name, values in row.items()
    }
    mean = f"the mean of {len(rows):,} sentences is {lengths.mean():.1f}"
    tokens = len(row["input_ids"])
    batch = _batch(tokens, min(len(rows), model.batch_size(BATCH)))
    return Probe(one=one, tokens=tokens, batch=batch, what=mean)


def _batch(tokens: int, evaluated: int) -> int:
    return max(1, min(evaluated, TOKENS_AT_ONCE // tokens))
