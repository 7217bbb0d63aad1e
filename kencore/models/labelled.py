"""Data beside a model, looked at before its weights are read: what they are, and what their labels mean to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.data.hub_text import HUB
from kencore.data.text import PYDOC, SOURCES, read_text
from kencore.errors import KencoreError, NotALanguageModelError, TaskMismatchError
from kencore.models.embedder import check_lines, is_encoder, sentences_for
from kencore.models.language import check_language_task, is_language_model
from kencore.models.loading import check_task, check_words, is_classifier, labels_told
from kencore.settings.common import LABELLED, PLAIN
from kencore.settings.demo import LABELLED_FILES

if TYPE_CHECKING:
    from kencore.data.examples import Examples

LOOKED_AT = 1_000  # sentences that are tokenised before anything is measured


def labelled(folder: Path, data: str) -> Examples:
    """Labelled sentences for a classifier, with what their labels mean to it. Reads none of its weights.

    Raises:
        NotALanguageModelError: a text.
        DataFileError: they cannot be read.
        TaskMismatchError: the model is no classifier, or does not know their labels.
        AmbiguousLabelsError: labels that can be read two ways.
    """
    from kencore.data.examples import read_examples

    if data in SOURCES or Path(data).suffix.lower() in PLAIN:
        if not is_classifier(folder):
            check_language_task(folder)  # says what it is instead
        check_task(folder)
        raise _text_for_a_classifier(folder, data)
    examples = read_examples(data)
    check_task(folder)
    return labels_told(folder, examples)


def refuse_labels(folder: Path, data: str) -> None:
    """Raise where a language model is to be measured on the demo's labelled sentences."""
    if data in LABELLED_FILES:
        raise TaskMismatchError(
            f"Data {data}",
            got="labeled sentences",
            wanted=f"a text, since {folder.name} is a causal language model",
            remedy="Choose pydoc, wikitext2, c4, ptb or a file of text.",
        )


def look_at(folder: Path, data: str) -> dict[str, Any]:
    """What there is to say of data for a model of a folder, as plain JSON; nothing is fetched from a hub.

    Returns:
        data: as it was named; notes: how it was read and what its labels mean; problem: an error's fields where it
        cannot be used, else ``None``.
    """
    notes: tuple[str, ...] = ()
    problem: dict[str, str] | None = None
    try:
        if is_language_model(folder):
            refuse_labels(folder, data)
            if data != PYDOC and data not in HUB:
                notes = read_text(data, part="evaluation").notes
        elif is_encoder(folder):
            lines = sentences_for(folder, data)
            check_lines(folder, replace(lines, texts=lines.texts[:LOOKED_AT]))
            notes = (f"{len(lines):,} sentences.", *lines.notes)
        else:
            examples = labelled(folder, data)
            check_words(folder, _head(examples))
            notes = (f"{len(examples):,} labeled sentences.", *examples.notes)
    except KencoreError as error:
        problem = error.to_json()
    return {"data": data, "notes": list(notes), "problem": problem}


def _head(examples: Examples) -> Examples:
    """The first of them: enough to see that tokenizer and model fit."""
    pairs = None if examples.pairs is None else examples.pairs[:LOOKED_AT]
    return replace(examples, texts=examples.texts[:LOOKED_AT], labels=examples.labels[:LOOKED_AT], pairs=pairs)


def _text_for_a_classifier(folder: Path, data: str) -> NotALanguageModelError:
    return NotALanguageModelError(
        f"Data {data}",
        got="text without labels",
        wanted=f"labeled sentences, since {folder.name} is a classifier",
        remedy=f"Choose {LABELLED}.",
    )
