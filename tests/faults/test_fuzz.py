"""The short form of the fuzzers: a few inputs for each reader that is quick; `python -m tests.faults fuzz` has all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.fuzz import Reader, fuzz
from tests.faults.mutate import damaged_bytes
from tests.faults.readers import READERS, text_in

INPUTS = (
    dict.fromkeys(READERS, 60)
    | {"json": 300, "header": 300, "gguf": 300, "config-built": 8, "tokenizer": 8}
    | {
        "run": 40,
        "run-tables": 25,
        "subnetwork": 20,
        "subnetwork-signed": 20,
        "coded-file": 40,
        "masks": 20,
        "addresses": 15,
    }
)


FORGIVING = ("addresses", "journal")  # a page says what is wrong; a line that cannot be read is skipped


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_read_only_errors_of_ours(name: str, tmp_path: Path) -> None:
    told = fuzz(name, READERS[name], INPUTS[name], 0, tmp_path)
    assert dict(told.faults) == {}
    assert told.refused or name in FORGIVING


def test_a_fault_is_found(tmp_path: Path) -> None:
    reader = Reader(
        make=lambda folder: text_in(folder, "a", "12345"),
        read=lambda folder: int((folder / "a").read_bytes().decode()),
        damage=damaged_bytes,
    )
    told = fuzz("int", reader, 50, 0, tmp_path)
    assert sum(told.faults.values()) > 10
