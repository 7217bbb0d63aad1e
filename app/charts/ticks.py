"""Ticks of axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

FEW: Final = 12  # blocks up to which each has a tick of its own, on a phone too


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


def block_ticks(labels: Sequence[str]) -> dict[str, Any]:
    """Ticks of an axis along which the blocks stand at 0, 1, and so on: one each while they are few. Of more, numbers
    at as many as there is room for, which the browser knows; where blocks have names, every so many.
    """
    plain = [label.removeprefix("block ") for label in labels]
    if len(plain) > FEW and plain == [str(i) for i in range(len(plain))]:
        return {"tickmode": "auto", "tickformat": "d"}
    every = max(1, math.ceil(len(plain) / FEW))
    return {"tickmode": "array", "tickvals": list(range(0, len(plain), every)), "ticktext": plain[::every]}
