"""What is read from the job store. Each takes an open connection and changes nothing."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from kencore.errors import JobNotFoundError
from kencore.jobs.records import Event, JobStatus
from kencore.system.plain_json import parse_json

QUEUED = "Waiting for a free worker"
CANCELLING = "Cancelling"
_LIVE = "state IN ('queued', 'running')"


def find(connection: sqlite3.Connection, job: str) -> sqlite3.Row:
    """The job's line, with ``supervisor``: the handle of the supervisor, or NULL.

    Raises:
        JobNotFoundError: no such job.
    """
    row = connection.execute(
        "SELECT *, (SELECT value FROM notes WHERE name = 'supervisor') AS supervisor FROM jobs WHERE id = ?", (job,)
    ).fetchone()
    if row is None:
        raise no_such_job(job)
    return row  # type: ignore[no-any-return]


def find_by_key(connection: sqlite3.Connection, user: str, key: str) -> sqlite3.Row | None:
    """The job that holds this request key of ``user``, if any."""
    return connection.execute(  # type: ignore[no-any-return]
        "SELECT * FROM jobs WHERE user = ? AND request_key = ? AND state NOT IN ('failed', 'cancelled')", (user, key)
    ).fetchone()


def running(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Running jobs, oldest first."""
    return connection.execute("SELECT * FROM jobs WHERE state = 'running' ORDER BY seq").fetchall()


def live_ids(connection: sqlite3.Connection) -> list[str]:
    """Ids of queued and running jobs, oldest first."""
    rows = connection.execute(f"SELECT id FROM jobs WHERE {_LIVE} ORDER BY seq").fetchall()
    return [row["id"] for row in rows]


def count_live(connection: sqlite3.Connection) -> int:
    """How many jobs are queued or running."""
    return int(connection.execute(f"SELECT COUNT(*) FROM jobs WHERE {_LIVE}").fetchone()[0])


def count_of(connection: sqlite3.Connection, user: str, state: str) -> int:
    """How many jobs of a user are in that state."""
    return int(
        connection.execute("SELECT COUNT(*) FROM jobs WHERE user = ? AND state = ?", (user, state)).fetchone()[0]
    )


def seconds_of(connection: sqlite3.Connection, user: str, *, since: float) -> float:
    """Seconds that a user's jobs ran since a time, in seconds since 1970; of what runs, until now."""
    row = connection.execute(
        "SELECT SUM(MAX(0, COALESCE(finished, ?1) - MAX(started, ?2))) FROM jobs"
        " WHERE user = ?3 AND started IS NOT NULL AND COALESCE(finished, ?1) > ?2",
        (time.time(), since, user),
    ).fetchone()
    return float(row[0] or 0.0)


def count_by_state(connection: sqlite3.Connection) -> dict[str, int]:
    """How many jobs there are in each state."""
    rows = connection.execute("SELECT state, COUNT(*) AS many FROM jobs GROUP BY state").fetchall()
    return {row["state"]: row["many"] for row in rows}


def in_fair_order(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Queued jobs in the order to start them.

    First the user with the fewest running jobs; among those, who was served longest ago; among
    one user's, the oldest.
    """
    return connection.execute(
        "SELECT q.* FROM jobs q WHERE q.state = 'queued' ORDER BY"
        " (SELECT COUNT(*) FROM jobs r WHERE r.state = 'running' AND r.user = q.user),"
        " (SELECT COALESCE(MAX(r.started), 0) FROM jobs r WHERE r.user = q.user),"
        " q.seq"
    ).fetchall()


def newest(connection: sqlite3.Connection, user: str | None, kind: str | None, limit: int) -> list[sqlite3.Row]:
    """The newest jobs first, of one user or kind where given."""
    return connection.execute(
        "SELECT * FROM jobs WHERE (?1 IS NULL OR user = ?1) AND (?2 IS NULL OR kind = ?2) ORDER BY seq DESC LIMIT ?3",
        (user, kind, limit),
    ).fetchall()


def events_after(connection: sqlite3.Connection, job: str, after: int, limit: int) -> list[sqlite3.Row]:
    """The first ``limit`` events of a job whose ``seq`` is above ``after``, in order."""
    return connection.execute(
        "SELECT * FROM events WHERE job = ? AND seq > ? ORDER BY seq LIMIT ?", (job, after, limit)
    ).fetchall()


def handle_of(connection: sqlite3.Connection, job: str, attempt: int) -> str | None:
    """The handle of an attempt's process; None if it has none, or is not the last attempt."""
    row = connection.execute("SELECT handle FROM jobs WHERE id = ? AND attempt = ?", (job, attempt)).fetchone()
    return None if row is None else row["handle"]


def note(connection: sqlite3.Connection, name: str) -> str | None:
    """What the store has noted under ``name``: ``supervisor``, ``starting`` or ``stop``."""
    row = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row["value"])


def to_status(row: sqlite3.Row) -> JobStatus:
    """The public record of a job's line."""
    cancelling = row["state"] == "running" and row["cancel_asked"] is not None
    message = QUEUED if row["state"] == "queued" else row["message"]
    return JobStatus(
        id=row["id"],
        kind=row["kind"],
        params=_object(row["params"]),
        state=row["state"],
        done=row["done"],
        total=row["total"],
        message=CANCELLING if cancelling else message,
        seconds_left=_seconds_left(row),
        error=_object(row["error"]) if row["error"] else None,
        attempt=row["attempt"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        device=row["device"],
        user=row["user"],
        cancelling=cancelling,
    )


def to_event(row: sqlite3.Row) -> Event:
    """The public record of an event's line."""
    return Event(
        seq=row["seq"],
        job=row["job"],
        attempt=row["attempt"],
        time=row["time"],
        kind=row["kind"],
        data=_object(row["data"]),
    )


def no_such_job(job: str) -> JobNotFoundError:
    """The error for an id that the store does not know."""
    return JobNotFoundError(
        f"Job {job}",
        got="no job of that id in the store",
        wanted="the id of a job in this store",
        remedy="Look it up in the list of jobs; old jobs are removed after a while.",
    )


def _object(text: str) -> dict[str, Any]:
    """The JSON object in a column; an empty one where it is damaged, so that one line never hides the others."""
    try:
        found = parse_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds_left(row: sqlite3.Row) -> float | None:
    """The estimate counted down since it was written; nothing once it has run out."""
    if row["state"] != "running" or row["seconds_left"] is None:
        return None
    passed = max(0.0, time.time() - row["updated"])
    left = float(row["seconds_left"]) - passed
    return left if left > 0 else None
