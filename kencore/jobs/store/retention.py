"""What is removed from the store after a while: old results, logs and events. Never a run."""

from __future__ import annotations

import sqlite3

from kencore.jobs import folders
from kencore.jobs.kinds import kinds_on
from kencore.jobs.store import changes, queries

LOG_BYTES = 4 * 2**20
LOGS_KEPT = 500
ENDED_KEPT = 1000


def prune(connection: sqlite3.Connection, *, results_kept: int) -> None:
    """Remove what is over the limits, and temporary folders that belong to no running attempt.

    Jobs other than prune keep ``results_kept`` results, the newest; jobs without a result keep
    ``ENDED_KEPT`` lines. The job of a run is kept, as the run is; its events and its log go.
    """
    for folder, job, attempt in list(folders.parts()):
        if not changes.runs_still(connection, job, attempt):
            folders.remove(folder)
    live = set(queries.live_ids(connection))
    for folder, job in list(folders.shared_parts()):
        if job not in live:
            folders.remove(folder)
    kinds = kinds_on("results")
    marks = ", ".join("?" for _ in kinds)
    for job, kind in _beyond(connection, f"state = 'succeeded' AND kind IN ({marks})", kinds, results_kept):
        folders.remove(folders.result_folder(job, kind))
        _forget(connection, job)
    for job, _ in _beyond(connection, "state IN ('failed', 'cancelled')", [], ENDED_KEPT):
        _forget(connection, job)
    for job, _ in _beyond(connection, "state NOT IN ('queued', 'running')", [], LOGS_KEPT):
        folders.log_file(job).unlink(missing_ok=True)
        connection.execute("DELETE FROM events WHERE job = ?", (job,))


def _beyond(connection: sqlite3.Connection, which: str, values: list[str], kept: int) -> list[tuple[str, str]]:
    """Id and kind of the jobs that fit ``which`` and are older than the newest ``kept``."""
    rows = connection.execute(
        f"SELECT id, kind FROM jobs WHERE {which} ORDER BY seq DESC LIMIT -1 OFFSET ?", (*values, kept)
    )
    return [(row["id"], row["kind"]) for row in rows.fetchall()]


def _forget(connection: sqlite3.Connection, job: str) -> None:
    connection.execute("DELETE FROM events WHERE job = ?", (job,))
    connection.execute("DELETE FROM jobs WHERE id = ?", (job,))
    folders.log_file(job).unlink(missing_ok=True)
