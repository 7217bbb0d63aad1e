"""Plain text for calibration and perplexity: Python's own topics, a file, or a hub data set.

Importing this module needs neither torch nor transformers: the web process checks settings with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.data.files import TEXT_COLUMNS, DataFile, read_file
from kencore.data.hub_text import HUB, Part, read_hub_text
from kencore.data.read import read_table
from kencore.data.tables import find_column, texts_of
from kencore.data.tokens import REMEDY, tokenizer_errors
from kencore.errors import DataFileError, TextError, TextTooShortError, WindowError
from kencore.settings.common import PLAIN, TABLES

PYDOC = "pydoc"
SOURCES: dict[str, str] = {
    PYDOC: "Python's reference topics (on every machine)",
    "wikitext2": "WikiText-2 (from the hub)",
    "c4": "C4, English (from the hub)",
    "ptb": "Penn Treebank (from the hub)",
}
ENDINGS = (*PLAIN, *TABLES)
COLUMNS = ("text", *(name for name in TEXT_COLUMNS if name != "text"))
BETWEEN = "\n\n"
CHARACTERS = 4  # of a token, about: the first guess
SPARE = 256  # tokens before the end of a part that are not relied on
# N tokens of a text, T tokens of a window


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text, whole.

    Args:
        source: what the person wrote.
        text: the documents, joined.
        sha256: of the text in UTF-8.
        documents: how many were joined.
        windows: how many windows the usual recipe takes of it; ``None``: all of them.
        notes: what a person should know of how the file was read.
    """

    source: str
    text: str
    sha256: str
    documents: int
    windows: int | None = None
    notes: tuple[str, ...] = ()


def read_text(source: str | Path, *, part: Part) -> Text:
    """Read a text.

    Args:
        source: ``"pydoc"``; ``"wikitext2"``, ``"c4"`` or ``"ptb"``, see `read_hub_text`; or a file:
            ``.txt`` or ``.md`` (whole), ``.jsonl`` or ``.json`` (field ``text``), ``.csv`` or
            ``.tsv`` (column ``text``; the first where there is no header), ``.parquet`` (column
            ``text``). In place of ``text`` the names that `read_examples` knows serve too. Rows are joined by
            an empty line.
        part: what the text is for. ``pydoc`` and the hub data sets give each its own documents;
            a file is the same for both.

    Raises:
        TextError: no such source, an unreadable file, no such column, no text in it, or a hub
            data set without the library that reads it.
        NoNetworkError: a hub data set that is neither on this machine nor within reach.
    """
    name = str(source)
    limit = None
    notes: tuple[str, ...] = ()
    texts: Sequence[str]
    if name == PYDOC:
        texts, between = _topics(held_out=part == "evaluation"), BETWEEN
    elif name in HUB:
        texts, between, limit = read_hub_text(name, part)
    else:
        (texts, notes), between = _documents(read_file(source, ENDINGS, _wrong)), BETWEEN
    text = between.join(texts)
    sha256 = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Text(source=name, text=text, sha256=sha256, documents=len(texts), windows=limit, notes=notes)


def token_numbers(tokenizer: Any, text: str) -> NDArray[np.int64]:
    """(N,) the tokens of a text, tokenised once and whole.

    With the special tokens that the tokenizer itself puts around a text, as the published
    evaluations of pruned models have it.

    Raises:
        TokenizerError: the tokenizer fails.
    """
    # verbose=False: a text is longer than a window, and a warning says so each time
    with tokenizer_errors("Tokenizer", wanted="tokens of the text", remedy=REMEDY):
        return np.asarray(tokenizer(text, verbose=False)["input_ids"], dtype=np.int64)


def opening_token(tokenizer: Any) -> int | None:
    """The token that a tokenizer puts before every text, such as ``<bos>``; ``None``: none.

    Raises:
        TokenizerError: the tokenizer fails.
    """
    alone = token_numbers(tokenizer, "")  # what is put around a text, without one
    if not len(alone):
        return None
    begins = [token_numbers(tokenizer, text)[:1].tolist() for text in ("a", "b")]
    return int(alone[0]) if begins == [[alone[0]], [alone[0]]] else None


