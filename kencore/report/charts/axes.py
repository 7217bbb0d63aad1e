"""Axes of a report's pictures: where a value lies, round ticks, and the lines and words of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kencore.report.charts.canvas import Canvas

WIDTH: Final = 680.0  # of every picture
_STEPS: Final = (1, 2, 2.5, 5, 10)
Say = Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Values ``low`` to ``high`` on pixels ``start`` to ``end``; on a log scale by their
    logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values beyond an end lie on it."""
        value = min(max(value, self.low), self.high)
        low, high, at = (
            (math.log(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def spread(values: Sequence[float], room: float = 0.08, least: float = 0.0) -> tuple[float, float]:
    """Ends of an axis around finite values, with some room; 0 to 1 without any."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    more = max(room * (high - low), least) or abs(high) * 0.05 or 1.0
    return low - more, high + more


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values between two ends, at most so many."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * s for s in _STEPS if (high - low) / (power * s) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 ... between two ends above zero."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    return found if len(found) < 9 else [value for value in found if f"{value:e}"[0] == "1"]


def across(
    canvas: Canvas, axis: Axis, top: float, bottom: float, title: str, say: Say, *, at: Sequence[float] | None = None
) -> None:
    """A horizontal axis below a plot, with lines up through it."""
    places = _places(axis) if at is None else at
    for value in places:
        x = axis(value)
        canvas.line([(x, top), (x, bottom)], "border")
        canvas.text(x, bottom + 17, say(value), anchor="middle", color="muted")
    canvas.line([(axis.start, bottom), (axis.end, bottom)], "reset_mark")
    canvas.text((axis.start + axis.end) / 2, bottom + 37, title, anchor="middle", color="muted")


def up(canvas: Canvas, axis: Axis, left: float, right: float, title: str, say: Say) -> None:
    """A vertical axis left of a plot, with lines across it; ``axis.start`` is at the bottom."""
    for value in _places(axis):
        y = axis(value)
        canvas.line([(left, y), (right, y)], "border")
        canvas.text(left - 8, y + 4, say(value), anchor="end", color="muted")
    canvas.text(16, (axis.start + axis.end) / 2, title, anchor="middle", color="muted", turned=True)


def legend(
    canvas: Canvas, y: float, items: Sequence[tuple[str, Callable[[float, float], None]]], left: float = 0.0
) -> float:
    """Marks with their names in lines of their own; returns the pixel below them.

    Args:
        items: name, and what draws its mark in 16 pixels from (x, middle of the line).
    """
    from kencore.report.charts.canvas import text_width

    x = left
    for name, mark in items:
        wide = 24 + text_width(name) + 18
        if x > left and x + wide > canvas.width:
            x, y = left, y + 20
        mark(x, y + 7)
        canvas.text(x + 22, y + 11, name)
        x += wide
    return y + 24


def _places(axis: Axis) -> list[float]:
    return log_ticks(axis.low, axis.high) if axis.log else ticks(axis.low, axis.high)
