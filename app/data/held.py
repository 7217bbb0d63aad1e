"""The map of a run for a page that no server stands behind, such as its report: the masks, and the viewer's script.

The package names `held_map` as its entry point ``kencore.maps``: the library finds it there, and never imports it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from app import viewer
from app.data import atlas
from app.viewer.bundle import bundle
from kencore.views import damage, held
from kencore.words.palette import DARK, LIGHT, Palette

if TYPE_CHECKING:
    from kencore.runs.run import Run

MOST_BYTES: Final = 4 << 20  # of all masks together, a third less than what they take as text
LAYERS: Final = {"share": "kept", "diff_lost": "lost"}  # of what colours a map
ROOT: Final = "kv-map"
DATA: Final = "kv-data"


def held_map(run: Run) -> dict[str, str]:
    """The map of a run as parts of a page, the same for the same run.

    Returns:
        ``html``: where it is drawn; ``style``: of that; ``data``: JSON for a script element of the id that the script
        looks for, which ``data_id`` names; ``script``: what draws it; ``says``: how close it goes.
    """
    side = held.finest(run, MOST_BYTES)
    usual = damage.usual(run.matrices)
    data = {
        "held": {
            "atlas": _text(atlas.atlas_bytes(run, side)),
            "masks": {name: _mask(held.held(run, name, side)) for name in run.pruned},
        },
        "palettes": {"light": LIGHT.to_json(), "dark": DARK.to_json()},
        "sources": [
            asdict(viewer.Source(run=run.id, stamp="", title=run.id, restore=run.restore, coded=run.spec.coded))
        ],
        "view": asdict(viewer.View(layer=LAYERS[usual.measure])),
        "usual": "kept",  # of an address, which such a page does not have
        "lost": usual.known,
    }
    light, dark = (theme(f"#{ROOT}", palette) for palette in (LIGHT, DARK))
    place, text = (f'document.getElementById("{name}")' for name in (ROOT, DATA))
    script = f"{bundle('held.js')}.show({place}, JSON.parse({text}.textContent));"
    return {
        "html": f'<div id="{ROOT}"><div class="kv"></div></div>',
        "style": f"{light}\n@media (prefers-color-scheme:dark){{{dark}}}\n{viewer.STYLE}",
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False),
        "data_id": DATA,
        "script": script,
        "says": "down to every weight" if side == 1 else f"down to cells of {side} × {side} weights",
    }


def _mask(mask: held.Held) -> dict[str, Any]:
    return {**asdict(mask), "data": _text(mask.data)}


def _text(raw: bytes) -> str:
    return b64encode(raw).decode("ascii")


def theme(place: str, palette: Palette) -> str:
    """What the viewer's style sheet takes from Streamlit's theme elsewhere, for what ``place`` selects."""
    names = {
        "font": "inherit",
        "text-color": palette.text,
        "background-color": palette.background,
        "secondary-background-color": palette.surface,
        "border-color": palette.border,
        "primary-color": palette.primary,
        "link-color": palette.primary,
        "red-color": "#D13B3B",
        "base-radius": "0.5rem",
        "button-radius": "0.5rem",
    }
    return f"{place}{{{';'.join(f'--st-{name}:{value}' for name, value in names.items())}}}"
