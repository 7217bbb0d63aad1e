"""The colours of every picture, in a light and a dark set with one meaning.

- sequential: more of something stands out more from the page (share kept, densities, counts);
  its ends are the colours of reset and kept, so that a map keeps its look while it is zoomed.
- diverging: negative is purple, positive is orange, zero recedes into the page.
- reset: its own neutral colour, and always a mark as well (a hatch or a dot).
- neighbours: kept neighbours 0..4, the same five colours in both themes.
- methods: one colour each, the same in both themes; it stands in `kencore.methods.table`.
- runs: one colour per run where several are shown at once, and always a mark of its own as well.
- only_a, only_b: entries that one of two runs keeps, beside kept (both) and reset (neither);
  always a mark of its own as well.

All are distinguishable with the common kinds of colour blindness; tests/app/frame/test_theme.py
computes contrast and distance. `app/.streamlit/config.toml` repeats the two maps for Streamlit's own
charts, and the same test keeps them equal.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from kencore.methods.table import METHODS

Colors = tuple[str, ...]

NEIGHBOURS: Final[Colors] = ("#4A3F9C", "#2B79B5", "#1FA58C", "#8CC63F", "#F6D32D")
CATEGORICAL: Final[Colors] = tuple(row.color for row in METHODS.values())[:6]  # of Streamlit's own charts
RUNS: Final[Colors] = ("#2B5BEB", "#C98100", "#0AA26B", "#963EB0")  # runs laid side by side


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """One theme's colours; maps run from low to high."""

    name: str
    background: str
    surface: str
    text: str
    muted: str
    border: str
    primary: str
    on_primary: str
    kept: str
    reset: str
    reset_mark: str
    only_a: str
    only_b: str
    sequential: Colors
    diverging: Colors
    neighbours: Colors = NEIGHBOURS

    def scale(self, colors: Colors) -> list[tuple[float, str]]:
        """``colors`` as a Plotly colour scale (0..1)."""
        last = len(colors) - 1
        return [(index / last, color) for index, color in enumerate(colors)]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the viewer's script takes them."""
        return asdict(self)


LIGHT: Final = Palette(
    name="light",
    background="#FFFFFF",
    surface="#F5F7FA",
    text="#101822",
    muted="#566275",
    border="#DCE2EA",
    primary="#1B63B5",
    on_primary="#FFFFFF",
    kept="#0F4F8C",
    reset="#E8ECF1",
    reset_mark="#98A4B3",
    only_a="#C98100",
    only_b="#1FA58C",
    sequential=(
        "#E8ECF1",
        "#D2E0EE",
        "#B8D2E8",
        "#9AC1E1",
        "#7AAED8",
        "#5B9ACD",
        "#4085BF",
        "#2C72AF",
        "#1C609E",
        "#0F4F8C",
    ),
    diverging=(
        "#452380",
        "#6C50A3",
        "#9582C0",
        "#BDB1DA",
        "#E4DFEF",
        "#FBE6D0",
        "#F4BF86",
        "#E0913F",
        "#B4631A",
        "#783B06",
    ),
)
DARK: Final = Palette(
    name="dark",
    background="#0F1419",
    surface="#182029",
    text="#E6EBF2",
    muted="#9DAABB",
    border="#2C3743",
    primary="#4A8DE8",
    on_primary="#0B1118",
    kept="#8CC5EC",
    reset="#1F2831",
    reset_mark="#4A5765",
    only_a="#C98100",
    only_b="#17806D",
    sequential=(
        "#1F2831",
        "#213548",
        "#22435F",
        "#235276",
        "#25628C",
        "#2E74A3",
        "#4088B9",
        "#579CCB",
        "#70B1DC",
        "#8CC5EC",
    ),
    diverging=(
        "#D3C4F7",
        "#AE9BE3",
        "#8671C3",
        "#5A4B8A",
        "#2C2A42",
        "#382B1D",
        "#774D1F",
        "#B37226",
        "#E29E4B",
        "#FFCF96",
    ),
)
