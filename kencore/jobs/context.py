"""What a job function is handed: where to write, and how to tell how far it is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kencore.errors import JobCancelled
from kencore.jobs.diary import tell
from kencore.jobs.estimate import TimeLeft
from kencore.jobs.store import changes

BETWEEN_WRITES = 0.1
MOST_EVENTS = 10_000


class Context:
    """One attempt at one job.

    Attributes:
        out: the temporary folder to write into; it becomes the result when the function returns.
        job, attempt: the job's id, and which try this is (1, 2, ...).
        threads: processor threads this job may use.
    """

    def __init__(self, connection: sqlite3.Connection, job: str, attempt: int, *, out: Path, threads: int) -> None:
        self.out, self.job, self.attempt, self.threads = out, job, attempt, threads
        self.cancelled = False
        self._connection = connection
        self._time_left = TimeLeft()
        self._written = float("-inf")
        self._waiting: tuple[float, float, str] | None = None
        self._events = 0

    def progress(self, done: float, total: float, message: str) -> None:
        """Tell how far the job is, as often as is convenient: about ten a second are written.

        Raises:
            JobCancelled: somebody asked to cancel; let it pass.
        """
        now = time.monotonic()
        self._time_left.add(now, float(done), float(total))
        self._waiting = (float(done), float(total), str(message))
        if now - self._written >= BETWEEN_WRITES or done >= total > 0:
            self._write(now)
        if self.cancelled:
            raise JobCancelled(self.job)

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Append an event; ``data`` must be JSON. After 10,000 of them the rest is dropped.

        Raises:
            TypeError, ValueError: ``data`` is not JSON.
        """
        self._events += 1
        if self._events <= MOST_EVENTS:
            changes.add_event(self._connection, self.job, self.attempt, kind, data)
        elif self._events == MOST_EVENTS + 1:
            changes.add_event(self._connection, self.job, self.attempt, "events dropped", {})

    def set_device(self, device: str) -> None:
        """Tell what the job runs on, in words."""
        changes.set_device(self._connection, self.job, self.attempt, device)

    def flush(self) -> None:
        """Write the last progress that was told."""
        if self._waiting is not None:
            self._write(time.monotonic())

    def _write(self, now: float) -> None:
        assert self._waiting is not None
        done, total, message = self._waiting
        try:
            go_on = changes.report(
                self._connection,
                self.job,
                self.attempt,
                done=done,
                total=total,
                message=message,
                seconds_left=self._time_left.seconds(),
            )
        except sqlite3.OperationalError as error:
            # a busy or full store is no reason to lose hours of work: the next call tries again
            tell(f"progress was not written: {error}")
            go_on = True
        self._waiting, self._written = None, now
        self.cancelled = self.cancelled or not go_on
