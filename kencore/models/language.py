"""A causal language model judged on text, and swapping its weights without loading it again.

Importing this module is light; torch and transformers are imported when a model is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.checkpoint.config import read_config
from kencore.checkpoint.skeleton import LANGUAGE_HEADS
from kencore.data.text import check_window, first_token_numbers, opening_token, read_text, token_numbers, window_opening
from kencore.data.tokens import check_tokens
from kencore.errors import NotALanguageModelError
from kencore.models.figures import Figures
from kencore.models.held import Comparison, HeldLogits, Nearness
from kencore.models.loaded import LoadedModel, stated_positions, torch_threads, usable_positions
from kencore.models.loading import check_files, load_config, load_fields
from kencore.models.perplexity import figures_of, vocabulary_of, window_sums, windows, windows_at_once
from kencore.models.said import Said
from kencore.models.tokenizer import load_tokenizer, stated_rows, table_rows
from kencore.system.progress import Progress
from kencore.system.shard import Shard

if TYPE_CHECKING:
    import torch

USUAL_WINDOW = 2048
# families that read both sides of a token, unless their config says that they decode
TWO_SIDED = frozenset(
    {
        "bert",
        "bert-generation",
        "big_bird",
        "camembert",
        "data2vec-text",
        "electra",
        "ernie",
        "megatron-bert",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "roc_bert",
        "roformer",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
PERMUTING = frozenset({"xlm", "xlnet"})  # not trained to continue a text from left to right
# N tokens of a text, W windows, T tokens of a window


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows of a text, in its order.

    Args:
        ids: (W, T) int64.
        source: the text, as the person wrote it.
        sha256: of the whole text.
        notes: what a person should know of how the text was read.
        bos: whether every window begins with what the tokenizer puts before a text.
    """

    ids: torch.Tensor
    source: str
    sha256: str
    notes: tuple[str, ...] = ()
    bos: bool = False


@dataclass(kw_only=True, eq=False)
class LanguageModel(LoadedModel):
    """A causal language model and the tokenizer from its folder."""

    @classmethod
    def load(
        cls, folder: str | Path, *, device: str = "cpu", threads: int | None = None, dtype: torch.dtype | None = None
    ) -> LanguageModel:
        """Load the model and the tokenizer of a folder.

        Args:
            folder: a transformers folder with safetensors weights.
            device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
            threads: processor threads while measuring.
            dtype: of the weights; ``None``: float32.

        Raises:
            DeviceNotFoundError: this machine has no such device.
            SourceNotFoundError, NoSafetensorsError, CorruptShardError: what their names say.
            NotALanguageModelError: another kind of model, or one without its output layer.
            TaskMismatchError: no tokenizer files in the folder.
            ConfigError: config.json is missing, or of a model type that is not known.
        """
        import torch
        from transformers import AutoModelForCausalLM

        from kencore.system.devices import resolve_device

        folder = Path(folder)
        check_language_task(folder)
        fields, missing = load_fields(
            AutoModelForCausalLM, folder, device=resolve_device(device), dtype=dtype or torch.float32
        )
        if missing:
            raise _not_a_language_model(folder, f"no weights for {', '.join(missing[:3])}")
        return cls(threads=threads, **fields)

    @property
    def positions(self) -> int | None:
        """Tokens that the model can read at once; ``None``: any number."""
        stated = stated_positions(self.model.config)
        return None if stated is None else usable_positions(self.model, stated)

    @property
    def rows(self) -> int | None:
        """Rows of the table of token embeddings; ``None``: there is none."""
        return table_rows(self.model)

    def tokens(self, text: str) -> torch.Tensor:
        """(N,) int64 tokens of a text, see `token_numbers`."""
        import torch

        return torch.from_numpy(token_numbers(self.tokenizer, text))

    def quality(
        self,
        windows: Windows,
        *,
        batch: int | None = None,
        progress: Progress | None = None,
        hold: bool = False,
        against: HeldLogits | None = None,
    ) -> Figures:
        """What `perplexity` says of the model on these windows. Raises as it does.

        Args:
            hold: keep the logits, for others to be compared with.
            against: the logits that were kept of another model on the same windows; compare with them, in the same
                pass.
        """
        held = self.holder(windows, batch=batch) if hold else None
        said = self.part(windows, batch=batch, progress=progress, hold=held, against=against)
        return self.figures(windows, said, held=held, against=against)

    def part(
        self,
        windows: Windows,
        shard: Shard | None = None,
        *,
        batch: int | None = None,
        progress: Progress | None = None,
        hold: HeldLogits | None = None,
        against: HeldLogits | None = None,
    ) -> Said:
        """What the model says of a shard of the batches that the windows are read in.

        Args:
            hold: keeps the logits; against: what they are compared with, of the same windows at least.
        """
        started = time.monotonic()
        batch = batch or windows_at_once(self.model, windows.ids.shape[1])
        compared = None if against is None else Comparison(against)
        watch = hold.keep if hold is not None else compared.add if compared is not None else None
        self.model.eval()
        with torch_threads(self.threads):
            places, sums = window_sums(
                self.model, windows.ids, shard=shard, batch=batch, device=self.device, progress=progress, watch=watch
            )
        said: Said = {"places": places, "nll": sums, "seconds": np.asarray(time.monotonic() - started)}
        if compared is None:
            return said
        near = compared.found()
        return said | {"compared": places[: len(near.kl)], "kl": near.kl, "same": near.same}

    def figures(
        self, windows: Windows, said: Said, *, held: HeldLogits | None = None, against: HeldLogits | None = None
    ) -> Figures:
        """What `perplexity` says, of what was said of all windows.

        Args:
            held: of a model that others are compared with; against: of one that was compared: the other's.
        """
        found = figures_of(said["nll"], windows.ids.shape[1], vocabulary_of(self.model), float(said["seconds"]))
        found.held = held
        if against is not None and "kl" in said:
            found.near = Nearness(to=against, kl=said["kl"], same=said["same"])
        return found

    def holder(self, windows: Windows, *, batch: int | None = None, most: int | None = None) -> HeldLogits:
        """What holds the logits of the windows, or of as many as there is room for; see `HeldLogits`."""
        count, width = windows.ids.shape
        size = batch or windows_at_once(self.model, width)
        return HeldLogits((count, width, vocabulary_of(self.model)), batch=size, most=most)


