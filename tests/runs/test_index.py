"""What the list of runs shows is kept: never another thing than the folders say, and no folder read twice."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kencore.runs import index, shelf, summary
from tests.support.runs import make_run

MANY = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made"), "magnitude").path


@pytest.fixture
def store(home: Path, made: Path) -> Iterator[Path]:
    """A store of many runs that did not change for a while."""
    for number in range(MANY):
        settle(_put(home / "runs" / f"run-{number:03}", made))
    index.forget()
    yield home / "runs"
    index.forget()


def _put(folder: Path, made: Path) -> Path:
    """A run of small files: what a list reads of one, and empty ones for the rest."""
    folder.mkdir(parents=True)
    for file in made.iterdir():
        if file.suffix == ".json":
            shutil.copy(file, folder)
        elif file.is_file():
            (folder / file.name).touch()
    return folder


def settle(folder: Path) -> None:
    """Let the last change of a folder be past."""
    before = time.time() - 60
    os.utime(folder, (before, before))


def ids() -> list[str]:
    return sorted(run.id for run in shelf.list_runs() if run.id.startswith("run-"))


def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the folders that are read from now on."""
    names: list[str] = []

    def noted(folder: Path, name: str | None = None) -> summary.RunSummary:
        names.append(folder.name)
        return summary.summarise(folder, name)

    monkeypatch.setattr(index, "summarise", noted)
    return names


def test_a_new_process_reads_one_file(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shelf.list_runs()
    assert len(ids()) == MANY
    index.forget()
    names = read(monkeypatch)
    assert shelf.list_runs() == first
    assert names == []
    assert (store.parent / index.FILE).stat().st_mode & 0o777 == 0o600


def test_what_changed_is_read_and_nothing_else(store: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids()
    names = read(monkeypatch)
    shelf.relabel_run("run-003", name="another name")
    shelf.delete_run("run-004")
    _put(store / "run-new", made)
    listed = {run.id: run.label for run in shelf.list_runs()}
    assert listed["run-003"] == "another name"
    assert "run-004" not in listed
    assert "run-new" in listed
    assert sorted(names) == ["run-003", "run-new"]
    # what changed a moment ago may change again within the same moment
    assert sorted(names) == ["run-003", "run-new"]
    ids()
    assert len(names) == 4
    for name in ("run-003", "run-new"):
        settle(store / name)
    ids()
    ids()
    assert len(names) == 6


def test_a_broken_folder_is_said_and_looked_at_each_time(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (store / "run-005" / "masks.safetensors").unlink()
    (store / "run-006" / "record.json").write_text("[" * 100_000)
    for name in ("run-005", "run-006"):
        settle(store / name)
    ids()
    names = read(monkeypatch)
    problems = {run.id: run.problem for run in shelf.list_runs() if run.problem}
    assert problems.keys() == {"run-005", "run-006"}
    assert sorted(names) == ["run-005", "run-006"]
    (store / "run-005" / "masks.safetensors").touch()
    assert {run.id for run in shelf.list_runs() if run.problem} == {"run-006"}


LOST = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-300]),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00" * 100),
    "another version": lambda path: path.write_text(path.read_text().replace('"version":1', '"version":99', 1)),
    "another store": lambda path: path.write_text(path.read_text().replace('"store":"', '"store":"/elsewhere', 1)),
    "deep": lambda path: path.write_text(path.read_text().splitlines()[0] + "\n" + "[" * 100_000),
    "other lines": lambda path: path.write_text(
        path.read_text().splitlines()[0] + '\n3\n["run-001"]\n["run-001", 1, {}]\n[null, null, null]\n{"a": 1}\n'
    ),
    "a wrong kind": lambda path: path.write_text(path.read_text().replace('"spec":{', '"spec":3,"more":{')),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("how", LOST)
def test_a_lost_index_is_made_again(store: Path, how: str) -> None:
    wanted = shelf.list_runs()
    path = store.parent / index.FILE
    LOST[how](path)
    index.forget()
    assert shelf.list_runs() == wanted


def test_runs_that_went_away_while_nobody_looked_are_gone(store: Path) -> None:
    ids()
    shutil.rmtree(store / "run-007")
    (store / "run-008").rename(store / "run-999")
    index.forget()
    assert "run-007" not in ids()
    assert "run-999" in ids()
    assert "run-008" not in ids()


def test_a_store_that_may_not_be_written_is_listed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore.errors import StoreNotWritableError

    def refused(*_: object, **__: object) -> None:
        raise StoreNotWritableError("runs.jsonl", got="read-only", wanted="a place to write", remedy="none")

    monkeypatch.setattr(index, "whole_file", refused)
    assert len(ids()) == MANY
    assert not (store.parent / index.FILE).exists()


def test_lines_are_what_the_list_shows(store: Path) -> None:
    ids()
    head, *lines = (store.parent / index.FILE).read_text().splitlines()
    assert json.loads(head)["version"] == index.VERSION
    assert len(lines) == MANY
    name, changed, spec, _ = json.loads(lines[0])
    assert changed == (store / name).stat().st_mtime_ns
    assert json.loads(spec)["method"] == "magnitude"
    index.forget()
    found = {run.id: run for run in shelf.list_runs()}[name]
    assert dict(found.spec) == json.loads(spec)
    assert found.spec["keep"] == 0.5
