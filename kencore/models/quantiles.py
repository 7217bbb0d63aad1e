"""Quantiles and tails that paired comparisons need, without scipy: the web process compares too."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np

NORMAL: Final = NormalDist().inv_cdf(0.975)
_HALVINGS: Final = 60  # of the interval that holds an angle: further than a float64 resolves


def coin_tails(fewer: int, tosses: int) -> float:
    """Two-sided p of a fair coin that fell on one side ``fewer`` times of ``tosses``, exactly:
    twice the chance of so few or fewer, at most 1.
    """
    if not tosses:
        return 1.0
    ways, total = 1, 0
    for i in range(fewer + 1):
        total += ways
        ways = ways * (tosses - i) // (i + 1)  # tosses over i + 1
    return min(1.0, 2 * total / (1 << tosses))


@lru_cache(maxsize=64)
def student(degrees: int) -> float:
    """The t that Student's distribution stays below with a chance of 97.5 %.

    From its distribution function as a finite sum in cos(theta), t = sqrt(degrees) tan(theta)
    (Abramowitz and Stegun 26.7.3 and 26.7.4), by halving.
    """
    odd = degrees % 2
    k = np.arange(1, (degrees - 1) // 2 if odd else degrees // 2)
    ratios = 2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k)
    factors = np.concatenate([[1.0], np.cumprod(ratios)])
    powers = 2 * np.arange(len(factors)) + odd

    def between(theta: float) -> float:
        """The chance of a value from -t to t."""
        total = math.sin(theta) * float((factors * math.cos(theta) ** powers).sum())
        if not odd:
            return total
        return 2 / math.pi * (theta + (total if degrees > 1 else 0.0))

    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if between(middle) < 0.95 else (low, middle)
    return math.sqrt(degrees) * math.tan(low)
