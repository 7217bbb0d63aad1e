"""What a job function may call: progress that is throttled, events that are counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kencore.errors import JobCancelled
from kencore.jobs import context
from kencore.jobs.context import Context
from kencore.jobs.store import changes, queries
from kencore.jobs.store.database import connected


@pytest.fixture
def connection(home: Path) -> Iterator[sqlite3.Connection]:
    with connected(make=True) as opened:
        yield opened


@pytest.fixture
def running(connection: sqlite3.Connection, tmp_path: Path) -> Context:
    job = changes.add(connection, kind="selftest", params="{}", user="a", gpus=0, request_key=None, folder="/")
    changes.claim(connection, job)
    return Context(connection, job, 1, out=tmp_path, threads=1)


def written(connection: sqlite3.Connection, running: Context) -> tuple[float, str]:
    row = queries.find(connection, running.job)
    return row["done"], row["message"]


def test_progress_is_written_ten_times_a_second_and_at_the_end(
    connection: sqlite3.Connection, running: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[float] = []
    report = changes.report

    def counted(*args: object, **values: float) -> bool:
        writes.append(values["done"])
        return report(*args, **values)  # type: ignore[arg-type]

    now = 100.0
    monkeypatch.setattr(changes, "report", counted)
    monkeypatch.setattr(context.time, "monotonic", lambda: now)
    for step in range(1001):  # a millisecond each
        now = 100.0 + step / 1000
        running.progress(step, 1000, f"step {step}")
    assert writes[0] == 0
    assert writes[-1] == 1000
    assert 10 <= len(writes) <= 12
    assert written(connection, running) == (1000, "step 1000")


@pytest.mark.parametrize(("left", "told"), [(0.0, False), (500.0, True), (None, False)])
def test_an_estimate_that_has_run_out_is_not_told(
    connection: sqlite3.Connection, running: Context, left: float | None, told: bool
) -> None:
    changes.report(connection, running.job, 1, done=1.0, total=2.0, message="", seconds_left=left)
    found = queries.to_status(queries.find(connection, running.job)).seconds_left
    assert (found is not None and 0 < found <= 500) == told


def test_the_last_progress_is_not_lost(connection: sqlite3.Connection, running: Context) -> None:
    running.progress(1, 10, "first")
    running.progress(2, 10, "second")
    assert written(connection, running) == (1, "first")
    running.flush()
    assert written(connection, running) == (2, "second")
    running.flush()


def test_a_wish_to_cancel_is_heard(connection: sqlite3.Connection, running: Context) -> None:
    running.progress(1, 2, "going")
    changes.ask_cancel(connection, running.job)
    with pytest.raises(JobCancelled):
        running.progress(2, 2, "going")
    assert running.cancelled
    with pytest.raises(JobCancelled):  # a library that swallowed the first one meets the next
        running.progress(1, 2, "going")


def test_an_attempt_that_is_over_is_stopped(connection: sqlite3.Connection, running: Context) -> None:
    changes.queue_again(connection, running.job, 1, died=True)
    changes.claim(connection, running.job)
    with pytest.raises(JobCancelled):
        running.progress(2, 2, "stale")
    assert written(connection, running) == (0, "Starting")


def test_a_busy_store_does_not_end_the_job(
    connection: sqlite3.Connection, running: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> bool:
        raise sqlite3.OperationalError("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr(changes, "report", refuse)
        running.progress(1, 1, "unwritten")
    running.progress(1, 1, "written")
    assert written(connection, running) == (1, "written")


def test_events_without_end_are_cut(
    connection: sqlite3.Connection, running: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MOST_EVENTS", 5)
    for number in range(20):
        running.event("noise", {"number": number})
    kinds = [row["kind"] for row in queries.events_after(connection, running.job, 0, 100)]
    assert kinds == ["submitted", "started", *["noise"] * 5, "events dropped"]
    with pytest.raises((TypeError, ValueError)):
        Context(connection, running.job, 1, out=running.out, threads=1).event("bad", {"x": {1}})
