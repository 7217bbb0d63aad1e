"""Which columns of a table hold the sentences: one, or both of a pair; never one of two without a word."""

from __future__ import annotations

from itertools import islice

from kencore.data.files import TEXT_COLUMNS, DataFile
from kencore.data.tables import Table, find_column

LABEL = "label"
# names that stand for the first and the second sentence of a pair, as data sets have them
PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "context"),
    ("question", "answer"),
    ("query", "passage"),
    ("query", "document"),
    ("text", "text_pair"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence_a", "sentence_b"),
)
SECOND = ("sentence2", "hypothesis")  # beside any name of a single text
# names that hold text in most data sets: never left unread without a word
TEXTS = frozenset(name for pair in PAIRS for name in pair) | {"title", "description", "content", "body", "review"}
FIRST = tuple(dict.fromkeys((*TEXT_COLUMNS, *(first for first, _ in PAIRS))))
COLUMNS = (
    f"a column {LABEL} and one of {', '.join(TEXT_COLUMNS)}, or for pairs two such as "
    f"{', '.join(f'{a} and {b}' for a, b in PAIRS[:4])}, text and text_pair"
)
LOOKED_AT = 200  # cells of a column, to tell whether it holds sentences
WORDS = 4  # of a cell that reads as a sentence, at least


def sentence_columns(file: DataFile, table: Table) -> tuple[int | None, int | None]:
    """The places of the first sentence and of the second; ``None`` where there is none.

    Raises:
        DataFileError: further text that nothing says how to use.
    """
    for pair in PAIRS:
        first, second = (find_column(file, table, [name]) for name in pair)
        if first is not None and second is not None:
            return first, second
    first, second = find_column(file, table, TEXT_COLUMNS), find_column(file, table, SECOND)
    if first is not None and second is None:
        _check_alone(file, table, first)
    return first, second


def _check_alone(file: DataFile, table: Table, used: int) -> None:
    for n, name in enumerate(table.names):
        plain = name.strip().lower().rpartition(".")[2]
        if n == used or plain == LABEL or not _is_text(table, n, known=plain in TEXTS):
            continue
        raise file.wrong(
            file.path,
            f"two columns of text, {table.names[used]} and {name}",
            "name them sentence1 and sentence2 if they are pairs; if not, remove the one that the model does not read",
        )


def _is_text(table: Table, n: int, *, known: bool) -> bool:
    """Whether a column of a known name holds any text, or one of another name sentences for the most part."""
    cells = [cell for cell in islice(table.take(n), LOOKED_AT) if isinstance(cell, str) and cell.strip()]
    return bool(cells) and (known or sum(len(cell.split()) >= WORDS for cell in cells) * 2 > len(cells))
