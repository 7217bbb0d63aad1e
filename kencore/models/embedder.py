"""A sentence encoder judged by how far its embeddings turn away from those of the dense model.

Importing this module is light; torch and transformers are imported when a model is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.config import read_config, read_known_config
from kencore.checkpoint.skeleton import class_for
from kencore.data.lines import Lines, read_lines
from kencore.data.text import SOURCES
from kencore.data.tokens import Row, check_rows, tokenised
from kencore.errors import NonFiniteWeightError, TaskMismatchError
from kencore.models.batches import most_at_once, read_rows, same_length, stacked
from kencore.models.figures import Figures, mean_interval
from kencore.models.loaded import LoadedModel, torch_threads, usable_positions
from kencore.models.loading import check_files, load_config, load_fields
from kencore.models.pooling import Recipe, load_dense, pool, recipe_of
from kencore.models.said import Said
from kencore.models.seam import forward
from kencore.models.tokenizer import check_model_rows, load_tokenizer, stated_limit, stated_rows
from kencore.settings.common import TEXT_FILE
from kencore.settings.demo import LABELLED_FILES
from kencore.system.progress import Progress
from kencore.system.shard import Shard

BATCH = 32
HEADLESS = ("Model", "ForMaskedLM", "ForPreTraining")  # classes of encoders whose head, if any, no embedding needs
# N sentences, D numbers of an embedding


@dataclass(kw_only=True, eq=False)
class Embedder(LoadedModel):
    """A sentence encoder in float32, its tokenizer, and the embeddings of the dense model.

    Args:
        recipe: what is made of the last hidden states.
        layers: of the recipe, loaded; ``None`` scales to length 1.
        dense: (N, D) of the sentences it is judged on, by the checkpoint's own weights; ``None`` before `remember`.
    """

    recipe: Recipe
    layers: Sequence[Any] = ()
    dense: NDArray[np.float64] | None = field(default=None, repr=False)

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu", threads: int | None = None) -> Embedder:
        """Load the model and the tokenizer of a folder.

        Raises:
            DeviceNotFoundError: this machine has no such device.
            SourceNotFoundError, NoSafetensorsError, CorruptShardError, ConfigError: what their names say.
            TaskMismatchError: no encoder without a head, or one whose pooling is not understood.
        """
        import torch
        from transformers import AutoModel

        from kencore.system.devices import resolve_device

        folder, place = Path(folder), resolve_device(device)
        check_encoder(folder)
        recipe = recipe_of(folder)
        fields, missing = load_fields(AutoModel, folder, device=place, dtype=torch.float32)
        needed = [name for name in missing if not name.startswith("pooler.")]  # no recipe reads it
        if needed:
            raise _no_encoder(folder, f"no weights for {', '.join(needed[:3])}")
        layers = [None if step is None else load_dense(step, place) for step in recipe.after]
        return cls(threads=threads, recipe=recipe, layers=layers, **fields)

    def remember(self, lines: Lines) -> None:
        """Take the embeddings of the model as it is now for those of the dense one."""
        self.dense = self.embeddings(lines)

    def quality(self, lines: Lines, *, batch: int = BATCH, progress: Progress | None = None) -> Figures:
        """Mean cosine similarity of each sentence's embedding to the dense model's, with its 95 % interval.

        ``similarity``, ``similarity_low`` and ``similarity_high`` (Student's t over sentences), ``examples`` and
        ``seconds``. The dense model has 1 by definition.

        Raises:
            TokenizerError, TokenTableError: see `tokens`.
            NonFiniteWeightError: an embedding is NaN or infinite.
        """
        start = time.monotonic()
        found = self.embeddings(lines, batch=batch, progress=progress)
        return self._figures(found, time.monotonic() - start)

    def figures(self, lines: Lines, said: Said) -> Figures:
        """What `quality` says, of all embeddings in the order of the sentences."""
        return self._figures(said["embeddings"], float(said["seconds"]))

    def _figures(self, found: NDArray[np.float64], seconds: float) -> Figures:
        alike = cosines(found, found if self.dense is None else self.dense)
        low, high = mean_interval(alike) or (float(alike[0]), float(alike[0]))
        figures = {
            "similarity": float(alike.mean()),
            "similarity_low": max(-1.0, low),
            "similarity_high": min(1.0, high),
            "examples": len(found),
            "seconds": round(seconds, 3),
        }
        return Figures(figures, alike)

    def embeddings(self, lines: Lines, *, batch: int = BATCH, progress: Progress | None = None) -> NDArray[np.float64]:
        """(N, D) in the order of the sentences, which go through the model in batches of one length."""
        said = self.part(lines, batch=batch, progress=progress)
        whole: NDArray[np.float64] = said["embeddings"][np.argsort(said["places"])]
        return whole

    def part(
        self, lines: Lines, shard: Shard | None = None, *, batch: int = BATCH, progress: Progress | None = None
    ) -> Said:
        """What the model makes of a shard of the batches that the sentences are read in. Raises as `quality`."""
        import torch

        started = time.monotonic()
        rows = self.tokens(lines)
        batches = (shard or Shard()).of(list(same_length(rows, range(len(rows)), self.batch_size(batch))))
        count = sum(len(part) for part in batches)
        found: dict[int, NDArray[np.float64]] = {}
        self.model.eval()
        with torch.inference_mode(), torch_threads(self.threads):
            for part in batches:
                # a product with one row alone rounds by where the weights lie in memory: it goes in twice
                twice = part * 2 if len(part) == 1 < self.batch_size(batch) else part
                made = self._embedded(stacked([rows[i] for i in twice], self.device))
                found |= zip(part, made[: len(part)].double().cpu().numpy(), strict=True)
                if progress is not None:
                    progress(len(found), count, f"{len(found):,} of {count:,} sentences")
        whole = np.stack(list(found.values())) if found else np.empty((0, 0))
        wrong = len(whole) - int(np.isfinite(whole).all(axis=1).sum())
        if wrong:
            raise NonFiniteWeightError(
                f"Model {self.folder}",
                got=f"NaN or infinite embeddings of {wrong} of {len(whole)} sentences",
                wanted="finite embeddings",
                remedy="Look for NaN or infinity in the weights.",
            )
        places = np.array(list(found), np.int64)
        return {"places": places, "embeddings": whole, "seconds": np.asarray(time.monotonic() - started)}

    def _embedded(self, inputs: dict[str, Any]) -> Any:
        """(batch, D) of one batch."""
        from torch.nn.functional import normalize

        answer = forward(self.model, **inputs)
        states = getattr(answer, "last_hidden_state", None)
        if states is None or states.dim() != 3:
            raise _no_encoder(self.folder, f"{type(self.model).__name__}, which gives no hidden state of each token")
        vector = pool(states.float(), self.recipe.modes)
        for layer in self.layers:
            vector = normalize(vector, dim=1) if layer is None else layer(vector)
        return vector

    def batch_size(self, batch: int) -> int:
        """So many sentences at once, or one where transformers takes one at a time."""
        return most_at_once(self.model, batch)

    def tokens(self, lines: Lines) -> list[Row]:
        """Tokenised sentences, in their order, cut at what the model reads.

        Raises:
            TokenizerError, TokenTableError: the tokenizer fails, or gives what has no row in the model's tables.
        """
        limit = usable_positions(self.model, _limit(self.recipe, self.tokenizer, self.model.config))
        rows = read_rows(self, _written(self.recipe, lines), None, limit)
        check_model_rows(self, rows, lines.source or "the sentences")
        return rows


def cosines(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) cosine of each row of two (N, D); equal rows have 1, a row of zeros beside another has 0."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    inner = (first * second).sum(axis=1)
    found = np.divide(inner, lengths, out=np.zeros_like(inner), where=lengths > 0)
    return np.where((first == second).all(axis=1), 1.0, np.clip(found, -1.0, 1.0))


def fitting_lines(folder: Path, data: str) -> Lines:
    """The sentences that an encoder is to be judged on, checked against it. Reads no weights.

    Raises as `sentences_for` and `check_lines`.
    """
    lines = sentences_for(folder, data)
    check_lines(folder, lines)
    return lines


def sentences_for(folder: Path, data: str) -> Lines:
    """The sentences of a file with a word on how the model of a folder embeds them.

    Raises:
        TaskMismatchError: see `check_encoder` and `recipe_of`; or data that are no file of sentences.
        DataFileError: the file cannot be read.
    """
    check_encoder(folder)
    if data in LABELLED_FILES or data in SOURCES:
        raise TaskMismatchError(
            f"Data {data}",
            got="no sentences one by one",
            wanted=f"a file of sentences, since {folder.name} is an encoder without a head, measured by its embeddings",
            remedy=f"Choose a {TEXT_FILE} with one sentence a line or a column of text.",
        )
    lines = read_lines(data)
    return replace(lines, notes=(*lines.notes, recipe_of(folder).said))


def check_lines(folder: Path, lines: Lines) -> None:
    """Raise unless the config of a folder has a row for every token of the sentences, without loading weights.

    Raises:
        TokenizerError: the tokenizer cannot be loaded, or fails.
        TokenTableError: a token outside the model's table.
    """
    recipe, config, tokenizer = recipe_of(folder), load_config(folder), load_tokenizer(folder)
    rows = tokenised(tokenizer, _written(recipe, lines), limit=_limit(recipe, tokenizer, config))
    check_rows(tokenizer, rows, stated_rows(config), None, lines.source or "the sentences")


def is_encoder(folder: Path) -> bool:
    """Whether a folder's config.json names an encoder without a head that answers anything.

    Raises:
        SourceNotFoundError, ConfigError: no such folder, or no readable config.json.
    """
    return _why_not(folder) is None


def check_encoder(folder: Path) -> None:
    """Raise unless the folder holds an encoder whose embeddings can be measured, and a tokenizer.

    Raises:
        SourceNotFoundError, ConfigError, NoSafetensorsError: what their names say.
        TaskMismatchError: another kind of model, or no tokenizer files.
    """
    reason = _why_not(folder)
    if reason is not None:
        raise _no_encoder(folder, reason)
    check_files(folder)


def _why_not(folder: Path) -> str | None:
    plain = read_config(folder)
    names = [str(name) for name in plain.get("architectures") or []]
    if plain.get("is_encoder_decoder") or not names or not names[0].endswith(HEADLESS):
        return ", ".join(names) or "no architecture in config.json"
    from transformers import AutoModel

    config = read_known_config(folder)
    found = class_for(AutoModel, config) if getattr(config, "vocab_size", None) else None  # of tokens, not of images
    stem = next(names[0].removesuffix(ending) for ending in HEADLESS if names[0].endswith(ending))
    return None if found is not None and found[0].__name__ == f"{stem}Model" else ", ".join(names)


def _limit(recipe: Recipe, tokenizer: Any, config: Any) -> int:
    return min(stated_limit(tokenizer, config), recipe.limit or stated_limit(tokenizer, config))


def _written(recipe: Recipe, lines: Lines) -> tuple[str, ...]:
    return tuple(text.lower() for text in lines.texts) if recipe.lower else lines.texts


def _no_encoder(folder: Path, got: str) -> TaskMismatchError:
    return TaskMismatchError(
        f"Model {folder}",
        got=got,
        wanted="a classifier (measured on labeled sentences), a causal language model (on text), or an encoder "
        "without such a head, as BertModel (on sentences: its embeddings against the dense model's)",
        remedy="Choose another model, or prune without evaluation data.",
    )