def window_opening(tokenizer: Any, *, bos: bool) -> list[int]:
    """What every window begins with: nothing, or with ``bos`` the one token that `opening_token` names.

    Raises:
        TokenizerError: the tokenizer fails.
        WindowError: ``bos``, and the tokenizer puts no token before a text.
    """
    if not bos:
        return []
    token = opening_token(tokenizer)
    if token is None:
        raise WindowError(
            "bos",
            got="a tokenizer that puts no token before a text",
            wanted="one that does, such as Gemma's",
            remedy="Leave it out: the windows of this model begin as its texts do.",
        )
    return [token]


def first_token_numbers(tokenizer: Any, text: str, count: int) -> NDArray[np.int64]:
    """(N,) the first ``count`` tokens of a text, and maybe more: all that a few windows are cut from.

    So much of the text is tokenised as holds them and some more, up to an empty line: what follows a paragraph does
    not change how its words are cut, and the tokens near the end are dropped. A tokenizer that is not transformers'
    fast kind reads the whole text.
    """
    length = CHARACTERS * (count + SPARE)
    while getattr(tokenizer, "is_fast", False) and length < len(text):
        end = text.rfind(BETWEEN, 0, length)
        numbers = token_numbers(tokenizer, text[:end] if end > 0 else "")
        if len(numbers) >= count + SPARE:
            return numbers[:count]
        length *= 2
    return token_numbers(tokenizer, text)


def check_window(window: int, positions: int | None) -> None:
    """Raise `WindowError` unless a window predicts something and fits the model's positions."""
    if window < 2 or (positions is not None and window > positions):
        wanted = "2 tokens or more" if positions is None else f"2 to {positions:,} tokens"
        raise WindowError(
            "window",
            got=f"{window:,} tokens",
            wanted=f"{wanted}, what this model can read",
            remedy="Choose another window, or none for the largest that is usual.",
        )


def check_length(tokens: int, window: int, name: str) -> None:
    """Raise `TextTooShortError` unless ``tokens`` tokens hold one window."""
    if tokens < window:
        raise TextTooShortError(
            f"Text {name}",
            got=f"{tokens:,} tokens",
            wanted=f"{window:,} or more, for one window",
            remedy="Choose a longer text, or a shorter window.",
        )


# --- where it comes from ------------------------------------------------------------------------


def _topics(*, held_out: bool) -> list[str]:
    """A fifth of Python's reference topics, or the rest.

    Topics of the fifth that stand almost line for line inside the rest are left out of both: they
    are no new text.
    """
    from pydoc_data.topics import topics

    names = sorted(topics)
    rest = [topics[name] for name in names if not _is_held_out(name)]
    if not held_out:
        return rest
    known = {line for text in rest for line in text.splitlines()}
    fifth = (topics[name] for name in names if _is_held_out(name))
    return [text for text in fifth if not _repeats(text, known)]


def _repeats(text: str, known: set[str]) -> bool:
    """Whether half of a text's lines are known, or more."""
    lines = [line for line in text.splitlines() if line.strip()]
    return sum(line in known for line in lines) * 2 >= len(lines)


def _is_held_out(name: str) -> bool:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 5 == 0


def _documents(file: DataFile) -> tuple[Sequence[str], tuple[str, ...]]:
    """The texts of a file, and what to say of how it was read."""
    texts, notes = ((file.text,), file.notes) if file.ending in PLAIN else column_of(file)
    if not any(text.strip() for text in texts):
        raise _wrong(file.path, "no text in it", "give at least a few thousand words")
    return texts, notes


def column_of(file: DataFile) -> tuple[Sequence[str], tuple[str, ...]]:
    """The texts of a table, and what to say of how it was read."""
    table = read_table(file, lambda names: not set(COLUMNS).isdisjoint(names))
    if not len(table):
        return (), ()
    n = find_column(file, table, COLUMNS) if table.headed else 0
    if n is None:
        raise _no_column(file, table.names)
    return texts_of(file, table, n, "text", empty=True), table.notes


def _no_column(file: DataFile, names: Iterable[str]) -> DataFileError:
    got = f"fields {', '.join(map(str, names)) or 'without a name'}"
    return file.wrong(file.path, got, f"name the one that holds the text: {', '.join(COLUMNS)}")


def _wrong(path: Path, got: str, remedy: str) -> TextError:
    return TextError(
        f"Text {path}",
        got=got,
        wanted=f"{', '.join(SOURCES)}, or a file of text ({', '.join(ENDINGS)})",
        remedy=remedy[0].upper() + remedy[1:] + ".",
    )
