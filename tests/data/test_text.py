"""Texts: where they come from, what is held out, and one plain error for each mistake."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kencore.data.text import (
    SOURCES,
    check_length,
    check_window,
    first_token_numbers,
    opening_token,
    read_text,
    token_numbers,
)
from kencore.errors import NoNetworkError, TextError, TextTooShortError, WindowError

PARTS = ("calibration", "evaluation")
TEXTS = ['It is "good".', "", "bad, and 'dull'", "a\u2028line mark", " spaced "]
JOINED = "It is \"good\".\n\n\n\nbad, and 'dull'\n\na\u2028line mark\n\n spaced "


# --- Python's topics --------------------------------------------------------------------------


def test_topics_are_shared_out_by_their_names() -> None:
    calibration, evaluation = (read_text("pydoc", part=part) for part in PARTS)
    held_out = [name for name in sorted(topics) if int.from_bytes(hashlib.sha256(name.encode()).digest()) % 5 == 0]
    assert calibration.documents == len(topics) - len(held_out)
    assert all(text in calibration.text for name, text in topics.items() if name not in held_out)
    # what stands in the calibration text, word for word or almost, measures nothing new
    kept = [name for name in held_out if topics[name] in evaluation.text]
    assert evaluation.text == "\n\n".join(topics[name] for name in kept)
    assert 0 < evaluation.documents == len(kept) < len(held_out)
    lines = [line for line in evaluation.text.splitlines() if line.strip()]
    seen = set(calibration.text.splitlines())
    assert sum(line in seen for line in lines) < len(lines) / 10
    for name in set(held_out) - set(kept):
        own = [line for line in topics[name].splitlines() if line.strip()]
        assert sum(line in seen for line in own) >= len(own) / 2
    for found in (calibration, evaluation):
        assert found.source == "pydoc"
        assert found.sha256 == hashlib.sha256(found.text.encode()).hexdigest()
        assert found.windows is None
    # a quarter of a million characters to calibrate on, and enough to measure
    assert len(calibration.text) > 250_000
    assert len(evaluation.text) > 50_000


# --- files ------------------------------------------------------------------------------------


def jsonl(path: Path, column: str) -> None:
    lines = [json.dumps({"id": i, column: text}) for i, text in enumerate(TEXTS)]
    path.write_text("\n".join(lines), "utf-8")


def tsv(path: Path, column: str) -> None:
    rows = [f"id\t{column}", *(f"{i}\t{text}" for i, text in enumerate(TEXTS))]
    path.write_text("\n".join(rows) + "\n", "utf-8")


def csv(path: Path, column: str) -> None:
    pd.DataFrame({"id": range(5), column: TEXTS}).to_csv(path, index=False)


def parquet(path: Path, column: str) -> None:
    pd.DataFrame({"id": range(5), column: TEXTS}).to_parquet(path)


@pytest.mark.parametrize("write", [jsonl, tsv, csv, parquet])
@pytest.mark.parametrize("column", ["text", "Text", "sentence"])
def test_tables_give_their_text_column(tmp_path: Path, write: Callable[[Path, str], None], column: str) -> None:
    if write is jsonl and column == "Text":
        column = "premise"  # a field of an object is named as it is
    path = tmp_path / f"data.{write.__name__}"
    write(path, column)
    for part in PARTS:
        found = read_text(path, part=part)
        assert (found.text, found.documents) == (JOINED, 5)
        assert found.source == str(path)


@pytest.mark.parametrize("ending", [".txt", ".md", ".TXT"])
def test_a_text_file_is_one_document(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes("\ufeffone\r\n\r\ntwo – three\n".encode())
    found = read_text(str(path), part="evaluation")
    assert (found.text, found.documents) == ("one\n\ntwo – three\n", 1)
    assert found.sha256 == hashlib.sha256(found.text.encode()).hexdigest()


def test_a_table_without_a_header_gives_its_first_column(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("one film\t0\ntwo films\t1\n")
    (tmp_path / "a.csv").write_text('"one, film",0\ntwo films,1\n')
    assert read_text(tmp_path / "a.tsv", part="evaluation").text == "one film\n\ntwo films"
    assert read_text(tmp_path / "a.csv", part="evaluation").text == "one, film\n\ntwo films"


def test_text_comes_before_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"sentence": "no", "text": "yes"}\n')
    assert read_text(tmp_path / "a.jsonl", part="evaluation").text == "yes"


def test_the_shared_text_is_read_whole(shared: Path) -> None:
    path = shared / "data" / "wikitext-2" / "test.txt"
    assert read_text(path, part="evaluation").text == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "no text in it"),
        ("a.txt", b" \n\n", "no text in it"),
        ("a.txt", b"good\n\xff\xfe", "not UTF-8 at row 2"),
        ("a.jsonl", b"", "no text in it"),
        ("a.jsonl", b"{}", "fields without a name"),
        ("a.jsonl", b"[1]\n", "no JSON object at row 1"),
        ("a.jsonl", b'{"text": "a"}\n{"text"', "no JSON at row 2"),
        ("a.jsonl", b'{"body": "a"}\n', "fields body"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "a"}\n', "no text at row 2"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 7}\n', "no text at row 2"),
        ("a.csv", b"", "no text in it"),
        ("a.tsv", b"text\n", "no text in it"),
        ("a.parquet", b"PAR1", "not readable as Parquet"),
        ("a.doc", b"text", "of another kind"),
        ("demo", b"text", "of another kind"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=said) as caught:
        read_text(tmp_path / name, part="calibration")
    assert "pydoc" in str(caught.value)


def test_a_parquet_file_without_text(tmp_path: Path) -> None:
    pd.DataFrame({"body": ["a"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(TextError, match="fields body"):
        read_text(tmp_path / "a.parquet", part="calibration")
    pd.DataFrame({"text": ["a", None]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(TextError, match="no text at row 2"):
        read_text(tmp_path / "b.parquet", part="calibration")


@pytest.mark.parametrize("place", ["nowhere.txt", "~nobody-of-that-name/a.txt", "a\0b.txt"])
def test_a_file_that_is_not_there(place: str) -> None:
    with pytest.raises(TextError, match="Check the path"):
        read_text(place, part="evaluation")


# --- the hub ----------------------------------------------------------------------------------


class Rows:
    """As much of a data set as is used of one."""

    def __init__(self, column: str, texts: list[str]) -> None:
        self._texts, self.column_names = {column: texts}, [column]

    def __getitem__(self, column: str) -> list[str]:
        return self._texts[column]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A library ``datasets`` that answers from ``hub.rows`` and notes what it was asked."""
    made: Any = ModuleType("datasets")
    made.asked, made.rows, made.bars = [], Rows("text", ["one", "", "two"]), [True]

    def load_dataset(path: str, name: str | None = None, **settings: Any) -> Rows:
        assert made.bars[-1] is False
        made.asked.append((path, name, {k: v for k, v in settings.items() if v is not None}))
        if isinstance(made.rows, Exception):
            raise made.rows
        return made.rows

    made.load_dataset = load_dataset
    made.is_progress_bar_enabled = lambda: made.bars[-1]
    made.disable_progress_bars = lambda: made.bars.append(False)
    made.enable_progress_bars = lambda: made.bars.append(True)
    made.__spec__ = object()
    monkeypatch.setitem(sys.modules, "datasets", made)
    return made


