"""Where the time went: seconds by phase, each moment counted once."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Seconds by phase. A phase inside another takes its time away from the outer one.

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
