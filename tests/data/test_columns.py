"""Pairs of sentences under every name that data sets give them; two texts are never read as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kencore.data.columns import PAIRS
from kencore.data.examples import read_examples
from kencore.errors import DataFileError

FIRST, SECOND = ("a first text here", "and another one"), ("the second text", "of the other")


def save(folder: Path, **columns: object) -> Path:
    path = folder / "d.jsonl"
    rows = zip(*columns.values(), strict=True)  # type: ignore[call-overload]
    path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("pair", [*PAIRS, ("text", "sentence2"), ("sentence", "hypothesis"), ("Question", "Sentence")])
def test_both_texts_are_read_in_their_order(tmp_path: Path, pair: tuple[str, str]) -> None:
    found = read_examples(save(tmp_path, idx=[0, 1], **{pair[1]: SECOND, pair[0]: FIRST}, label=[0, 1]))
    assert (found.texts, found.pairs) == (FIRST, SECOND)


def test_a_pair_in_a_tsv(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_text("index\tquestion\tsentence\tlabel\n0\twho?\tme, of course\tentailment\n")
    found = read_examples(path)
    assert (found.texts, found.pairs, found.labels) == (("who?",), ("me, of course",), ("entailment",))


@pytest.mark.parametrize(
    "names", [("sentence", "context"), ("text", "title"), ("text", "remark"), ("premise", "query")]
)
def test_a_second_text_that_nothing_says_how_to_use(tmp_path: Path, names: tuple[str, str]) -> None:
    longer = tuple(f"{text} with some more words" for text in SECOND)
    with pytest.raises(DataFileError, match=f"two columns of text, {names[0]} and {names[1]}"):
        read_examples(save(tmp_path, **{names[0]: FIRST, names[1]: longer}, label=[0, 1]))


def test_columns_that_are_no_text(tmp_path: Path) -> None:
    path = save(tmp_path, text=FIRST, source=["my shop", "a b"], id=[3, 4], title=["", None], label=[0, 1])
    found = read_examples(path)
    assert (found.texts, found.pairs) == (FIRST, None)
