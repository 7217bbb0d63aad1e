"""The animation of a row's choice: the data of a walk, drawn by a small script."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from kencore.views.why import why
from kencore.words import numbers as wording
from kencore.words.palette import DARK, LIGHT

ART: Final = Path(__file__).resolve().parent
POINTS: Final = 5.5  # of the grid, on each side of an entry that is looked at from close
HTML: Final = """\
<div class="walk">
  <canvas role="img"></canvas>
  <p class="said" role="status"></p>
  <div class="bar">
    <button type="button" class="play">Play</button>
    <button type="button" class="back">One back</button>
    <button type="button" class="on">One on</button>
    <input type="range" min="0" step="1" value="0" aria-label="Weights kept so far">
  </div>
</div>
"""

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

    from kencore.views.walk import Walk


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component(
        "kenviz.story_walk",
        html=HTML,
        css=(ART / "walk.css").read_text("utf-8"),
        js=(ART / "walk.js").read_text("utf-8"),
    )


def draw_walk(walk: Walk, name: str, what: str, restore: str, *, focus: int | None = None) -> None:
    """Draw the animation; it starts when a person presses Play.

    Args:
        name: which row it is; another one starts anew.
        what: the axis of the upper picture.
        restore: what entries become that are not kept.
        focus: an entry to look at from close, at the visit that decided about it.
    """
    palettes = {"light": LIGHT.to_json(), "dark": DARK.to_json()}
    data = walk_data(walk, name, what, restore, focus=focus) | {"palettes": palettes}
    _mount()(key="story_walk", data={"walk": data})


def walk_data(walk: Walk, name: str, what: str, restore: str, *, focus: int | None = None) -> dict[str, Any]:
    """A walk as plain values for the script; ``order`` ends at the stored mask."""
    kept, cols = len(walk.order), len(walk.values)
    return {
        "id": f"{name} {kept} {focus}",
        "focus": None if focus is None else _focus(walk, focus),
        "kind": walk.kind,
        "what": what,
        "gone": wording.TERMS[restore].gone,
        "alt": f"Animation of how {kept} of {cols} weights of one row were chosen",
        "values": _plain(walk.values),
        "order": walk.order.tolist(),
        "grid": _plain(walk.grid),
        "grid_density": _plain(walk.grid_density),
        "height": _plain(walk.height),
        "curve_x": _plain(walk.curve_x),
        "curve_y": _plain(walk.curve_y),
    }


def _focus(walk: Walk, column: int) -> dict[str, Any]:
    """What is seen of one entry: its column, the visit to begin with, and the ends of the values in sight."""
    found = why(walk, column)
    if found.visit is None or found.point is None:
        return {"column": column, "step": len(walk.order), "ends": None}
    low, high = float(walk.values.min()), float(walk.values.max())
    apart = (high - low) / max(1, len(walk.grid) - 1)
    reach = max(POINTS * apart, 2 * abs(found.value - found.point))
    ends = [max(low, found.value - reach), min(high, found.value + reach)]
    return {"column": column, "step": found.visit + 1, "ends": ends if ends[0] < ends[1] else None}


def _plain(values: Any) -> list[float]:
    """Seven digits, which is what float32 holds."""
    return [float(f"{value:.7g}") for value in values.tolist()]
