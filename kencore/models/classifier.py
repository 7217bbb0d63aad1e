"""Accuracy of a sentence classifier, and swapping its weights without loading it again.

Importing this module is light; torch and transformers are imported when a model is loaded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.data.examples import Examples
from kencore.errors import NonFiniteWeightError
from kencore.models.figures import Figures, Predictions, quality_of
from kencore.models.loaded import LoadedModel, stated_positions, torch_threads, usable_positions
from kencore.models.loading import label_numbers
from kencore.models.seam import forward
from kencore.system.progress import Progress

if TYPE_CHECKING:
    import torch

BATCH = 32
LONGEST = 1 << 15  # tokens, where neither tokenizer nor config states a limit


@dataclass(kw_only=True, eq=False)
class Classifier(LoadedModel):
    """A model with a classification head, in float32, and the tokenizer from its folder."""

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu", threads: int | None = None) -> Classifier:
        """Load the model and the tokenizer of a folder.

        Args:
            folder: a transformers folder with safetensors weights.
            device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
            threads: processor threads while predicting.

        Raises:
            DeviceNotFoundError: this machine has no such device.
            SourceNotFoundError, NoSafetensorsError, CorruptShardError: what their names say.
            TaskMismatchError: no classification head, or no tokenizer files in the folder.
            ConfigError: config.json is missing, or of a model type that is not known.
        """
        from kencore.models.loading import load_classifier
        from kencore.system.devices import resolve_device

        return cls(threads=threads, **load_classifier(Path(folder), resolve_device(device)))

    def predict(self, examples: Examples, *, batch: int = BATCH, progress: Progress | None = None) -> Predictions:
        """The model's answer to every example, in the examples' order.

        Sentences go through the model in batches of similar length, padded to the longest of
        their batch and cut at the model's own limit.

        Raises:
            TaskMismatchError: a label that the model does not know.
            NonFiniteWeightError: the model's answer is NaN or infinite.
        """
        import torch

        truth = self.label_numbers(examples)
        rows, order = self.tokens(examples)
        logits = np.empty((len(rows), self.model.config.num_labels), dtype=np.float32)
        size = self.batch_size(batch)
        self.model.eval()
        with torch.inference_mode(), torch_threads(self.threads):
            for start in range(0, len(order), size):
                part = order[start : start + size]
                inputs = self.padded([rows[i] for i in part])
                # batch, L labels
                logits[part] = forward(self.model, **inputs).logits.float().cpu().numpy()
                if progress is not None:
                    done = start + len(part)
                    progress(done, len(order), f"{done:,} of {len(order):,} sentences")
        self._check_finite(logits)
        return Predictions(labels=logits.argmax(axis=1), logits=logits, truth=truth)

    def quality(self, examples: Examples, *, batch: int = BATCH, progress: Progress | None = None) -> Figures:
        """What `quality_of` says of the model's predictions, and the ``seconds`` they took.

        Raises as `predict`.
        """
        start = time.monotonic()
        predictions = self.predict(examples, batch=batch, progress=progress)
        figures = quality_of(predictions) | {"seconds": round(time.monotonic() - start, 3)}
        return Figures(figures, predictions.correct)

    def batch_size(self, batch: int) -> int:
        """So many sentences at once, or one where nothing can pad them."""
        pads = (self.tokenizer.pad_token_id, getattr(self.model.config, "pad_token_id", None))
        return 1 if None in pads else batch

    def label_numbers(self, examples: Examples) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(N,) the examples' labels as the model numbers them, see `label_numbers`."""
        return label_numbers(self.model.config, examples)

    def tokens(self, examples: Examples) -> tuple[list[dict[str, list[int]]], list[int]]:
        """Tokenised examples, and their indices from shortest to longest."""
        pairs = None if examples.pairs is None else list(examples.pairs)
        table = self.tokenizer(list(examples.texts), pairs, truncation=True, max_length=longest_input(self))
        rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
        return rows, sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))

    def padded(self, rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Tensors of (batch, longest of the batch)."""
        if len(rows) == 1:
            import torch

            return {key: torch.tensor([row], device=self.device) for key, row in rows[0].items()}
        return dict(self.tokenizer.pad(rows, return_tensors="pt").to(self.device))

    def _check_finite(self, logits: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        wrong = ~np.isfinite(logits).all(axis=1)
        if wrong.any():
            raise NonFiniteWeightError(
                f"Model {self.folder}",
                got=f"NaN or infinite logits for {int(wrong.sum())} of {len(wrong)} examples",
                wanted="finite logits",
                remedy="Look for NaN or infinity in the weights.",
            )


def longest_input(classifier: Classifier) -> int:
    """Tokens the model can take: the tokenizer's limit, bounded by the position embeddings."""
    stated = stated_positions(classifier.model.config)
    # rotary models have no table to ask
    limit = min(int(classifier.tokenizer.model_max_length), stated or LONGEST)
    return usable_positions(classifier.model, limit)
