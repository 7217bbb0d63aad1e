"""Sparsity over depth: exact bars and lines, labels that do not touch, honest sentences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from app.charts import depth
from kencore.views import sparsity
from kencore.words.palette import DARK, LIGHT, RUNS


def table(shares: list[float], stack: str = "blocks", cols: int = 1000) -> pd.DataFrame:
    """`sparsity.by_block` of blocks of 1000 entries."""
    gone = np.round(np.array(shares) * 1000).astype(int)
    return pd.DataFrame(
        {
            "stack": stack,
            "block": range(len(shares)),
            "matrices": 2,
            "cols": cols,
            "params": 1000,
            "kept": 1000 - gone,
            "sparsity": gone / 1000,
            "target": np.nan,
        }
    )


def run(label: str, shares: list[float], at: int = 0, target: float = 0.5) -> depth.Depth:
    return depth.Depth(label=label, color=RUNS[at], symbol=depth.SYMBOLS[at], blocks=table(shares), target=target)


def text(chart: depth.Chart) -> str:
    return chart.finding.replace("\xa0", " ")


def test_bars_are_exact_and_the_target_is_a_line() -> None:
    chart = depth.block_bars(run("a", [0.4, 0.5, 0.6]), LIGHT)
    (bars,) = chart.figure.data
    np.testing.assert_allclose(bars.y, [0.4, 0.5, 0.6], rtol=1e-6)
    (line,) = chart.figure.layout.shapes
    assert line.y0 == line.y1 == 0.5
    assert "600 of 1,000 not kept" in bars.text[2]
    assert text(chart) == "Sparsity ranges from 40.0 % in block 0 to 60.0 % in block 2"
    assert chart.figure.layout.yaxis.range[0] == 0
    assert chart.alt.endswith(f"{chart.finding}.")


def test_blocks_that_differ_by_rounding_alone_are_said_to_be_equal() -> None:
    even = depth.block_bars(run("a", [0.5, 0.501]), DARK)
    assert text(even).startswith("Every block has a sparsity of 50")
    coarse = depth.Depth(label="a", color=RUNS[0], symbol="circle", blocks=table([0.69, 0.72], cols=32), target=0.7)
    assert text(depth.block_bars(coarse, LIGHT)).startswith("Every block")


def test_what_was_asked_for_is_in_the_hover() -> None:
    asked = run("a", [0.4, 0.6])
    asked.blocks["target"] = [0.401, 0.599]
    hover = depth.block_bars(asked, LIGHT).figure.data[0].text
    assert "asked for 40.10\xa0%" in hover[0]


def test_a_model_with_two_stacks_names_both() -> None:
    both = pd.concat([table([0.4], "encoder"), table([0.6], "decoder")], ignore_index=True)
    chart = depth.block_bars(depth.Depth(label="a", color=RUNS[0], symbol="circle", blocks=both, target=0.5), LIGHT)
    assert list(chart.figure.layout.xaxis.ticktext) == ["encoder 0", "decoder 0"]


def cells(roles: dict[str, list[float]]) -> pd.DataFrame:
    parts = [table(shares).assign(role=role, name=role) for role, shares in roles.items()]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("number", [1, 4, 7, 13])
def test_a_panel_for_each_role_without_overlap(number: int) -> None:
    roles = {f"r{i}": [0.4, 0.6] for i in range(number)}
    chart = depth.role_bars(cells(roles), run("a", [0.4, 0.6]), LIGHT)
    assert len(chart.figure.data) == len(chart.figure.layout.shapes) == number
    layout = chart.figure.layout
    boxes = []
    for bars in chart.figure.data:
        x, y = layout[bars.xaxis.replace("x", "xaxis")], layout[bars.yaxis.replace("y", "yaxis")]
        boxes.append((*x.domain, *y.domain))
    for i, (x0, x1, y0, y1) in enumerate(boxes):
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        for a0, a1, b0, b1 in boxes[i + 1 :]:
            assert x1 <= a0 + 1e-9 or a1 <= x0 + 1e-9 or y1 <= b0 + 1e-9 or b1 <= y0 + 1e-9


def test_roles_that_differ_are_named() -> None:
    some = cells({"q": [0.8, 0.9], "down": [0.2, 0.3]})
    said = text(depth.role_bars(some, run("a", [0.5, 0.6]), LIGHT))
    assert said == ("Most pruned: attention query (85.0 %); least: feed-forward, second (25.0 %)")
    same = cells({"q": [0.4, 0.6], "down": [0.4, 0.6]})
    assert sparsity.same_in_a_block(same)
    assert text(depth.role_bars(same, run("a", [0.4, 0.6]), LIGHT)) == ("All roles of a block have the same sparsity")


def test_each_run_has_its_line_color_mark_and_name() -> None:
    runs = [run("even", [0.5] * 4), run("ramp", [0.4, 0.45, 0.55, 0.6], 1), run("x", [0.49, 0.51], 2)]
    chart = depth.depth_lines(runs, LIGHT)
    assert [trace.line.color for trace in chart.figure.data] == list(RUNS[:3])
    assert len({trace.marker.symbol for trace in chart.figure.data}) == 3
    np.testing.assert_allclose(chart.figure.data[1].y, [0.4, 0.45, 0.55, 0.6], rtol=1e-6)
    names = {note.text: note.font.color for note in chart.figure.layout.annotations}
    assert names["ramp"] == RUNS[1]
    assert "ramp spreads most: 20.0 points between its blocks; even not at all" in chart.finding
    assert chart.data["run"].tolist() == ["even"] * 4 + ["ramp"] * 4 + ["x"] * 2
    assert len(chart.figure.layout.shapes) == 1  # one target for all


def test_runs_that_spread_as_far_are_both_named() -> None:
    runs = [run("x", [0.4, 0.6]), run("even", [0.5, 0.5], 1), run("y", [0.6001, 0.4], 2)]
    finding = depth.depth_lines(runs, LIGHT).finding
    assert finding == "x and y spread most: 20.0 points between their blocks; even not at all"


def test_other_targets_have_a_line_each_in_the_color_of_the_run() -> None:
    runs = [run("a", [0.5] * 3), run("b", [0.7] * 3, 1, target=0.7)]
    chart = depth.depth_lines(runs, LIGHT)
    assert {line.y0: line.line.color for line in chart.figure.layout.shapes} == {0.5: RUNS[0], 0.7: RUNS[1]}
    assert chart.finding == "Every block of these runs has the same sparsity"


@pytest.mark.parametrize("ends", [[0.6] * 4, [0.6, 0.601, 0.599, 0.4], [0.4] * 4])
def test_names_at_the_ends_do_not_touch(ends: list[float]) -> None:
    labels = ["a", "a name of two lines or more", "c", "d"]
    runs = [run(label, [0.5, end], i) for i, (label, end) in enumerate(zip(labels, ends, strict=True))]
    chart = depth.depth_lines(runs, LIGHT)
    layout = chart.figure.layout
    low, high = layout.yaxis.range
    pixel = (high - low) / (layout.height - layout.margin.t - layout.margin.b)
    notes = sorted((note for note in layout.annotations if not note.text.startswith("target")), key=lambda note: note.y)
    assert len(notes) == 4
    for below, above in pairwise(notes):
        lines = (below.text.count("<br>") + above.text.count("<br>") + 2) / 2
        assert above.y - below.y >= 14 * lines * pixel
    assert notes[-1].y <= high
