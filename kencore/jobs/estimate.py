"""How long a job still takes, from the progress it has reported."""

from __future__ import annotations

import statistics

SAMPLES = 64
FIRST_SECONDS = 1.0


class TimeLeft:
    """Remaining time from the median rate over the job so far.

    The rate is the median of the slopes between each sample of the first half and its partner in
    the second half: one slow tensor, or a pause of the machine, moves it little. When the samples
    are full every other one is dropped, so that they always span the whole phase. A new total, or
    progress that goes back, begins a new phase.
    """

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []  # (seconds, done)
        self._total = 0.0

    def add(self, now: float, done: float, total: float) -> None:
        """Take note of ``done`` out of ``total`` at ``now`` (seconds of a steady clock)."""
        if total != self._total or (self._samples and done < self._samples[-1][1]):
            self._samples, self._total = [], total
        if self._samples and now <= self._samples[-1][0]:
            return
        if len(self._samples) == SAMPLES:
            self._samples = self._samples[::2]
        self._samples.append((now, done))

    def seconds(self) -> float | None:
        """Seconds from the last sample to the end; None while there is too little to go by."""
        samples, half = self._samples, len(self._samples) // 2
        if half < 2 or samples[-1][0] - samples[0][0] < FIRST_SECONDS or self._total <= 0:
            return None
        pairs = zip(samples[:half], samples[-half:], strict=True)
        rate = statistics.median((d1 - d0) / (t1 - t0) for (t0, d0), (t1, d1) in pairs)
        left = max(0.0, self._total - samples[-1][1])
        return left / rate if rate > 0 else None
