"""Colors of a window's cells: the same meaning as in the weight viewer.

# H x W cells of a `views.Window`
"""

from __future__ import annotations

from typing import Final

import numpy as np

from app.charts.blocks import Scale
from app.charts.png import Indices, levels, shades
from kencore.views.window import RESET, Window
from kencore.words import numbers as wording
from kencore.words.palette import Palette

VALUES: Final = ("difference", "tuned", "base")
SHARES: Final = ("lost", "kept")
ALL: Final = (0.0, 1.0)
_STEPS = 96


def colors(layer: str, palette: Palette) -> list[str]:
    """The color table of a layer: low to high, reset entries, and matrices that were not pruned."""
    maps = {"kept": palette.sequential, "lost": palette.sequential, "neighbours": palette.neighbours}
    return [*shades(maps.get(layer, palette.diverging), _STEPS), palette.reset, palette.surface]


def scale(
    layer: str,
    palette: Palette,
    limit: float,
    terms: wording.Terms = wording.TERMS["base"],
    ends: tuple[float, float] = ALL,
    *,
    full: bool = False,
) -> Scale:
    """What the colors of a layer mean, for its color scale; ``ends``: of shares, see `indices`; ``full``: whether
    they were asked to span all shares.
    """
    if layer in SHARES:
        what = f"{terms.done} share" if layer == "kept" else f"{terms.change_lost} in a cell"
        return Scale(
            title=f"{what}, {'0 to 100 %' if full else 'stretched to the range present'}",
            low=ends[0],
            high=ends[1],
            percent=True,
            colors=palette.sequential,
            reset=palette.reset if layer == "kept" else None,
            gone=terms.gone_long,
        )
    if layer == "neighbours":
        return Scale(
            title=f"{terms.done} neighbors, of 4",
            low=0,
            high=4,
            ticks=5,
            colors=palette.neighbours,
            reset=palette.reset,
            gone=terms.gone_long,
        )
    named = terms.dense if layer == "tuned" else layer
    title = "tuned - base" if layer == "difference" else f"{named} value"
    return Scale(title=title, low=-limit, high=limit, colors=palette.diverging)


def not_pruned() -> Indices:
    """The picture of a matrix that the run did not prune: one cell of its own color."""
    return np.full((1, 1), _STEPS + 1, np.uint8)


def indices(window: Window, limit: float, ends: tuple[float, float] = ALL) -> Indices:
    """Which color of `colors` each cell has, (H, W) uint8.

    Args:
        limit: the size of a value or difference that gets the strongest color.
        ends: the shares of the first and the last color.
    """
    data = window.data.astype(np.float32)
    if window.layer in VALUES:
        return levels(data, -limit, limit, _STEPS)
    if window.layer == "lost":
        return np.where(np.isnan(data), np.uint8(_STEPS + 1), levels(data, *ends, _STEPS))
    if window.layer == "kept":
        shares = levels(data, *ends, _STEPS)
        return np.where(data == 0, np.uint8(_STEPS), shares)
    reset = (window.data == RESET) if window.data.dtype == np.uint8 else np.isnan(data)
    return np.where(reset, np.uint8(_STEPS), levels(data, 0, 4, _STEPS))
