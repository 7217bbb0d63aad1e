"""Reading labelled sentences: three kinds of file, one content; one error per mistake."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.data.examples import Examples, read_examples
from kencore.errors import DataFileError
from kencore.settings.demo import sentences_file

TEXTS = ('It is "good".', "bad, and 'dull'", "NA", "a\u2028line mark", " spaced ")
LABELS = (1, 0, 0, 1, 1)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def as_file(folder: Path, ending: str, columns: dict[str, Any]) -> Path:
    path = folder / f"data{ending}"
    table = pd.DataFrame(columns)
    if ending == ".tsv":
        rows = [list(map(str, row)) for row in table.itertuples(index=False)]
        return write(path, "".join("\t".join(row) + "\n" for row in [list(columns), *rows]))
    if ending == ".jsonl":
        records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return write(path, "".join(json.dumps(record) + "\n" for record in records))
    table.to_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", ["sentence", "text", "Sentence", "premise"])
def test_the_three_kinds_of_file_read_alike(tmp_path: Path, ending: str, name: str) -> None:
    path = as_file(tmp_path, ending, {"id": range(5), name: TEXTS, "label": LABELS})
    found = read_examples(path)
    assert (found.texts, found.labels, found.pairs) == (TEXTS, LABELS, None)
    assert found.source == str(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(found) == 5


@pytest.mark.parametrize("ending", [".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("names", [("sentence1", "sentence2"), ("premise", "hypothesis")])
def test_pairs(tmp_path: Path, ending: str, names: tuple[str, str]) -> None:
    columns = {names[0]: ["a", "b"], names[1]: ["c", "d"], "label": ["yes", "no"]}
    found = read_examples(as_file(tmp_path, ending, columns))
    assert found.texts == ("a", "b")
    assert found.pairs == ("c", "d")
    assert found.labels == ("yes", "no")


def test_a_tsv_without_a_header(tmp_path: Path) -> None:
    found = read_examples(write(tmp_path / "a.tsv", "good film\t1\nbad film\t0"))
    assert (found.texts, found.labels) == (("good film", "bad film"), (1, 0))
    found = read_examples(write(tmp_path / "b.tsv", "good\tbad\tno\r\nfine\tgood\tyes\r\n"))
    assert found.texts == ("good", "fine")
    assert found.pairs == ("bad", "good")
    assert found.labels == ("no", "yes")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    found = read_examples(write(tmp_path / "a.tsv", b"\xef\xbb\xbfgood\t1\n"))
    assert found.texts == ("good",)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["1", "0"], (1, 0)),
        ([1.0, 0.0], (1, 0)),
        ([True, False], (1, 0)),
        (["-1", "2"], (-1, 2)),
        (["good", "bad"], ("good", "bad")),
        (["1", "bad"], ("1", "bad")),
        (["1", "2" * 5000], ("1", "2" * 5000)),
    ],
)
def test_labels_are_numbers_where_all_are(tmp_path: Path, values: list[Any], wanted: tuple[Any, ...]) -> None:
    path = as_file(tmp_path, ".jsonl", {"text": ["a", "b"], "label": values})
    assert read_examples(path).labels == wanted


@settings(deadline=None)  # it writes files
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\t\n\r", codec="utf-8"), min_size=1).filter(str.strip),
            st.integers(0, 9),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_text_without_tabs_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("text")
    texts, labels = zip(*rows, strict=True)
    for ending in (".tsv", ".jsonl", ".parquet"):
        found = read_examples(as_file(folder, ending, {"sentence": texts, "label": labels}))
        assert (found.texts, found.labels) == (texts, labels)


def test_the_demo_sentences_have_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    by_name, by_path = read_examples("demo"), read_examples(sentences_file())
    assert by_name.source == "demo"
    assert by_name.texts == by_path.texts
    (tmp_path / "demo").mkdir()
    write(tmp_path / "demo" / "sentences.tsv", "other\t1\n")
    monkeypatch.setenv("KENVIZ_ASSETS", str(tmp_path))
    assert read_examples("demo").texts == ("other",)


MISTAKES = {
    "other ending": ("data.xlsx", b"good,1\n", "of another kind"),
    "empty": ("data.tsv", b"", "no rows"),
    "header alone": ("data.tsv", b"sentence\tlabel\n", "no rows"),
    "empty jsonl": ("data.jsonl", b"", "no rows"),
    "undecodable": ("data.tsv", b"good\t1\nbad\t0\nna\xefve\t1\n", "not UTF-8 at row 3"),
    "one field": ("data.tsv", b"good\nbad\n", "no known header and has 1 tab-separated"),
    "uneven rows": ("data.tsv", b"good\t1\nbad\t0\tmore\n", "3 tab-separated fields at row 2"),
    "uneven with header": ("data.tsv", b"text\tlabel\na\t1\nb\n", "1 tab-separated fields at row"),
    "no text": ("data.tsv", b"sentence\tlabel\ngood\t1\n  \t0\n", "no sentence at row 3"),
    "no label": ("data.tsv", b"good\t1\nbad\t\n", "no usable label at row 2"),
    "no such columns": ("data.jsonl", b'{"words": "a", "label": 1}\n', "columns words, label"),
    "no label column": ("data.jsonl", b'{"text": "a"}\n', "columns text"),
    "broken json": ("data.jsonl", b'{"text": "a", "label": 1}\n{"text"\n', "no JSON at row 2"),
    "json list": ("data.jsonl", b'{"text": "a", "label": 1}\n[1]\n', "no JSON object at row 2"),
    "missing value": ("data.jsonl", b'{"text": "a", "label": 1}\n{"text": "b"}\n', "no usable label at row 2"),
    "half a label": ("data.jsonl", b'{"text": "a", "label": 0.5}\n', "no usable label at row 1"),
    "number for text": ("data.jsonl", b'{"text": 3, "label": 1}\n', "no text at row 1"),
    "no parquet": ("data.parquet", b"PAR1 not really", "not readable as Parquet"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named(tmp_path: Path, mistake: str) -> None:
    name, content, got = MISTAKES[mistake]
    with pytest.raises(DataFileError) as caught:
        read_examples(write(tmp_path / name, content))
    assert got in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no such file"):
        read_examples(tmp_path / "absent.tsv")
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(DataFileError, match="is a directory"):
        read_examples(tmp_path / "folder.tsv")


def test_examples_are_frozen() -> None:
    examples = Examples(texts=("a",), labels=(1,))
    with pytest.raises(AttributeError):
        examples.labels = (2,)  # type: ignore[misc]


def test_importing_is_light() -> None:
    script = (
        "import sys, kencore.models.classifier; print({'torch', 'transformers', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x.tsv", "a\0b.tsv", "x" * 300 + ".tsv"])
def test_paths_no_file_can_have_are_messages(path: str) -> None:
    with pytest.raises(DataFileError):
        read_examples(path)


def test_examples_that_stand_there_twice_are_told(tmp_path: Path) -> None:
    rows = [f"a film number {i}\t{i % 2}\n" for i in range(20)]
    path = tmp_path / "twice.tsv"
    path.write_text("sentence\tlabel\n" + "".join(rows + rows[:5]))
    (note,) = read_examples(path).notes
    assert note.startswith("5 of 25 examples stand there more than once")
    path.write_text("sentence\tlabel\n" + "".join(rows))
    assert read_examples(path).notes == ()


@pytest.mark.parametrize("head", ["Sentence,Sentiment", "text,target", "Premise,Hypothesis,Category"])
def test_a_header_that_names_no_label_is_no_example(tmp_path: Path, head: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"{head}\n" + ",".join(["a good film"] * head.count(",") + ["1"]) + "\n")
    with pytest.raises(DataFileError, match="columns " + ", ".join(head.split(",")) + ".*a column label"):
        read_examples(path)
