"""The short form of the full disk; `python -m tests.faults disk` tries every work on every full disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kencore import PruneSpec, prune
from tests.faults.disk_work import works
from tests.faults.full_disk import Work, everywhere
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer
from tests.support.tuned_cases import write_sentences

SHORT = {"prune": 2, "prune to bytes": 4, "sweep": 3, "rename": 2}
SHORT |= dict.fromkeys(("export to a folder", "export masks", "report"), 2)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no limit on the size of a file")


def test_a_full_disk_is_told_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    pair = save_pair("bert", tmp_path / "pair")
    for folder in pair:
        add_tokenizer(folder)
    sentences = write_sentences(tmp_path / "sentences.tsv", 20)
    run = prune(PruneSpec(model=str(pair[1]), base=str(pair[0]), method="delta", keep=0.5, evaluation=str(sentences)))
    every = works(home, pair, sentences, run.id)
    for name, most in SHORT.items():
        told = everywhere(every[name], home, most=most)
        assert told.wrong == [], name
        assert told.refused >= most, name


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")

    def half(store: Path) -> None:
        (store / "a").write_text("a" * 100)
        (store / "b").write_text("b" * 100)

    told = everywhere(Work(write=half, whole=lambda _: None), tmp_path)
    assert any("OSError" in line for line in told.wrong)
    assert "full at write 2 of 2: OSError" in " ".join(told.wrong)
    assert (tmp_path / "a").read_text() == "before"
    assert not (tmp_path / "b").exists()