def test_wikitext2(hub: Any) -> None:
    found = read_text("wikitext2", part="evaluation")
    assert (found.text, found.documents, found.windows) == ("one\n\n\n\ntwo", 3, None)
    assert read_text("wikitext2", part="calibration").text == "one  two"
    where = ("Salesforce/wikitext", "wikitext-2-raw-v1")
    assert hub.asked == [(*where, {"split": "test"}), (*where, {"split": "train"})]
    assert hub.bars[-1] is True


def test_c4(hub: Any) -> None:
    found = read_text("c4", part="evaluation")
    assert (found.text, found.windows) == ("one  two", 256)
    assert read_text("c4", part="calibration").windows is None
    files = [
        ("validation", "en/c4-validation.00000-of-00008.json.gz", "validation[:1100]"),
        ("train", "en/c4-train.00000-of-01024.json.gz", "train[:10000]"),
    ]
    assert hub.asked == [
        ("allenai/c4", None, {"data_files": {side: file}, "split": split}) for side, file, split in files
    ]


def test_ptb(hub: Any) -> None:
    hub.rows = Rows("sentence", ["one", "two"])
    assert read_text("ptb", part="evaluation").text == "one two"
    assert read_text("ptb", part="calibration").documents == 2
    assert [settings["split"] for _, _, settings in hub.asked] == ["test", "train"]


