"""Accuracy of a sentence classifier, and swapping its weights without loading it again.

Importing this module is light; torch and transformers are imported when a model is loaded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kencore.data.examples import Examples
from kencore.data.tokens import Row
from kencore.errors import NonFiniteWeightError
from kencore.models.batches import most_at_once, read_rows, same_length, stacked
from kencore.models.figures import Figures, Predictions, quality_of
from kencore.models.labels import meaning_of
from kencore.models.loaded import LoadedModel, torch_threads, usable_positions
from kencore.models.said import Said
from kencore.models.seam import forward
from kencore.models.tokenizer import check_model_rows, stated_limit
from kencore.system.progress import Progress
from kencore.system.shard import Shard

BATCH = 32


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

        Sentences are cut at the model's own limit and go through it in batches of one length,
        without padding: no answer depends on what else is in its batch.

        Raises:
            TokenizerError, TokenTableError: see `tokens`.
            TaskMismatchError: a label that the model does not know.
            NonFiniteWeightError: the model's answer is NaN or infinite.
        """
        truth = self.label_numbers(examples)
        logits = self.logits(examples, batch=batch, progress=progress)
        return Predictions(labels=logits.argmax(axis=1), logits=logits, truth=truth)

    def logits(
        self, examples: Examples, *, batch: int = BATCH, progress: Progress | None = None
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(N, L) what `predict` answers by, whatever the labels. Raises as it does, but for those."""
        said = self.part(examples, batch=batch, progress=progress)
        found: np.ndarray[Any, np.dtype[np.float32]] = said["logits"][np.argsort(said["places"])]
        return found

    def part(
        self, examples: Examples, shard: Shard | None = None, *, batch: int = BATCH, progress: Progress | None = None
    ) -> Said:
        """What the model says of a shard of the batches that the examples are read in. Raises as `predict`."""
        import torch

        started = time.monotonic()
        rows = self.tokens(examples)
        size = self.batch_size(batch)
        batches = (shard or Shard()).of(list(same_length(rows, range(len(rows)), size)))
        places = np.array([i for part in batches for i in part], np.int64)
        logits = np.empty((len(places), self.model.config.num_labels), dtype=np.float32)
        done = 0
        self.model.eval()
        with torch.inference_mode(), torch_threads(self.threads):
            for part in batches:
                # a product with one row alone rounds by where the weights lie in memory: it goes in twice
                twice = part * 2 if len(part) == 1 < size else part
                inputs = stacked([rows[i] for i in twice], self.device)
                # batch, L labels
                answers = forward(self.model, **inputs).logits[: len(part)].float().cpu().numpy()
                logits[done : done + len(part)] = answers
                done += len(part)
                if progress is not None:
                    progress(done, len(places), f"{done:,} of {len(places):,} sentences")
        self._check_finite(logits)
        return {"places": places, "logits": logits, "seconds": np.asarray(time.monotonic() - started)}

    def figures(self, examples: Examples, said: Said) -> Figures:
        """What `quality_of` says of all answers, in the order of the examples."""
        logits, truth = said["logits"], self.label_numbers(examples)
        predictions = Predictions(labels=logits.argmax(axis=1), logits=logits, truth=truth)
        figures = quality_of(predictions) | {"seconds": round(float(said["seconds"]), 3)}
        return Figures(figures, predictions.correct, predictions)

    def quality(self, examples: Examples, *, batch: int = BATCH, progress: Progress | None = None) -> Figures:
        """What `quality_of` says of the model's predictions, and the ``seconds`` they took.

        Raises as `predict`.
        """
        start = time.monotonic()
        predictions = self.predict(examples, batch=batch, progress=progress)
        figures = quality_of(predictions) | {"seconds": round(time.monotonic() - start, 3)}
        return Figures(figures, predictions.correct, predictions)

    def batch_size(self, batch: int) -> int:
        """So many sentences at once, or one where transformers takes one at a time."""
        return most_at_once(self.model, batch)

    def label_numbers(self, examples: Examples) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(N,) the examples' labels as the model numbers them, see `meaning_of`."""
        return meaning_of(self.model.config, examples).numbers

    def tokens(self, examples: Examples, *, limit: int | None = None) -> list[Row]:
        """Tokenised examples, in their order.

        Args:
            limit: tokens to cut at; ``None``: what the model can read.

        Raises:
            TokenizerError, TokenTableError: the tokenizer fails, or gives what has no row in the model's tables.
        """
        rows = read_rows(self, examples.texts, examples.pairs, longest_input(self) if limit is None else limit)
        check_model_rows(self, rows, examples.source or "the examples")
        return rows

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
    return usable_positions(classifier.model, stated_limit(classifier.tokenizer, classifier.model.config))
