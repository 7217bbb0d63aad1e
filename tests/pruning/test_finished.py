"""Long prunings whose process is killed: the next one goes on, and the run is the same to the bit."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from kencore.checkpoint.pair import open_models
from kencore.errors import JobCancelled
from kencore.pruning import finished
from kencore.pruning.finished import finished_before
from kencore.pruning.prune import prune
from kencore.runs.run import Run
from kencore.settings.prune import PruneSpec
from kencore.system.places import runs_folder
from tests.support.tiny_models import save_pair

FILES = ("masks.safetensors", "values.safetensors", "rows.parquet", "matrices.parquet", "spec.json")
# prunes, writes down what it does, and dies without a word once so many matrices were begun
WORK = """
import os, signal, sys
from kencore.pruning import finished
from kencore.pruning.prune import prune
from kencore.settings.prune import PruneSpec
finished.LONG = 0
spec, out, log, most = PruneSpec.from_json(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
seen = []
def report(done, total, message):
    name = message.rpartition("Pruning ")[2].partition(" (")[0]
    if "Pruning " in message and name not in seen:
        seen.append(name)
        with open(log, "a") as file:
            file.write(name + "\\n")
        if len(seen) > most:
            os.kill(os.getpid(), signal.SIGKILL)
prune(spec, out=out, progress=report, threads=1)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(finished, "LONG", 0)
    return tmp_path


def asked(folder: Path, rescale: str = "none") -> PruneSpec:
    base, tuned = save_pair("bert", folder, change=0.05)
    return PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.3, rescale=rescale, device="cpu")


def test_a_pruning_killed_three_times_is_the_same_and_repeats_no_finished_matrix(home: Path) -> None:
    spec = asked(home, "energy")  # kept values change: they are kept too
    whole = prune(spec, out=home / "whole")
    log = home / "log"
    codes = []
    for most in (3, 0, 5, 1000):
        arguments = [sys.executable, "-c", WORK, spec.to_json(), str(home / "killed"), str(log), str(most)]
        codes.append(subprocess.run(arguments, check=False).returncode)
        if codes[-1]:
            assert not (home / "killed").exists()
            assert len(list(runs_folder().glob(".finished-*"))) == 1
    assert codes == [-9, -9, -9, 0]
    for name in FILES:
        files = [folder / name for folder in (whole.path, home / "killed")]
        assert files[0].exists() == files[1].exists()
        assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes(), name
    assert Run(home / "killed").record.keys() == whole.record.keys()
    begun = Counter(log.read_text().split())
    assert begun.keys() == set(whole.pruned)
    assert sum(begun.values()) == len(begun) + 3  # once each, but for those in which it died
    assert list(runs_folder().iterdir()) == []


def test_other_settings_and_other_files_are_other_work(home: Path) -> None:
    spec = asked(home)
    names = {finished._key(open_models(other), other) for other in (spec, spec, replace(spec, keep=0.4))}
    tensors = load_file(Path(spec.model) / "model.safetensors")
    save_file(tensors, Path(spec.model) / "model.safetensors", {"format": "pt"})
    names.add(finished._key(open_models(spec), spec))
    assert len(names) == 3


def test_what_was_cancelled_leaves_nothing(home: Path) -> None:
    spec = asked(home)
    calls = []

    def stop(done: float, total: float, message: str) -> None:
        calls.append(message)
        if len(calls) > 6:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        prune(spec, out=home / "run", progress=stop)
    assert list(runs_folder().iterdir()) == []
    assert not (home / "run").exists()


def test_short_work_and_a_second_process_keep_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = asked(home)
    pair = open_models(spec)
    with finished_before(pair, spec, 1) as mine, finished_before(pair, spec, 1) as other:
        assert mine is not None
        assert other is None
    monkeypatch.setattr(finished, "LONG", 2)
    with finished_before(pair, spec, 1) as none:
        assert none is None


def test_a_damaged_piece_is_made_again(home: Path) -> None:
    spec = asked(home)
    whole = prune(spec, out=home / "whole")
    pair = open_models(spec)
    with finished_before(pair, spec, 1) as kept:
        assert kept is not None
        for name in whole.pruned[:3]:
            kept._path(name).write_bytes(b"\0" * 40)
            assert kept.read(name) is None
