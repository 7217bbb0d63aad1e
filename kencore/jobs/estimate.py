"""How long a job still takes, from the progress it has reported."""

from __future__ import annotations

import statistics
from itertools import combinations

SAMPLES = 32
FEWEST = 4
FIRST_SECONDS = 1.0


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
