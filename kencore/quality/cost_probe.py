"""What a model is given while its cost is measured: an input of usual size, alone and in a batch.

A language model reads one window of its text, a classifier the sentence of its data whose length
is nearest to the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from kencore.data.examples import Examples
    from kencore.models.classifier import Classifier
    from kencore.models.language import LanguageModel, Windows


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


def window_probe(model: LanguageModel, windows: Windows) -> Probe:
    """The first window of a text."""
    from kencore.models.perplexity import windows_at_once

    count, tokens = windows.ids.shape
    one: dict[str, torch.Tensor | bool] = {"input_ids": windows.ids[:1].to(model.device)}
    batch = _batch(tokens, min(count, windows_at_once(model.model, tokens)))
    return Probe(one=one | {"use_cache": False}, tokens=tokens, batch=batch, what="one window")


def sentence_probe(model: Classifier, examples: Examples) -> Probe:
    """The sentence, or pair, whose number of tokens is nearest to the mean."""
    import torch

    from kencore.models.classifier import BATCH

    rows, _ = model.tokens(examples)
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
