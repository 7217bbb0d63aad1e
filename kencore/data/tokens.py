"""Asking a tokenizer for tokens: whatever it raises becomes one plain error, and every token has a row in its table.

Importing this module needs neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import KencoreError, TokenizerError, TokenTableError

Row = dict[str, list[int]]
REMEDY = "Check the tokenizer's files, or copy them again from where the model comes from."


@contextmanager
def tokenizer_errors(subject: str, *, wanted: str, remedy: str) -> Iterator[None]:
    """Whatever a tokenizer raises inside as `TokenizerError`, with the original chained.

    Its backend is written in Rust: a failed assertion there is a ``PanicException``, which is no
    ``Exception``.
    """
    try:
        yield
    except (KencoreError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise TokenizerError(subject, got=_line(error), wanted=wanted, remedy=remedy) from error


def tokenised(
    tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None = None, *, limit: int | None = None
) -> list[Row]:
    """What a tokenizer makes of each text, or pair of texts: its lists by their names, without padding.

    Args:
        limit: tokens to cut at, as the tokenizer cuts; ``None``: nothing is cut.

    Raises:
        TokenizerError: the tokenizer fails.
    """
    second = None if pairs is None else list(pairs)
    # verbose=False: a text may be longer than a window, and a warning says so each time
    options: dict[str, Any] = {"padding": False, "verbose": False}
    options |= {"truncation": False} if limit is None else {"truncation": True, "max_length": limit}
    with tokenizer_errors("Tokenizer", wanted="tokens of every text", remedy=REMEDY):
        table = tokenizer(list(texts), second, **options)
        return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def check_rows(tokenizer: Any, rows: Sequence[Row], tokens: int | None, types: int | None, name: str) -> None:
    """`check_tokens` and `check_types` of rows, for tables of so many tokens and types; no row is empty."""
    empty = next((i for i, row in enumerate(rows, start=1) if not row["input_ids"]), None)
    if empty is not None:
        raise TokenizerError(
            f"Tokens of {name}",
            got=f"no token at example {empty}",
            wanted="one or more of every text",
            remedy="Remove the example, or check that the folder's tokenizer is the model's own.",
        )
    if rows:
        check_tokens(tokenizer, _flat(rows, "input_ids"), tokens, name)
        if "token_type_ids" in rows[0]:
            check_types(_flat(rows, "token_type_ids"), types, name)


def _flat(rows: Sequence[Row], key: str) -> NDArray[np.int64]:
    return np.concatenate([np.asarray(row[key], dtype=np.int64) for row in rows])


def check_tokens(tokenizer: Any, ids: NDArray[np.int64], rows: int | None, name: str) -> None:
    """Raise unless every token has a row in the model's table of embeddings.

    Args:
        ids: any shape.
        rows: of the table; ``None``: the model has none.
        name: of the text, for the error.

    Raises:
        TokenTableError: a token outside the table.
    """
    if rows is None or not ids.size or (int(ids.max()) < rows and int(ids.min()) >= 0):
        return
    found = np.unique(ids[(ids >= rows) | (ids < 0)])
    with tokenizer_errors("Tokenizer", wanted="a name of every token", remedy=REMEDY):
        token = tokenizer.convert_ids_to_tokens(int(found[0]))
    more = f", and {len(found) - 1:,} more" if len(found) > 1 else ""
    raise TokenTableError(
        f"Tokens of {name}",
        got=f"token {token!r} with number {int(found[0]):,}{more}",
        wanted=f"numbers 0 to {rows - 1:,}, the rows of the model's table of token embeddings",
        remedy="Copy the tokenizer that the model was trained with into its folder, or give the model a row for every "
        "added token (resize_token_embeddings) and train it.",
    )


def check_types(types: NDArray[np.int64], rows: int | None, name: str) -> None:
    """Raise unless every token type (0: first sentence, 1: second) has a row in the model's table.

    Args:
        types: any shape.
        rows: of the table; ``None``: the model has none.
        name: of the text, for the error.

    Raises:
        TokenTableError: a type outside the table.
    """
    if rows is None or not types.size or int(types.max()) < rows:
        return
    raise TokenTableError(
        f"Token types of {name}",
        got=f"type {int(types.max())}, which the tokenizer gives to the second sentence of a pair",
        wanted=f"types 0 to {rows - 1}, the rows of the model's table token_type_embeddings",
        remedy="Copy the tokenizer that the model was trained with into its folder.",
    )


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= 200 else text[:200] + "..."
