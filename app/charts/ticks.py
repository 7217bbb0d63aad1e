"""Ticks of axes."""

from __future__ import annotations

import math


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, about evenly spread on a log scale."""
    ticks: list[float] = []
    for factors in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        every = [float(f"{factor:g}e{power}") for power in powers for factor in factors]
        ticks = [tick for tick in every if low * 0.95 <= tick <= high * 1.05]
        if len(ticks) >= 4:
            break
    return ticks
