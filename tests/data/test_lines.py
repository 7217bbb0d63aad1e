"""Sentences without labels, as people have them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kencore.data.lines import read_lines
from kencore.errors import DataFileError, TextError


@pytest.mark.parametrize("ending", [".txt", ".md", ".tsv", ".csv", ".jsonl", ".parquet"])
def test_one_sentence_a_line_or_a_row(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"s{ending}"
    wanted = ["Dull.", "A warm, long film", "Zähes Stück"]
    table = pd.DataFrame({"text": wanted, "source": [1, 2, 3]})
    if ending in (".txt", ".md"):
        path.write_bytes(("\r\n" + "\r\n\r\n".join(wanted) + "\r\n \r\n").encode("utf-8-sig"))
    elif ending == ".parquet":
        table.to_parquet(path)
    elif ending == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, sep="\t" if ending == ".tsv" else ",", index=False)
    assert list(read_lines(path).texts) == wanted


def test_files_that_hold_too_few(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("one alone\n\n")
    with pytest.raises(DataFileError, match=r"1 sentences.*2 or more"):
        read_lines(path)
    with pytest.raises(DataFileError, match="Sentences"):
        read_lines(tmp_path / "none.txt")
    path = tmp_path / "s.jsonl"
    path.write_text('{"number": 1, "place": 2}\n')
    with pytest.raises(DataFileError, match=r"Sentences .*fields number, place") as caught:
        read_lines(path)
    assert not isinstance(caught.value, TextError)
