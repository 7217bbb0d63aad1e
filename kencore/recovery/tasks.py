"""How a model is trained and measured: a classifier on sentences, a language model on windows.

Shapes: N sentences, L labels, B of a batch, W windows, T tokens of a window, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from kencore.data.examples import Examples
from kencore.models.batches import padded, padding_is_harmless, same_length, stacked
from kencore.models.language import LanguageModel, Windows
from kencore.models.seam import forward
from kencore.system.progress import Progress

if TYPE_CHECKING:
    import torch

    from kencore.models.classifier import Classifier


class Task(Protocol):
    """One kind of model with its training data."""

    size: int  # N or W
    model: Any  # a LoadedModel

    def losses(self, batch: Sequence[int]) -> Iterator[torch.Tensor]:
        """Parts of the batch's mean loss, each with its graph: their sum is the loss."""

    def held_out(self, figures: dict[str, Any]) -> dict[str, float]:
        """What a point of the curve says of held-out data; ``held_out_loss`` decides."""


class Sentences:
    """A classifier and the labelled sentences that it learns from.

    Args:
        longest: tokens of a sentence; ``None``: what the model can read.
    """

    def __init__(self, model: Classifier, train: Examples, longest: int | None) -> None:
        from kencore.models.classifier import longest_input

        self.model, self.size = model, len(train)
        limit = longest_input(model)
        self._rows = model.tokens(train, limit=min(limit, longest or limit))
        self._pads = padding_is_harmless(model, self._rows)
        self._labels = model.label_numbers(train)  # N

    def losses(self, batch: Sequence[int]) -> Iterator[torch.Tensor]:
        """Cross-entropy, in nats; see `Task`."""
        import torch
        from torch.nn import functional

        size = self.model.batch_size(len(batch))
        for part in [batch] if self._pads else same_length(self._rows, batch, size):
            rows = [self._rows[i] for i in part]
            inputs = padded(self.model, rows) if self._pads else stacked(rows, self.model.device)
            truth = torch.from_numpy(self._labels[list(part)]).to(self.model.device)
            logits = forward(self.model.model, **inputs).logits.float()  # B, L
            yield functional.cross_entropy(logits, truth, reduction="sum") / len(batch)

    def held_out(self, figures: dict[str, Any]) -> dict[str, float]:
        return {"held_out_loss": figures["loss"], "held_out_accuracy": figures["accuracy"]}


class Texts:
    """A language model and the windows that it learns from."""

    def __init__(self, model: LanguageModel, train: Windows) -> None:
        from kencore.models.perplexity import windows_at_once

        self.model, self.size = model, len(train.ids)
        self._ids = train.ids  # W, T
        self._most = windows_at_once(model.model, train.ids.shape[1])

    def losses(self, batch: Sequence[int]) -> Iterator[torch.Tensor]:
        """Negative log-likelihood of every token but a window's first; see `Task`."""
        from torch.nn import functional

        tokens = len(batch) * (self._ids.shape[1] - 1)
        for start in range(0, len(batch), self._most):
            ids = self._ids[list(batch[start : start + self._most])].to(self.model.device)  # B, T
            logits = forward(self.model.model, input_ids=ids, use_cache=False).logits  # B, T, V
            every = logits[:, :-1].flatten(0, 1).float()  # B * (T - 1), V
            yield functional.cross_entropy(every, ids[:, 1:].flatten(), reduction="sum") / tokens

    def held_out(self, figures: dict[str, Any]) -> dict[str, float]:
        return {"held_out_loss": figures["nll"], "held_out_perplexity": figures["perplexity"]}


def make_task(model: Any, train: Examples | Windows, longest: int | None) -> Task:
    """The task of a loaded model and the data that `read_material` read for it."""
    if isinstance(train, Windows):
        return Texts(model, train)
    return Sentences(model, train, longest)


def measured(model: Any, data: Examples | Windows, progress: Progress | None = None) -> dict[str, Any]:
    """`quality` of a loaded model, its outcomes left out; the model is in evaluation mode then."""
    return dict(model.quality(data, progress=progress))
