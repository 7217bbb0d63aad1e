"""What a job function is handed: where to write, and how to tell how far it is."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from kencore.errors import JobCancelled
from kencore.jobs.diary import tell
from kencore.jobs.store import changes

BETWEEN_WRITES = 0.1
MOST_EVENTS = 10_000
SAMPLES = 32
FEWEST = 4
FIRST_SECONDS = 1.0


class Context:
    """One attempt at one job.

    Attributes:
        out: the temporary folder to write into; it becomes the result when the function returns.
        job, attempt: the job's id, and which try this is (1, 2, ...).
        threads: processor threads this job may use.
        shared: what pieces of the job leave for each other; it is there where the job was split, while the job lives.
    """

    def __init__(
        self,
        connection: sqlite3.Connection | None,
        job: str,
        attempt: int,
        *,
        out: Path,
        threads: int,
        shared: Path | None = None,
    ) -> None:
        self.out, self.job, self.attempt, self.threads = out, job, attempt, threads
        self.shared = out.parent / "shared" if shared is None else shared
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
            self._add(kind, data)
        elif self._events == MOST_EVENTS + 1:
            self._add("events dropped", {})

    def set_device(self, device: str) -> None:
        """Tell what the job runs on, in words."""
        changes.set_device(self._store, self.job, self.attempt, device)

    def flush(self) -> None:
        """Write the last progress that was told."""
        if self._waiting is not None:
            self._write(time.monotonic())

    def _write(self, now: float) -> None:
        assert self._waiting is not None
        done, total, message = self._waiting
        try:
            go_on = self._report(done, total, message)
        except sqlite3.OperationalError as error:
            # a busy or full store is no reason to lose hours of work: the next call tries again
            tell(f"progress was not written: {error}")
            go_on = True
        self._waiting, self._written = None, now
        self.cancelled = self.cancelled or not go_on

    # what a job on another machine does otherwise

    @property
    def _store(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def _add(self, kind: str, data: Mapping[str, Any]) -> None:
        changes.add_event(self._store, self.job, self.attempt, kind, data)

    def _report(self, done: float, total: float, message: str) -> bool:
        """Write progress; say whether to go on."""
        return changes.report(
            self._store,
            self.job,
            self.attempt,
            done=done,
            total=total,
            message=message,
            seconds_left=self._time_left.seconds(),
        )


class TimeLeft:
    """Remaining time from the median rate over the job so far.

    The rate is the Theil-Sen slope (the median of the slopes between all pairs of samples; Sen,
    "Estimates of the regression coefficient based on Kendall's tau", 1968, section 2): a pause of
    the machine, or one slow tensor, moves it little. Samples are spaced evenly over the phase, so
    that they always span all of it. A new total, or progress that goes back, begins a new phase.
    """

    def __init__(self) -> None:
        self._begin(0.0)

    def _begin(self, total: float) -> None:
        self._total = total
        self._samples: list[tuple[float, float]] = []  # (seconds, done), without the last
        self._last: tuple[float, float] | None = None
        self._every = 0.0

    def add(self, now: float, done: float, total: float) -> None:
        """Take note of ``done`` out of ``total`` at ``now`` (seconds of a steady clock)."""
        if total != self._total or (self._last is not None and done < self._last[1]):
            self._begin(total)
        if not self._samples or now - self._samples[-1][0] >= max(self._every, 1e-9):
            self._samples.append((now, done))
        self._last = (now, done)
        if len(self._samples) > SAMPLES:
            self._samples = self._samples[::2]
            self._every = (self._samples[-1][0] - self._samples[0][0]) / (SAMPLES // 2)

    def seconds(self) -> float | None:
        """Seconds from the last sample to the end; None while there is too little to go by."""
        if self._last is None or self._total <= 0 or len(self._samples) < FEWEST:
            return None
        samples = [*self._samples, self._last]
        (first_time, first_done), (last_time, last_done) = samples[0], samples[-1]
        if last_time - first_time < FIRST_SECONDS:
            return None
        rate = statistics.median((d1 - d0) / (t1 - t0) for (t0, d0), (t1, d1) in combinations(samples, 2) if t1 > t0)
        # most pairs see no progress where it comes in few large steps: then the plain average
        rate = rate or (last_done - first_done) / (last_time - first_time)
        return max(0.0, self._total - last_done) / rate if rate > 0 else None
