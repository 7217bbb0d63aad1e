"""The drawing of a block: every role once, nothing over another, one lit, links escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations

import pandas as pd
import pytest

from app.charts import block_drawing
from kencore.views.tables import ROLES
from kencore.words.palette import DARK, LIGHT
from tests.app.charts.conftest import line

LLAMA = ("q", "k", "v", "o", "gate", "up", "down", "norm")
BERT = ("q", "k", "v", "o", "up", "down", "norm", "bias")
SETS = (
    LLAMA,
    BERT,
    ("qkv", "o", "gate_up", "down"),
    ("q", "k", "v", "o", "router", "gate", "up", "down", "norm"),
    ("other",),
    ROLES,
)


def boxes(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of every part, by role."""
    found = {}
    for link in ET.fromstring(svg).iter("a"):
        rect = link.find("rect")
        assert rect is not None
        x, y, w, h = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        found[link.attrib["data-role"]] = (x, y, x + w, y + h)
    return found


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("roles", SETS)
def test_every_role_has_a_place_of_its_own_inside_the_picture(roles: tuple[str, ...], *, wide: bool) -> None:
    parts = block_drawing.parts_of(pd.DataFrame([line(f"layers.0.{role}", 0, role) for role in roles]))
    svg = block_drawing.drawing(parts, dict.fromkeys(roles, "#"), LIGHT, wide=wide)
    found = boxes(svg)
    assert set(found) == set(roles)
    left, top, width, height = map(float, ET.fromstring(svg).attrib["viewBox"].split())
    for x0, y0, x1, y1 in found.values():
        assert left <= x0 < x1 <= left + width
        assert top <= y0 < y1 <= top + height
    for one, other in combinations(found.values(), 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_data_goes_from_left_to_right_or_down() -> None:
    parts = block_drawing.parts_of(pd.DataFrame([line(f"layers.0.{role}", 0, role) for role in LLAMA]))
    links = dict.fromkeys(LLAMA, "#")
    for wide, edge in ((True, 0), (False, 1)):
        found = boxes(block_drawing.drawing(parts, links, LIGHT, wide=wide))
        assert found["q"][edge] == found["v"][edge] < found["o"][edge] < found["gate"][edge] < found["down"][edge]


def test_one_part_lights_up_and_says_what_it_is() -> None:
    table = pd.DataFrame(
        [
            line("layers.0.fc1.weight", 0, "up"),
            line("layers.0.norm1", 0, "norm", status="untouched"),
            line("layers.0.norm2", 0, "norm", status="untouched"),
        ]
    )
    parts = block_drawing.parts_of(table)
    links = {"up": 'layers?matrix="<a>"', "norm": "#"}
    root = ET.fromstring(block_drawing.drawing(parts, links, DARK, selected="up"))
    up, norm = sorted(root.iter("a"), key=lambda link: link.attrib["data-role"] != "up")
    assert up.attrib["href"] == links["up"]
    assert up.attrib["aria-current"] == "true"
    assert "aria-current" not in norm.attrib
    assert [text.text for text in up.iter("text")] == ["fc1", "widens"]
    assert [text.text for text in norm.iter("text")] == ["norm × 2", "scales"]
    assert norm.attrib["aria-label"] == "layer norms, 2 of them, not pruned"
    rects = [link.find("rect") for link in (up, norm)]
    assert [rect is not None and "stroke-dasharray" in rect.attrib for rect in rects] == [False, True]


def test_a_part_opens_a_pruned_matrix_where_there_is_one() -> None:
    table = pd.DataFrame([line("a", 0, "up", status="untouched"), line("b", 0, "up")])
    [part] = block_drawing.parts_of(table)
    assert (part.name, part.count, part.pruned) == ("b", 2, True)
