"""One progress bar and one record of seconds for a job of several phases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[float, float, str], None]


class Bar:
    """Hands a progress bar out to one phase after the other, so that it never goes back.

    Args:
        report: called with (done, total, message) and a total of 1; may raise to cancel.
        total: work of all phases together, in any unit.
    """

    def __init__(self, report: Progress, total: float) -> None:
        self.report, self.total = report, max(1.0, total)
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


class Seconds(dict[str, float]):
    """Seconds by phase."""

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count what runs inside as ``phase``, also where it fails."""
        started = time.monotonic()
        try:
            yield
        finally:
            self[phase] = self.get(phase, 0.0) + time.monotonic() - started
