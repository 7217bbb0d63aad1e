"""Colours: contrast, colour blindness, and one meaning everywhere."""

from __future__ import annotations

import tomllib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from app import shell, viewer
from kencore.methods.table import METHODS
from kencore.words.palette import CATEGORICAL, DARK, LIGHT, NEIGHBOURS, RUNS, Palette
from tests.app.conftest import ROOT

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB
VISION = {
    "usual": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
BOTH = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


def linear(color: str) -> np.ndarray:
    part = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(color: str, vision: str) -> np.ndarray:
    seen = np.clip(VISION[vision] @ linear(color), 0, 1)
    x, y, z = np.cbrt(np.maximum(TO_XYZ @ seen / [0.9505, 1, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (a, b))
    return (high + 0.05) / (low + 0.05)


@BOTH
def test_text_reads_on_every_ground(palette: Palette) -> None:
    for ground in (palette.background, palette.surface):
        assert contrast(palette.text, ground) >= 7
        assert contrast(palette.muted, ground) >= 4.5
        assert contrast(palette.primary, ground) >= 4.5
    assert contrast(palette.on_primary, palette.primary) >= 4.5


@pytest.mark.parametrize("sheet", [shell.ART / "page.css", viewer.FOLDER / "viewer.css"])
def test_filled_buttons_have_the_text_colour_of_the_palettes(sheet: Path) -> None:
    pair = f"light-dark({LIGHT.on_primary}, {DARK.on_primary})".lower()
    assert f"color: {pair};" in sheet.read_text("utf-8")


@BOTH
def test_kept_and_reset_are_far_apart(palette: Palette) -> None:
    assert contrast(palette.kept, palette.reset) >= 4.5
    assert contrast(palette.reset_mark, palette.reset) >= 1.7  # the hatch can be seen


@BOTH
@pytest.mark.parametrize("vision", VISION)
def test_neighbour_counts_and_reset_are_told_apart(palette: Palette, vision: str) -> None:
    seen = [lab(color, vision) for color in (*palette.neighbours, palette.reset)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 14


@pytest.mark.parametrize("vision", VISION)
def test_methods_are_told_apart_and_seen_on_both_themes(vision: str) -> None:
    colors = [row.color for row in METHODS.values()]
    seen = [lab(color, vision) for color in colors]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 14
    for color in colors:
        assert contrast(color, LIGHT.background) >= 3
        assert contrast(color, DARK.background) >= 3


@pytest.mark.parametrize("vision", VISION)
def test_runs_side_by_side_are_told_apart(vision: str) -> None:
    seen = [lab(color, vision) for color in RUNS]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 24


def test_neighbour_colours_are_the_same_in_both_themes() -> None:
    assert LIGHT.neighbours == DARK.neighbours == NEIGHBOURS
    assert len(set(NEIGHBOURS)) == 5


@BOTH
def test_more_stands_out_more(palette: Palette) -> None:
    steps = [contrast(color, palette.background) for color in palette.sequential]
    assert steps == sorted(steps)
    assert (palette.sequential[0], palette.sequential[-1]) == (palette.reset, palette.kept)
    sides = [contrast(color, palette.background) for color in palette.diverging]
    assert sides[:5] == sorted(sides[:5], reverse=True)
    assert sides[5:] == sorted(sides[5:])


@BOTH
@pytest.mark.parametrize("vision", VISION)
def test_the_two_signs_are_told_apart(palette: Palette, vision: str) -> None:
    for step in range(4):  # the two nearest zero may look alike
        a, b = palette.diverging[step], palette.diverging[-1 - step]
        assert np.linalg.norm(lab(a, vision) - lab(b, vision)) > 14


def test_streamlit_s_settings_say_the_same() -> None:
    settings = tomllib.loads((ROOT / "app" / ".streamlit" / "config.toml").read_text("utf-8"))["theme"]
    assert tuple(settings["chartCategoricalColors"]) == CATEGORICAL
    for palette in (LIGHT, DARK):
        own = settings[palette.name]
        assert tuple(own["chartSequentialColors"]) == palette.sequential
        assert tuple(own["chartDivergingColors"]) == palette.diverging
        assert own["backgroundColor"] == palette.background
        assert own["secondaryBackgroundColor"] == palette.surface
        assert own["textColor"] == palette.text
        assert own["borderColor"] == palette.border
        assert own["primaryColor"] == palette.primary
        assert contrast(own["linkColor"], palette.background) >= 4.5
        assert contrast(own["linkColor"], palette.surface) >= 4.5


def test_a_plotly_scale() -> None:
    scale = LIGHT.scale(LIGHT.sequential)
    assert scale[0] == (0.0, LIGHT.reset)
    assert scale[-1] == (1.0, LIGHT.kept)
