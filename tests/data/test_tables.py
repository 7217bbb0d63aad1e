"""Files as people have them: quoted and not, every encoding and line end, nested, packed, odd."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kencore.data.examples import read_examples
from kencore.data.text import read_text
from kencore.errors import DataFileError

SAID = ['He said "yes" and left', "plain", '"all of it"', 'tail "quote"', "a\ttab", "two\nlines, two", "", "5'' disk"]
LONG = "word " * 40_000  # more than the 131,072 letters of a field that Python's csv module takes
HEAD, ROWS = "sentence\tlabel\n", "good film\t1\nbad film\t0\n"
GOOD, LABELS = ("good film", "bad film"), (1, 0)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    found = read_examples(path)
    return found.texts, found.labels


# --- whose quotes they are --------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".tsv", ".csv"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_pandas_writes_comes_back(tmp_path: Path, ending: str, quoting: int, end: str) -> None:
    kept = [text for text in SAID if text]
    table = pd.DataFrame({"sentence": kept, "label": range(len(kept))})
    path = tmp_path / f"a{ending}"
    table.to_csv(path, sep="\t" if ending == ".tsv" else ",", index=False, quoting=quoting, lineterminator=end)
    assert read(path) == (tuple(kept), tuple(range(len(kept))))
    assert read_text(path, part="evaluation").text == "\n\n".join(kept)
    if ending == ".tsv":
        assert "as pandas writes them" in read_examples(path).notes[0]


GLUE = {
    "lone": ['"open at the front', 'shut at the end"', "plain"],
    "inside": ['a "word" in it', '"whole and "more" inside"', "plain"],
    "two rows that look like one field": ['"begins here', 'ends here"', '"'],
    "a sentence that someone says": ["plain", '"It is good ."', "plain"],
    "escaped": ['"say \\"hi\\" now"', "plain", '"'],
    "an inch": ['the 5" disk', "plain", '""'],
}


@pytest.mark.parametrize("kind", GLUE)
def test_glue_has_no_quoting(tmp_path: Path, kind: str) -> None:
    texts = GLUE[kind]
    path = write(tmp_path / "a.tsv", HEAD + "".join(f"{text}\t{n}\n" for n, text in enumerate(texts)))
    assert read(path) == (tuple(texts), (0, 1, 2))
    (note,) = read_examples(path).notes
    assert "as GLUE's files have them" in note


def test_the_first_quote_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", HEAD + 'good\t1\nan "odd" one\t0\n')
    assert "row 3" in read_examples(path).notes[0]
    assert read_examples(write(tmp_path / "b.tsv", HEAD + ROWS)).notes == ()


def test_a_csv_with_lone_quotes_inside_its_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'sentence,label\nthe 5" disk,1\n"a ""b"", c",0\n')
    assert read(path) == (('the 5" disk', 'a "b", c'), (1, 0))


# --- encodings, line ends, blank lines ---------------------------------------------------------


@pytest.mark.parametrize("ending", [".tsv", ".jsonl", ".txt"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, ending: str, encoding: str, end: str) -> None:
    lines = {
        ".tsv": HEAD + "naïve “film”\t1\nplain\t0\n",
        ".jsonl": '{"text": "naïve “film”", "label": 1}\n{"text": "plain", "label": 0}\n',
        ".txt": "naïve “film”\nplain\n",
    }[ending]
    path = write(tmp_path / f"a{ending}", lines.replace("\n", end).encode(encoding))
    if ending == ".txt":
        found = read_text(path, part="evaluation")
        assert found.text == lines
        assert (found.notes != ()) == (encoding != "utf-8-sig")
    else:
        assert read(path) == (("naïve “film”", "plain"), (1, 0))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tsv", HEAD.encode() + "café\t1\n".encode("latin-1"), r"not UTF-8 at row 2, byte 4 of it \(0xE9\).*Latin-1"),
        ("a.txt", "“quotes”\n".encode("cp1252"), "not UTF-8 at row 1, byte 1"),
        ("a.txt", b"\xff\xfea", "not UTF-16-LE at row 1"),
        ("a.tsv", gzip.compress(b"good\t1\n", mtime=0), r"compressed \(gzip\).*[Uu]npack"),
        ("a.tsv.gz", gzip.compress(b"good\t1\n", mtime=0), "of another kind, compressed.*[Uu]npack"),
        ("a.txt", b"PK\x03\x04rest", r"compressed \(zip\)"),
    ],
)
def test_other_bytes_are_refused_in_words(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataFileError, match=said):
        read_text(path, part="evaluation")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "\n\n" + HEAD + ROWS + "\n  \n\n"),
        ("a.tsv", "\n" + HEAD + ROWS.replace("\n", "\r\n") + "\r\n\r\n"),
        ("a.tsv", "\ufeff\n" + HEAD + "good film\t1\n\nbad film\t0"),
        ("a.csv", '\n"sentence","label"\n"good film",1\n\n"bad film",0\n\n'),
        ("a.csv", "id;sentence;label\n1;good film;1\n2;bad film;0\n"),
        ("a.jsonl", '\n{"text": "good film", "label": 1}\n\n{"text": "bad film", "label": 0}\n\n'),
    ],
)
def test_blank_lines_are_no_rows(tmp_path: Path, name: str, content: str) -> None:
    assert read(write(tmp_path / name, content)) == (GOOD, LABELS)


def test_blank_lines_between_rows_are_told_and_counted_as_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", HEAD + "good\t1\n\nbad\t0\n")
    assert read_examples(path).notes == ("1 blank line was left out.",)
    with pytest.raises(DataFileError, match="no usable label at row 4"):
        read_examples(write(tmp_path / "b.tsv", HEAD + "good\t1\n\nbad\t\n"))


def test_zero_bytes_are_kept_and_told(tmp_path: Path) -> None:
    found = read_examples(write(tmp_path / "a.tsv", HEAD + "go\0od\t1\n\0\t0\n"))
    assert found.texts == ("go\0od", "\0")
    assert "zero bytes, the first at row 2" in found.notes[0]


# --- long, quoted, uneven -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet"])
def test_a_field_may_be_as_long_as_a_book(tmp_path: Path, name: str) -> None:
    path, table = tmp_path / name, pd.DataFrame({"text": [LONG, 'a "b"\nc'], "label": [1, 0]})
    match path.suffix:
        case ".csv" | ".tsv":
            table.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
        case ".parquet":
            table.to_parquet(path)
        case _:
            table.to_json(path, orient="records", lines=path.suffix == ".jsonl")
    assert read_text(path, part="calibration").text == LONG + '\n\na "b"\nc'
    assert read(path) == ((LONG, 'a "b"\nc'), (1, 0))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text\ngood, and more\nbad\n", "2 comma-separated fields at row 2, 1 at row 1.*in quotes"),
        ("a.csv", 'text,label\n"a\nb",1\nc\n', "1 comma-separated fields at row 3, 2 at row 1"),
        ("a.csv", 'text,label\n"a" b,1\n', "a quote .* at row 2, field 1"),
        ("a.csv", 'text,label\nc,0\n1,"a\n', "a quote .* at row 3, field 2"),
        ("a.tsv", "text\tlabel\n\nc\t0\td\n", "3 tab-separated fields at row 3, 2 at row 1"),
        ("a.csv", "text,Text\na,b\n", r"two columns that may be text: text \(column 1\) and Text \(column 2\)"),
        ("a.jsonl", '{"a": {"text": "x"}, "b": {"text": "y", "c": 1}}', "two columns that may be text: a.text"),
        ("a.jsonl", '{"text": "a"}\n{"text": ["a", "b"]}', r"no text at row 2 \(\['a', 'b'\]\)"),
        ("a.jsonl", '{"premise": "a"}\n\n{"premise": 7}', r"no text at row 3, column premise \(7\)"),
        ("a.jsonl", '{"text": "a"}\n{"text": "\\ud83d"}', "lone surrogate.* at row 2"),
        ("a.json", '{"text": "a"\n "label": 1}', "no JSON at row 2, letter 2"),
        ("a.json", "3", "no JSON object at row 1"),
        ("a.json", "[" * 100_000, "no JSON"),
        ("a.csv", "text\n", "no text in it"),
        ("a.csv", "\n\n", "no text in it"),
        ("a.json", "[]", "no text in it"),
    ],
)
def test_row_and_column_are_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(DataFileError, match=said):
        read_text(write(tmp_path / name, content), part="evaluation")


# --- JSON and Parquet ---------------------------------------------------------------------------

RECORDS = [{"text": "good film", "label": 1}, {"text": "bad film", "label": 0}]
FRAME = pd.DataFrame(RECORDS)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=2),
        "\n".join(map(json.dumps, RECORDS)),
        json.dumps({"version": "1", "data": RECORDS}, indent=1),
        json.dumps({"rows": [{"row_idx": n, "row": one} for n, one in enumerate(RECORDS)]}),
        json.dumps({"text": GOOD, "label": LABELS}),
        FRAME.to_json(),
        FRAME.to_json(orient="split"),
        FRAME.to_json(orient="index"),
        FRAME.to_json(orient="table"),
        json.dumps([{"input": {"Text": one["text"]}, "label": one["label"]} for one in RECORDS]),
    ],
)
@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_json_in_every_form(tmp_path: Path, content: str, ending: str) -> None:
    assert read(write(tmp_path / f"a{ending}", content)) == (GOOD, LABELS)


def test_a_single_object_is_a_row(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.json", '{"text": "good film", "label": 1, "words": [{"text": "good"}, {"text": "film"}]}'
    )
    assert read(path) == (("good film",), (1,))


def test_parquet_keeps_texts_in_many_ways(tmp_path: Path) -> None:
    texts, labels = pa.array(GOOD), pa.array(LABELS)
    coded = texts.dictionary_encode()
    kinds = [texts, coded, coded.cast(pa.dictionary(pa.int8(), pa.large_string())), texts.cast(pa.large_string())]
    kinds += [texts.cast(pa.string_view()), texts.cast(pa.binary()), texts.cast(pa.large_binary())]
    for kind in kinds:
        pq.write_table(pa.table({"text": kind, "label": labels.dictionary_encode()}), tmp_path / "a.parquet")
        assert read(tmp_path / "a.parquet") == (GOOD, LABELS), kind.type
    nested = pa.table({"row": pa.StructArray.from_arrays([texts, labels], ["text", "label"])})
    pq.write_table(nested, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == (GOOD, LABELS)
    table = FRAME.assign(label=pd.Categorical(["yes", "no"]))
    table.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == (GOOD, ("yes", "no"))


def test_labels_that_are_missing_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": GOOD, "label": pa.array([1, None])}), tmp_path / "a.parquet")
    with pytest.raises(DataFileError, match="no usable label at row 2"):
        read_examples(tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": [b"\xff", b"a"], "label": LABELS}), tmp_path / "a.parquet")
    with pytest.raises(DataFileError, match="no UTF-8 in column text"):
        read_examples(tmp_path / "a.parquet")


def test_a_file_without_a_header_may_be_quoted(tmp_path: Path) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter="\t", quoting=csv.QUOTE_ALL).writerows(zip(GOOD, LABELS, strict=True))
    assert read(write(tmp_path / "a.tsv", buffer.getvalue())) == (GOOD, LABELS)


def test_whatever_a_library_raises_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the parser\nhas no more room")

    monkeypatch.setattr(pd, "read_csv", fail)
    with pytest.raises(DataFileError, match=r"RuntimeError: the parser has no more room\).*A guess") as caught:
        read_examples(write(tmp_path / "a.tsv", HEAD + ROWS))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_notes_are_part_of_the_figures(tmp_path: Path) -> None:
    from kencore.cli.evaluate import judged
    from kencore.quality.judge import measured_on

    found = measured_on(read_examples(write(tmp_path / "a.tsv", HEAD + 'a "b"\t1\n')))
    assert len(found["data_notes"]) == 1
    figures = {"accuracy": 0.5, "f1_macro": 0.5, **found}
    assert f"note: {found['data_notes'][0]}" in judged(figures)
