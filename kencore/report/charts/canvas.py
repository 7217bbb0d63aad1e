"""What pictures of a report are made of: a few kinds of marks in pixels, with colours by name.

One drawing becomes SVG (`kencore.report.charts.svg`) or PNG (`kencore.report.charts.png`). A colour is a name of
`colors` (so that a page can show it light or dark) or ``#RRGGBB`` (the same in both).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from kencore.words.palette import Palette

Anchor = Literal["start", "middle", "end"]
Shape = Literal["circle", "square", "diamond", "triangle"]
Point = tuple[float, float]
Pixels = NDArray[np.uint8]
_LETTER: Final = 0.56  # mean width of a letter, in sizes of its font


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle; ``hatch`` lays the lines over it that mark what was not kept."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    opacity: float = 1.0
    hatch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A line through points, or the area inside of it."""

    points: tuple[Point, ...]
    stroke: str | None = None
    width: float = 1.0
    dash: tuple[float, ...] = ()
    fill: str | None = None
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A mark at a point; an open one shows the page through it."""

    x: float
    y: float
    color: str
    shape: Shape = "circle"
    radius: float = 5.0
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A line of text; ``y`` is its base line."""

    x: float
    y: float
    text: str
    size: float = 12.0
    anchor: Anchor = "start"
    color: str = "text"
    bold: bool = False
    turned: bool = False  # upwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """A picture of shares (h, w), 0 reset to 255 kept, each cell as one even area."""

    x: float
    y: float
    width: float
    height: float
    data: Pixels


Mark = Box | Path | Dot | Words | Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A finished picture, ``width`` x ``height`` pixels."""

    width: float
    height: float
    marks: tuple[Mark, ...]


@dataclass(slots=True)
class Canvas:
    """Collects the marks of one drawing."""

    width: float
    height: float = 0.0
    marks: list[Mark] = field(default_factory=list)

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, opacity: float = 1.0, hatch: bool = False
    ) -> None:
        """A rectangle; one without an area is left out."""
        if width > 0 and height > 0:
            self.marks.append(Box(x=x, y=y, width=width, height=height, fill=fill, opacity=opacity, hatch=hatch))

    def line(self, points: Sequence[Point], color: str, width: float = 1.0, dash: tuple[float, ...] = ()) -> None:
        """A line through the points."""
        self.marks.append(Path(points=tuple(points), stroke=color, width=width, dash=dash))

    def area(self, points: Sequence[Point], color: str, opacity: float = 1.0) -> None:
        """The inside of a closed line."""
        self.marks.append(Path(points=tuple(points), fill=color, opacity=opacity))

    def dot(
        self, x: float, y: float, color: str, shape: Shape = "circle", radius: float = 5.0, *, open: bool = False
    ) -> None:
        """A mark at a point."""
        self.marks.append(Dot(x=x, y=y, color=color, shape=shape, radius=radius, open=open))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 12.0,
        anchor: Anchor = "start",
        color: str = "text",
        bold: bool = False,
        turned: bool = False,
    ) -> None:
        """A line of text; an empty one is left out."""
        if text:
            self.marks.append(
                Words(x=x, y=y, text=text, size=size, anchor=anchor, color=color, bold=bold, turned=turned)
            )

    def shares(self, x: float, y: float, width: float, height: float, data: Pixels) -> None:
        """A picture of shares."""
        self.marks.append(Shares(x=x, y=y, width=width, height=height, data=data))

    def drawing(self) -> Drawing:
        """What was collected."""
        return Drawing(width=self.width, height=self.height, marks=tuple(self.marks))


def text_width(text: str, size: float = 12.0) -> float:
    """About how wide a line of text is: fonts differ, so leave some room."""
    return _LETTER * size * len(text)


# --- colours ----------------------------------------------------------------------------------


def colors(palette: Palette) -> dict[str, str]:
    """Every colour that has a name, in one theme: ``s0`` to ``s9`` are the sequential map, ``on0``
    to ``on9`` the letters that can be read on it, ``n0`` to ``n4`` the neighbours."""
    found = {
        name: getattr(palette, name)
        for name in ("background", "surface", "text", "muted", "border", "primary", "kept", "reset", "reset_mark")
    }
    found |= {f"s{i}": color for i, color in enumerate(palette.sequential)}
    found |= {f"on{i}": readable_on(color) for i, color in enumerate(palette.sequential)}
    return found | {f"n{i}": color for i, color in enumerate(palette.neighbours)}


def shade(share: float) -> int:
    """Which of the ten colours of the sequential map a share has."""
    return min(9, max(0, int(share * 10)))


def readable_on(color: str) -> str:
    """Black or white, whichever stands out more: one of them always has a contrast of 4.58."""
    return "#000000" if contrast("#000000", color) >= contrast("#FFFFFF", color) else "#FFFFFF"


def contrast(first: str, second: str) -> float:
    """The contrast of two colours after WCAG 2, 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