@pytest.mark.parametrize("name", ["wikitext2", "c4", "ptb"])
def test_without_a_network(hub: Any, name: str) -> None:
    hub.rows = ConnectionError("Couldn't reach it on the Hub (OfflineModeIsEnabled)\nmore")
    with pytest.raises(NoNetworkError, match="OfflineModeIsEnabled") as caught:
        read_text(name, part="evaluation")
    assert "pydoc" in str(caught.value)
    assert "more" not in str(caught.value)
    assert hub.bars[-1] is True


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (FileNotFoundError("no such data set"), "no such data set"),
        (ValueError("no such config"), "no such config"),
        (RuntimeError("Dataset scripts are no longer supported"), "no longer supported"),
        (Rows("body", ["one"]), "columns body"),
        (Rows("text", ["", " "]), "no text in it"),
    ],
)
def test_a_data_set_that_is_not_what_it_was(hub: Any, rows: Any, said: str) -> None:
    hub.rows = rows
    with pytest.raises(TextError, match=said):
        read_text("wikitext2", part="evaluation")


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "pydoc"])
def test_without_the_library(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(TextError, match=r"pip install"):
        read_text(name, part="calibration")


# --- tokens and windows -----------------------------------------------------------------------


class Letters:
    """A tokenizer that puts 1 before a text, and gives its letters' numbers."""

    def __call__(self, text: str, *, verbose: bool) -> dict[str, list[int]]:
        assert not verbose
        return {"input_ids": [1, *map(ord, text)]}


def test_tokens_are_the_tokenizers_own() -> None:
    found = token_numbers(Letters(), "ab")
    assert found.dtype == np.int64
    assert found.tolist() == [1, 97, 98]


@pytest.mark.parametrize(("window", "positions"), [(1, None), (0, 9), (-3, None), (10, 9)])
def test_windows_that_cannot_be(window: int, positions: int | None) -> None:
    with pytest.raises(WindowError, match=f"{window} tokens"):
        check_window(window, positions)


def test_windows_that_can_be() -> None:
    check_window(2, None)
    check_window(9, 9)
    check_window(1 << 20, None)
    check_length(9, 9, "a")
    with pytest.raises(TextTooShortError, match="8 tokens; wanted 9 or more"):
        check_length(8, 9, "a")


# --- light -----------------------------------------------------------------------------------


def test_the_web_process_can_read() -> None:
    """Neither torch nor transformers nor pandas comes with the module, or with Python's topics."""
    code = (
        "import sys; from kencore.data.text import read_text; read_text('pydoc', part='evaluation');"
        "import kencore.data.calibration, kencore.models.perplexity, kencore.models.language;"
        "print([m for m in ('torch', 'transformers', 'pandas', 'scipy', 'datasets')"
        " if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_a_compressed_file_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}'))
    with pytest.raises(TextError, match="of another kind"):
        read_text(tmp_path / "a.jsonl.gz", part="evaluation")


# --- the first tokens -------------------------------------------------------------------------


class Tokenizer:
    """One of tokenizers' own kinds, as transformers calls it; counts what it is given."""

    is_fast = True

    def __init__(self, inner: Any) -> None:
        self.inner, self.characters = inner, 0

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        self.characters += len(text)
        return {"input_ids": self.inner.encode(text).ids}


def trained(kind: str) -> Tokenizer:
    """A tokenizer of each family: bytes by words, words by pieces, and pieces that run across words."""
    import tokenizers as t

    text = read_text("pydoc", part="evaluation").text
    made = {
        "bytes": (t.models.BPE(), t.pre_tokenizers.ByteLevel(), t.trainers.BpeTrainer),
        "pieces": (t.models.WordPiece(unk_token="?"), t.pre_tokenizers.BertPreTokenizer(), t.trainers.WordPieceTrainer),
        "across": (t.models.BPE(), t.pre_tokenizers.Metaspace(split=False), t.trainers.BpeTrainer),
        "unigram": (t.models.Unigram(), t.pre_tokenizers.Metaspace(), t.trainers.UnigramTrainer),
    }
    model, before, trainer = made[kind]
    inner = t.Tokenizer(model)
    inner.pre_tokenizer = before
    special = {"unk_token": "?"} if kind == "unigram" else {}
    inner.train_from_iterator(
        text[:60_000].split("\n\n"),
        trainer(vocab_size=600, special_tokens=["?", "<s>", "</s>"], show_progress=False, **special),
    )
    inner.post_processor = t.processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return Tokenizer(inner)


@pytest.mark.parametrize("kind", ["bytes", "pieces", "across", "unigram"])
def test_the_first_tokens_are_those_of_the_whole_text(kind: str) -> None:
    tokenizer, text = trained(kind), read_text("pydoc", part="evaluation").text
    whole = token_numbers(tokenizer, text)
    tokenizer.characters = 0
    np.testing.assert_array_equal(first_token_numbers(tokenizer, text, 700), whole[:700])
    assert tokenizer.characters < len(text) / 4
    for count in (1, 3000, len(whole) - 1, len(whole) + 5):
        np.testing.assert_array_equal(first_token_numbers(tokenizer, text, count)[:count], whole[:count])


def test_a_text_without_paragraphs_and_a_slow_tokenizer_are_read_whole() -> None:
    tokenizer, text = trained("bytes"), "word " * 5000
    np.testing.assert_array_equal(first_token_numbers(tokenizer, text, 50), token_numbers(tokenizer, text))
    tokenizer.is_fast, tokenizer.characters = False, 0
    first_token_numbers(tokenizer, text, 50)
    assert tokenizer.characters == len(text)


@pytest.mark.parametrize(
    ("made", "opening"),
    [
        (lambda text: [7, *map(ord, text)], 7),
        (lambda text: [7, *map(ord, text), 8], 7),
        (lambda text: [*map(ord, text), 8], None),
        (lambda text: [*map(ord, text)], None),
        (lambda text: [*(3 for _ in text), 8], None),  # knows no letter
    ],
)
def test_what_every_text_begins_with(made: Callable[[str], list[int]], opening: int | None) -> None:
    def tokenizer(text: str, *, verbose: bool) -> dict[str, list[int]]:
        return {"input_ids": made(text)}

    assert opening_token(tokenizer) == opening