def usual_window(positions: int | None) -> int:
    """Tokens of a window where nobody chose: 2,048, or fewer where the model reads fewer."""
    return min(USUAL_WINDOW, positions or USUAL_WINDOW)


def read_windows(
    folder: Path, source: str | Path, *, window: int | None = None, limit: int | None = None, bos: bool = False
) -> Windows:
    """The windows of a text that a model's quality is measured on. Reads none of its weights.

    Args:
        folder: of the model, with its tokenizer.
        source: see `read_text`; its evaluation part is taken.
        window: tokens of each; ``None``: see `usual_window`.
        limit: take the first so many; ``None``: as many as the text's recipe takes.
        bos: every window begins with what the tokenizer puts before a text, see `window_opening`.

    Raises:
        TextError, NoNetworkError: see `read_text`.
        TextTooShortError, WindowError: see `kencore.models.perplexity.windows`.
        NotALanguageModelError and others: see `check_language_task`.
        TokenizerError, TokenTableError: the tokenizer fails, or gives a token that the model has no row for.
    """
    import torch

    check_language_task(folder)
    text = read_text(source, part="evaluation")
    config, tokenizer = load_config(folder), load_tokenizer(folder)
    positions = stated_positions(config)
    length = usual_window(positions) if window is None else window
    limit = text.windows if limit is None else limit
    check_window(length, positions)
    opening = window_opening(tokenizer, bos=bos)
    numbers = (
        token_numbers(tokenizer, text.text)
        if limit is None
        else first_token_numbers(tokenizer, text.text, length * max(limit, 1) + len(opening))
    )
    ids = windows(
        torch.from_numpy(numbers[len(opening) :]),
        length,
        limit=limit,
        positions=positions,
        name=text.source,
        opening=opening,
    )
    check_tokens(tokenizer, ids.numpy(), stated_rows(config), text.source)
    notes = text.notes if bos else (*text.notes, *_opened(tokenizer))
    return Windows(ids=ids, source=text.source, sha256=text.sha256, notes=notes, bos=bos)


def _opened(tokenizer: Any) -> Iterator[str]:
    """That windows lack what every text of this tokenizer begins with, where there is such a token.

    Gemma 3 270M on four windows of WikiText-2: perplexity 134 as published evaluations cut a text, 55 where every
    window begins with ``<bos>``.
    """
    token = opening_token(tokenizer)
    if token is not None:
        name = tokenizer.convert_ids_to_tokens(token)
        yield (
            f"Only the first window begins with {name}, as published evaluations have it. A model that needs it "
            "before every text, such as Gemma, looks worse than it is, dense and pruned: --bos begins every window "
            "with it."
        )


def is_language_model(folder: Path) -> bool:
    """Whether a folder's config.json names a causal language model. Reads no weights.

    Raises:
        SourceNotFoundError, ConfigError: no such folder, or no readable config.json.
    """
    return _why_not(read_config(folder)) is None


def check_language_task(folder: Path) -> None:
    """Raise unless the folder holds a causal language model and a tokenizer.

    Raises:
        SourceNotFoundError, ConfigError: no such folder, or no readable config.json.
        NotALanguageModelError: another kind of model.
        NoSafetensorsError: no safetensors weights.
        TaskMismatchError: no tokenizer files.
    """
    reason = _why_not(read_config(folder))
    if reason is not None:
        raise _not_a_language_model(folder, reason)
    check_files(folder)


def _why_not(config: dict[str, Any]) -> str | None:
    names = [str(name) for name in config.get("architectures") or []]
    kind = config.get("model_type")
    if not any(name.endswith(LANGUAGE_HEADS) for name in names):
        return ", ".join(names) or "no architecture in config.json"
    if kind in PERMUTING or (kind in TWO_SIDED and not config.get("is_decoder")):
        return f"{', '.join(names)}, which reads both sides of a token"
    return None


def _not_a_language_model(folder: Path, got: str) -> NotALanguageModelError:
    return NotALanguageModelError(
        f"Model {folder}",
        got=got,
        wanted="a causal language model (...ForCausalLM in config.json)",
        remedy="Choose a model that continues a text. Others are pruned by magnitude, random or "
        "against their base, and measured on labeled sentences.",
    )
