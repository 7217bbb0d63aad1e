"""The short form of the full disk; `python -m tests.faults disk` tries every writer under every limit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kencore import PruneSpec, prune
from tests.faults.full_disk import Told, refused, writers
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer
from tests.support.tuned_cases import write_sentences

SHORT = ("export to a folder", "export masks", "report", "rename")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no limit on the size of a file")
def test_a_full_disk_is_told_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    pair = save_pair("bert", tmp_path / "pair")
    for folder in pair:
        add_tokenizer(folder)
    sentences = write_sentences(tmp_path / "sentences.tsv", 20)
    run = prune(PruneSpec(model=str(pair[1]), base=str(pair[0]), method="delta", keep=0.5, evaluation=str(sentences)))
    every, told = writers(pair, sentences, run.id), Told()
    for name in SHORT:
        refused(name, every[name], home, told, most=2)
    assert told.wrong == []
    assert set(told.refused) == set(SHORT)
