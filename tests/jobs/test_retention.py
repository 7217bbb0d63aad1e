"""What goes after a while, and that runs never do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kencore.jobs import folders
from kencore.jobs.records import State
from kencore.jobs.store import changes, queries, retention
from kencore.jobs.store.database import connected


@pytest.fixture
def connection(home: Path) -> Iterator[sqlite3.Connection]:
    with connected(make=True) as opened:
        yield opened


def ended(connection: sqlite3.Connection, kind: str, state: State = "succeeded") -> str:
    job = changes.add(connection, kind=kind, params="{}", user="a", gpus=0, request_key=None, folder="/")
    changes.claim(connection, job)
    if state == "succeeded":
        folders.result_folder(job, kind).mkdir(parents=True)
    folders.log_file(job).parent.mkdir(exist_ok=True)
    folders.log_file(job).write_text("log")
    changes.settle(connection, job, 1, state)
    return job


def known(connection: sqlite3.Connection) -> set[str]:
    return {row["id"] for row in queries.newest(connection, None, None, 1000)}


def test_only_the_newest_results_stay_and_every_run(connection: sqlite3.Connection) -> None:
    results = [ended(connection, kind) for kind in ("inspect", "evaluate") for _ in range(4)]
    runs = [ended(connection, "prune") for _ in range(6)]
    retention.prune(connection, results_kept=3)
    assert [folders.result_folder(job, "inspect").is_dir() for job in results] == ([False] * 5 + [True] * 3)
    assert all(folders.result_folder(job, "prune").is_dir() for job in runs)
    assert known(connection) == {*results[5:], *runs}
    assert not folders.log_file(results[0]).exists()


def test_failures_logs_and_events_are_limited(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ENDED_KEPT", 2)
    monkeypatch.setattr(retention, "LOGS_KEPT", 3)
    failed = [ended(connection, "prune", "failed") for _ in range(4)]
    runs = [ended(connection, "prune") for _ in range(2)]
    retention.prune(connection, results_kept=10)
    assert known(connection) == {*failed[2:], *runs}
    with_log = [job for job in (*failed, *runs) if folders.log_file(job).exists()]
    assert with_log == [failed[3], *runs]
    with_events = [job for job in (*failed, *runs) if queries.events_after(connection, job, 0, 10)]
    assert with_events == with_log


def test_temporary_folders_of_dead_attempts_go(connection: sqlite3.Connection) -> None:
    job = changes.add(connection, kind="prune", params="{}", user="a", gpus=0, request_key=None, folder="/")
    changes.claim(connection, job)
    changes.queue_again(connection, job, 1, died=True)
    changes.claim(connection, job)
    parts = [folders.part_folder(job, "prune", attempt) for attempt in (1, 2)]
    stranger = folders.part_folder("unknown", "inspect", 1)
    other = parts[0].with_name(".something-else")
    for folder in (*parts, stranger):
        folders.make_part(folder)
    other.mkdir()
    retention.prune(connection, results_kept=10)
    assert [folder.exists() for folder in (*parts, stranger, other)] == [False, True, False, True]


def test_a_log_is_cut_to_its_end(home: Path) -> None:
    log = folders.open_log("job")
    path = folders.log_file("job")
    lines = b"".join(b"line %05d\n" % number for number in range(1000))
    with os.fdopen(log, "wb", buffering=0) as writer:
        writer.write(lines)
        folders.shorten_log("job", len(lines))
        assert path.read_bytes() == lines
        folders.shorten_log("job", 2000)
        writer.write(b"after\n")
    kept = path.read_bytes().splitlines()
    assert kept[0].startswith(b"...")
    assert kept[-2:] == [b"line 00999", b"after"]
    assert kept[1] == b"line %05d" % (1000 - len(kept[1:-1]))
    assert len(path.read_bytes()) < 1100
    folders.shorten_log("no such job", 10)
