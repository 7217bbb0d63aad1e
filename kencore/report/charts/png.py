"""A drawing as PNG: matplotlib, imported when one is wanted, draws the same marks pixel by pixel.

SVG needs no library; letters in pixels do, and matplotlib brings the font for them.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kencore.report.charts.canvas import Box, Dot, Drawing, Path, Shares, Words, colors
from kencore.report.charts.svg import outline
from kencore.words.palette import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCALE: Final = 2  # pixels of the file per pixel of the drawing
_DPI: Final = 72  # makes a point a pixel


def png(drawing: Drawing, palette: Palette) -> bytes:
    """The drawing in the palette's colours, `SCALE` times as large; the same bytes each time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = colors(palette)
    figure = Figure(
        figsize=(drawing.width / _DPI, drawing.height / _DPI), dpi=_DPI * SCALE, facecolor=palette.background
    )
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for order, mark in enumerate(drawing.marks):
        _add(axes, mark, known, order + 1)
    axes.set_xlim(0, drawing.width)  # after the pictures, which set limits of their own
    axes.set_ylim(drawing.height, 0)
    target = io.BytesIO()
    figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()


def _add(axes: Axes, mark: Any, known: dict[str, str], order: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Circle, Polygon, Rectangle

    def paint(color: str | None) -> str:
        return known.get(color or "text", color or "")

    if isinstance(mark, Box):
        place = ((mark.x, mark.y), mark.width, mark.height)
        axes.add_patch(Rectangle(*place, facecolor=paint(mark.fill), alpha=mark.opacity, linewidth=0, zorder=order))
        if mark.hatch:
            axes.add_patch(
                Rectangle(*place, fill=False, hatch="////", linewidth=0, edgecolor=paint("reset_mark"), zorder=order)
            )
    elif isinstance(mark, Path) and mark.fill is not None:
        axes.add_patch(Polygon(mark.points, facecolor=paint(mark.fill), alpha=mark.opacity, linewidth=0, zorder=order))
    elif isinstance(mark, Path):
        style: Any = (0, tuple(part / mark.width for part in mark.dash)) if mark.dash else "-"
        x, y = zip(*mark.points, strict=True)
        axes.add_line(Line2D(x, y, color=paint(mark.stroke), linewidth=mark.width, linestyle=style, zorder=order))
    elif isinstance(mark, Dot):
        look: dict[str, Any] = {
            "facecolor": paint("background" if mark.open else mark.color),
            "edgecolor": paint(mark.color),
            "linewidth": 2,
            "zorder": order,
        }
        corners = outline(mark)
        axes.add_patch(Polygon(corners, **look) if corners else Circle((mark.x, mark.y), mark.radius, **look))
    elif isinstance(mark, Words):
        axes.text(
            mark.x,
            mark.y,
            mark.text.replace("$", r"\$"),
            fontsize=mark.size * 0.95,
            color=paint(mark.color),
            va="baseline",
            rotation=90 if mark.turned else 0,
            ha={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
            fontweight="bold" if mark.bold else "normal",
            rotation_mode="anchor",
            zorder=order,
        )
    else:
        _add_shares(axes, mark, known, order)


def _add_shares(axes: Axes, mark: Shares, known: dict[str, str], order: int) -> None:
    low, high = (
        np.array([int(known[name][i : i + 2], 16) for i in (1, 3, 5)], np.float64) for name in ("reset", "kept")
    )
    share = mark.data[:, :, None].astype(np.float64) / 255  # h, w, 1
    shown = np.rint(low + share * (high - low)).astype(np.uint8)  # h, w, 3
    axes.imshow(
        shown,
        interpolation="nearest",
        aspect="auto",
        zorder=order,
        extent=(mark.x, mark.x + mark.width, mark.y + mark.height, mark.y),
    )
