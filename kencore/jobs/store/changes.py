"""What changes in the job store, each change one statement or one transaction.

A running attempt is named by job and attempt number. Whoever writes for an attempt that is not
the running one any more writes nothing: a process thought dead cannot spoil its successor's work.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from kencore.jobs.records import State
from kencore.jobs.store.database import transaction

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that are mistaken for another
_RUNNING = "id = ? AND attempt = ? AND state = 'running'"


def add(
    connection: sqlite3.Connection,
    *,
    kind: str,
    params: str,
    user: str,
    gpus: float,
    request_key: str | None,
    folder: str,
) -> str:
    """Queue a job; its id begins with the time (UTC), so that ids sort by age."""
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    job = f"{stamp}-{''.join(secrets.choice(_LETTERS) for _ in range(6))}"
    connection.execute(
        "INSERT INTO jobs (id, kind, params, user, gpus, request_key, folder, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (job, kind, params, user, gpus, request_key, folder, now),
    )
    add_event(connection, job, 0, "submitted", {"kind": kind})
    return job


def free_key(connection: sqlite3.Connection, job: str) -> None:
    """Let the next request with this job's key be a new job."""
    connection.execute("UPDATE jobs SET request_key = NULL WHERE id = ?", (job,))


def add_event(connection: sqlite3.Connection, job: str, attempt: int, kind: str, data: Mapping[str, Any]) -> None:
    """Append one event.

    Raises:
        TypeError, ValueError: ``data`` is not JSON.
    """
    connection.execute(
        "INSERT INTO events (job, attempt, time, kind, data) VALUES (?, ?, ?, ?, ?)",
        (job, attempt, time.time(), kind, json.dumps(data, allow_nan=False)),
    )


def claim(connection: sqlite3.Connection, job: str) -> int | None:
    """Start the next attempt of a queued job; its number, or None if it is not queued now."""
    with transaction(connection):
        row = _one(
            connection,
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, handle = NULL,"
            " started = COALESCE(started, ?), done = 0, total = 0, seconds_left = NULL,"
            " message = 'Starting' WHERE id = ? AND state = 'queued' RETURNING attempt",
            (time.time(), job),
        )
        if row is None:
            return None
        add_event(connection, job, row["attempt"], "started", {})
        return int(row["attempt"])


def attach(connection: sqlite3.Connection, job: str, attempt: int, handle: str) -> sqlite3.Row | None:
    """Take the attempt for the process ``handle``; None if it was taken or is over."""
    return _one(
        connection,
        f"UPDATE jobs SET handle = ? WHERE {_RUNNING} AND handle IS NULL RETURNING *",
        (handle, job, attempt),
    )


def report(
    connection: sqlite3.Connection,
    job: str,
    attempt: int,
    *,
    done: float,
    total: float,
    message: str,
    seconds_left: float | None,
) -> bool:
    """Write progress; say whether to go on (nobody asked to cancel, and the attempt runs)."""
    row = _one(
        connection,
        "UPDATE jobs SET done = ?, total = ?, message = ?, seconds_left = ?, updated = ?"
        f" WHERE {_RUNNING} RETURNING cancel_asked",
        (done, total, message, seconds_left, time.time(), job, attempt),
    )
    return row is not None and row["cancel_asked"] is None


def set_device(connection: sqlite3.Connection, job: str, attempt: int, device: str) -> None:
    """Write what the attempt runs on."""
    connection.execute(f"UPDATE jobs SET device = ? WHERE {_RUNNING}", (device, job, attempt))


def runs_still(connection: sqlite3.Connection, job: str, attempt: int) -> bool:
    """Whether this attempt is the running one."""
    return _one(connection, f"SELECT 1 FROM jobs WHERE {_RUNNING}", (job, attempt)) is not None


def settle(
    connection: sqlite3.Connection, job: str, attempt: int, state: State, error: Mapping[str, str] | None = None
) -> bool:
    """End a running attempt and its job; False if it had ended before."""
    with transaction(connection):
        row = _one(
            connection,
            f"UPDATE jobs SET state = ?, error = ?, finished = ?, seconds_left = NULL WHERE {_RUNNING} RETURNING id",
            (state, json.dumps(error) if error else None, time.time(), job, attempt),
        )
        if row is not None:
            data = {"type": error["type"], "message": error["message"]} if error else {}
            add_event(connection, job, attempt, state, data)
    return row is not None


def queue_again(connection: sqlite3.Connection, job: str, attempt: int, *, died: bool) -> None:
    """Put a running job back: its process ``died``, or was never started."""
    with transaction(connection):
        row = _one(
            connection,
            f"UPDATE jobs SET state = 'queued', handle = NULL, deaths = deaths + ? WHERE {_RUNNING} RETURNING id",
            (int(died), job, attempt),
        )
        if row is not None:
            add_event(connection, job, attempt, "restarted", {"died": died})


def ask_cancel(connection: sqlite3.Connection, job: str) -> None:
    """Cancel a queued job at once and note the wish for a running one; else do nothing."""
    now = time.time()
    with transaction(connection):
        row = _one(
            connection,
            "UPDATE jobs SET cancel_asked = ?1, finished = IIF(state = 'queued', ?1, finished),"
            " state = IIF(state = 'queued', 'cancelled', state)"
            " WHERE id = ?2 AND cancel_asked IS NULL AND state IN ('queued', 'running')"
            " RETURNING state, attempt",
            (now, job),
        )
        if row is not None:
            kind = "cancelled" if row["state"] == "cancelled" else "cancelling"
            add_event(connection, job, row["attempt"], kind, {})


def set_note(connection: sqlite3.Connection, name: str, value: str | None) -> None:
    """Note ``value`` under ``name``, or forget it (None)."""
    if value is None:
        connection.execute("DELETE FROM notes WHERE name = ?", (name,))
        return
    connection.execute(
        "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
    )


def _one(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> sqlite3.Row | None:
    # to the last line: a statement that returns lines is only committed when it is through
    rows = connection.execute(statement, values).fetchall()
    return rows[0] if rows else None
