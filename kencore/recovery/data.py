"""What a pruned model is tuned on and what it is measured on, kept apart.

Shapes: N sentences, W windows, T tokens of a window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kencore.data.examples import Examples
from kencore.data.text import read_text, token_numbers, window_opening
from kencore.data.tokens import check_tokens
from kencore.errors import DataFileError, OverlapError
from kencore.models.language import Windows, check_language_task, is_language_model, read_windows, usual_window
from kencore.models.loaded import stated_positions
from kencore.models.loading import check_task, load_config
from kencore.models.perplexity import windows
from kencore.models.tokenizer import load_tokenizer, stated_rows
from kencore.quality.judge import fitting_data
from kencore.settings.demo import LABELLED_FILES
from kencore.settings.recover import AS_THE_RUN, RecoverSpec

if TYPE_CHECKING:
    from kencore.runs.run import Run

Data = Examples | Windows
MOST_SHARED = 0.5  # of a text's lines that stand in the training text


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What one tuning learns from and is measured on; no sentence or window is in two of them.

    Args:
        train: what it learns from.
        held_out: measured while it learns, and decides which step's weights are kept.
        evaluation: what the finished run is judged on; ``None``: nothing. It may share sentences
            with ``held_out``, never with ``train``.
        notes: how the first two were read, and what was left out, in words.
    """

    train: Data
    held_out: Data
    evaluation: Data | None
    notes: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Source, size and hash of the first two, for ``tuning.json``."""
        sides = {"train": self.train, "held_out": self.held_out}
        return {
            name: {"data": data.source, "sha256": data.sha256, "count": count(data)}
            | ({"window": int(data.ids.shape[1])} if isinstance(data, Windows) else {})
            for name, data in sides.items()
        }


def read_material(run: Run, spec: RecoverSpec) -> Material:
    """Read the training, the held-out and the evaluation data. The weights are not read.

    Raises:
        TaskMismatchError, NotALanguageModelError: data of another kind than the model.
        DataFileError, TextError, NoNetworkError, WindowError: data that cannot be read or are too
            few.
        OverlapError: held-out or evaluation data that are all, or for the greater part, trained on.
    """
    folder = Path(run.tuned_tensors.folder)
    language = is_language_model(folder)
    read = _read_windows if language else _read_examples
    train, held_out, notes = read(folder, run, spec)
    notes = [*_as_read(train, held_out), *notes]
    evaluation = _evaluation(folder, run, spec)
    if evaluation is not None:
        evaluation, note = _without(evaluation, train)
        if language and not note:  # other windows of the same text are no new text
            note = _check_lines(spec.data, evaluation.source, "evaluation")
        notes += note
    return Material(train=train, held_out=held_out, evaluation=evaluation, notes=tuple(notes))


def _as_read(train: Data, held_out: Data) -> list[str]:
    """How the training and the held-out data were read; what holds for both is said once."""
    own = [note for note in held_out.notes if note not in train.notes]
    return [f"Training data: {note}" for note in train.notes] + [f"Held-out data: {note}" for note in own]


def count(data: Data) -> int:
    """N or W."""
    return len(data.ids) if isinstance(data, Windows) else len(data)


def some_of(data: Data, most: int, seed: int) -> Data:
    """At most so many sentences or windows, drawn by the seed, in their order."""
    size = count(data)
    if size <= most:
        return data
    return subset(data, np.sort(np.random.default_rng(seed).permutation(size)[:most]))


def subset(data: Data, which: Iterable[int], source: str | None = None) -> Data:
    """Some sentences or windows, in the order given; their hash says which."""
    chosen = [int(i) for i in which]
    text = f"{data.sha256} {chosen}"
    name = data.source if source is None else source
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if isinstance(data, Windows):
        return replace(data, ids=data.ids[chosen], source=name, sha256=sha256)
    pairs = None if data.pairs is None else tuple(data.pairs[i] for i in chosen)
    return replace(
        data,
        texts=tuple(data.texts[i] for i in chosen),
        pairs=pairs,
        labels=tuple(data.labels[i] for i in chosen),
        source=name,
        sha256=sha256,
    )


def keys(data: Data) -> list[Any]:
    """One value per sentence or window: equal for equal content, case and spaces apart."""
    if isinstance(data, Windows):
        return [row.numpy().tobytes() for row in data.ids]
    pairs: Sequence[str] = data.pairs or ("",) * len(data)
    both = zip(data.texts, pairs, strict=True)
    return [tuple(" ".join(text.split()).casefold() for text in pair) for pair in both]


# --- labelled sentences -------------------------------------------------------------------------


def _read_examples(folder: Path, run: Run, spec: RecoverSpec) -> tuple[Data, Data, list[str]]:
    check_task(folder)  # embeddings have no answer to learn from
    data = cast("Data", fitting_data(folder, spec.data))
    if spec.held_out is None:
        return *_split(data, spec), []
    held_out = cast("Data", fitting_data(folder, spec.held_out))
    known = set(keys(held_out))
    train = [i for i, key in enumerate(keys(data)) if key not in known]
    if not train:
        raise _all_shared("held-out", held_out.source, data.source)
    left = count(data) - len(train)
    if not left:
        return data, held_out, []
    note = f"{left:,} training sentences are among the held-out ones and were left out."
    return subset(data, train), held_out, [note]


def _split(data: Data, spec: RecoverSpec) -> tuple[Data, Data]:
    """Training and held-out part by the seed; equal sentences are on one side."""
    found = keys(data)
    kinds = sorted(set(found))
    order = np.random.default_rng([spec.seed, 1]).permutation(len(kinds))
    apart = {kinds[i] for i in order[: max(1, round(spec.held_out_share * len(kinds)))]}
    held_out = [i for i, key in enumerate(found) if key in apart]
    train = [i for i, key in enumerate(found) if key not in apart]
    if not train:
        raise DataFileError(
            f"Training data {data.source}",
            got=f"{len(found):,} to learn from and to hold out",
            wanted="at least two that differ",
            remedy="Give more data, name held-out data, or hold out a smaller share.",
        )
    share = f"{spec.held_out_share:g} of {data.source}, held out"
    return subset(data, train), subset(data, held_out, share)


# --- text ---------------------------------------------------------------------------------------


def _read_windows(folder: Path, run: Run, spec: RecoverSpec) -> tuple[Data, Data, list[str]]:
    import torch

    check_language_task(folder)
    if spec.data in LABELLED_FILES:
        fitting_data(folder, spec.data)  # says that it is no text
    text = read_text(spec.data, part="calibration")
    config, tokenizer = load_config(folder), load_tokenizer(folder)
    positions = stated_positions(config)
    window = spec.window or run.spec.window or usual_window(positions)
    opening = window_opening(tokenizer, bos=run.spec.bos)
    tokens = torch.from_numpy(token_numbers(tokenizer, text.text)[len(opening) :])
    ids = windows(tokens, window, positions=positions, name=text.source, opening=opening)  # W, T
    check_tokens(tokenizer, ids.numpy(), stated_rows(config), text.source)
    data = Windows(ids=ids, source=text.source, sha256=text.sha256, notes=text.notes, bos=run.spec.bos)
    if spec.held_out is None:
        return *_split(data, spec), []
    held_out = read_windows(folder, spec.held_out, window=window, bos=run.spec.bos)
    return data, held_out, _check_lines(spec.data, spec.held_out, "held-out")


def _check_lines(train: str, source: str, which: str) -> list[str]:
    """Refuse a text of which half stands in the training text; a note where some does."""
    text = read_text(train, part="calibration").text
    known = shared_lines(text, read_text(source, part="evaluation").text)
    if known >= MOST_SHARED:
        raise _all_shared(which, source, train, f"{known:.0%} of its lines are")
    note = f"{known:.0%} of the lines of the {which} text are also in the training text."
    return [note] if known >= 0.005 else []


def shared_lines(text: str, other: str) -> float:
    """Share of the lines of ``other`` that stand in ``text``, blank ones apart."""
    known = {line.strip() for line in text.splitlines()}
    lines = [line.strip() for line in other.splitlines() if line.strip()]
    return sum(line in known for line in lines) / len(lines) if lines else 0.0


# --- what is judged at the end ------------------------------------------------------------------


def _evaluation(folder: Path, run: Run, spec: RecoverSpec) -> Data | None:
    asked = run.spec.evaluation if spec.evaluation == AS_THE_RUN else spec.evaluation
    if asked is None:
        return None
    return cast("Data", fitting_data(folder, asked, window=run.spec.window, limit=run.spec.windows, bos=run.spec.bos))


def _without(data: Data, train: Data) -> tuple[Data, list[str]]:
    """The evaluation data without what was trained on: figures are of new data alone."""
    known = set(keys(train))
    left = [i for i, key in enumerate(keys(data)) if key not in known]
    if len(left) == count(data):
        return data, []
    if not left:
        raise _all_shared("evaluation", data.source, train.source)
    what = "windows" if isinstance(data, Windows) else "sentences"
    gone = f"{count(data) - len(left):,} of {count(data):,} {what}"
    source = f"{data.source} without what was trained on"
    note = f"{gone} of {data.source} were trained on: the run is judged on the others."
    return subset(data, left, source), [note]


def _all_shared(which: str, source: str, train: str, got: str = "all of it is") -> OverlapError:
    return OverlapError(
        f"The {which} data {source}",
        got=f"{got} in the training data {train}",
        wanted="data that the model does not learn from",
        remedy="Name other data, or name no held-out data: a share of the training data is then kept apart.",
    )
