"""Progress of a job of several phases: what it reports to, one bar for all phases, and seconds by phase."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[float, float, str], None]
"""Called as ``progress(done, total, message)``; what it raises ends the work."""


def silent(done: float, total: float, message: str) -> None:
    """Progress that nobody asked for."""


class Bar:
    """Hands a progress bar out to one phase after the other, so that it never goes back.

    Args:
        report: called with (done, total, message) and a total of 1; may raise to cancel.
        total: work of all phases together, in any unit.
    """

    def __init__(self, report: Progress, total: float) -> None:
        self.report, self.total = report, max(total, 1e-9)
        self.done = 0.0

    def phase(self, what: str, work: float) -> Progress:
        """Progress of the next phase.

        Args:
            what: put before each message; nothing where it is empty.
            work: of this phase, in the unit of the total.
        """
        first, self.done = self.done, self.done + work
        before = f"{what}: " if what else ""

        def report(done: float, total: float, message: str) -> None:
            part = first + work * done / max(total, 1e-9)
            self.report(min(1.0, part / self.total), 1, before + message)

        return report


class Clock:
    """Seconds by phase, also of one that fails; a phase inside another takes its time away from the outer one.

    Args:
        now: where the time is read: wall clock by default, ``time.process_time`` for a benchmark.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._now = now
        self._stack: list[str] = []
        self._since = now()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count what runs inside as ``phase``."""
        self._lap()
        self._stack.append(phase)
        try:
            yield
        finally:
            self._lap()
            self._stack.pop()

    def share(self, phase: str) -> float:
        """Of all seconds counted, those of one phase; 0 where nothing was counted."""
        total = sum(self.seconds.values())
        return self.seconds.get(phase, 0.0) / total if total else 0.0

    def _lap(self) -> None:
        now = self._now()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now
