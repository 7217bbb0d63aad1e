"""The ways to prune that a sweep has, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from kencore.views import tradeoff
from kencore.words import numbers as wording
from kencore.words.findings import lines

if TYPE_CHECKING:
    from kencore.sweeps.shelf import Sweep


def labels(sweep: Sweep) -> dict[str, tuple[str, str]]:
    """Each ``name`` of `kencore.views.tradeoff.curve` in words, with its method, baselines included."""
    found: dict[str, tuple[str, str]] = {}
    for point in sweep.plan.values():
        name = tradeoff.way(point.method, point.allocation, point.rescale)
        dare = wording.baseline(name) if name == "dare" else wording.method(point)
        found.setdefault(name, (dare, point.method))
    for line in lines(sweep.baselines):
        name = tradeoff.way(line.method, rescale=line.rescale)
        words = wording.baseline("dare" if name == "dare" else line.method)
        if name != "dare" and line.rescale != "none":
            words += f" + {wording.RESCALED[line.rescale]}"
        found.setdefault(name, (words, line.method))
    return found


def budget(line: Any) -> str:
    """A budget of a line of a table of `kencore.views.tradeoff`: ``25 %``, ``k = 64``, ``0.5 bits`` or ``400 kB``."""
    if not pd.isna(line.keep):
        return wording.short_percent(float(line.keep))
    if not pd.isna(line.k):
        return f"k = {int(line.k)}"
    return wording.size(int(line.bytes)) if pd.isna(line.bits) else f"{float(line.bits):g} bits"
