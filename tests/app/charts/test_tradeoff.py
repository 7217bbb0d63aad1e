"""The curves of a sweep: points, intervals, knees and the front where they belong, honest words."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.charts import tradeoff as charts
from app.charts.tradeoff_data import ACCURACY, LOSS, PERPLEXITY, Curves, Measure, Reference, Way
from app.charts.tradeoff_words import finding
from kencore.methods.table import METHODS
from kencore.words.palette import LIGHT

SHARES = (0.1, 0.25, 0.5, 0.9)


def way(label: str, method: str, symbol: str = "circle") -> Way:
    return Way(label=label, color=METHODS[method].color, dash="solid", symbol=symbol)


def table(values: dict[str, tuple[float, ...]], *, sign: int = 1, half: float = 0.02) -> Any:
    lines = []
    for name, column in values.items():
        for share, value in zip(SHARES, column, strict=True):
            lines.append(
                {
                    "name": name,
                    "baseline": name == "magnitude",
                    "keep": share,
                    "k": pd.NA,
                    "kept_share": share,
                    "nbytes": 1e6 * share,
                    "size": share,
                    "value": value,
                    "value_low": value - half,
                    "value_high": value + half,
                    "score": sign * value,
                    "score_low": sign * value - half,
                    "score_high": sign * value + half,
                    "seeds": 1,
                    "runs": () if name == "magnitude" else (f"run-{name}-{share}",),
                    "budget": f"{100 * share:g} %",
                    "knee": name == "delta" and share == 0.25,
                    "front": name == "delta",
                }
            )
    return pd.DataFrame(lines)


def curves(
    measure: Measure = ACCURACY,
    dense: tuple[float, float, float] = (0.95, 0.93, 0.97),
    base: float | None = 0.5,
    **values: tuple[float, ...],
) -> Curves:
    lower = -1 if measure.lower else 1
    nan = math.nan
    return Curves(
        table=table(values, sign=lower),
        measure=measure,
        ways={
            "delta": way("Largest difference", "delta"),
            "ken": way("KEN", "ken", "square"),
            "magnitude": way("Largest magnitude", "magnitude", "diamond"),
        },
        dense=Reference(label="tuned model", value=dense[0], low=dense[1], high=dense[2], nbytes=1e6),
        base=None
        if base is None
        else Reference(label="base, everything reset", value=base, low=nan, high=nan, nbytes=nan),
    )


@pytest.fixture
def found() -> Curves:
    return curves(delta=(0.90, 0.935, 0.945, 0.95), ken=(0.6, 0.8, 0.9, 0.94), magnitude=(0.62, 0.81, 0.91, 0.95))


def trace(chart: Any, name: str) -> Any:
    (one,) = [trace for trace in chart.figure.data if trace.name == name]
    return one


def test_each_point_stands_where_it_was_measured_and_leads_to_its_run(found: Curves) -> None:
    chart = charts.quality_by_size(found, LIGHT, size="share", log=False)
    line = trace(chart, "Largest difference")
    assert list(line.x) == list(SHARES)
    assert list(line.y) == pytest.approx([90, 93.5, 94.5, 95])
    assert list(line.customdata) == [f"run-delta-{share}" for share in SHARES]
    assert line.line.color == METHODS["delta"].color
    assert list(trace(chart, "Largest magnitude").customdata) == [""] * 4  # no run of its own
    assert "no run of its own" in trace(chart, "Largest magnitude").text[0]
    assert "95 % interval 91.5\xa0% to 95.5\xa0%" in line.text[1]


def test_by_size_the_same_points_stand_at_their_bytes(found: Curves) -> None:
    chart = charts.quality_by_size(found, LIGHT, size="bytes", log=True)
    assert list(trace(chart, "KEN").x) == pytest.approx([1e5, 2.5e5, 5e5, 9e5])
    assert list(trace(chart, "tuned model").x) == [1e6]
    axis = chart.figure.layout.xaxis
    assert axis.type == "log"
    assert all(1e5 * 0.95 <= tick <= 1e6 * 1.05 for tick in axis.tickvals)
    assert len(axis.tickvals) >= 4
    assert axis.title.text == "size of the subnetwork file"


def test_the_band_is_the_interval(found: Curves) -> None:
    chart = charts.quality_by_size(found, LIGHT, size="share", log=False)
    band = trace(chart, "KEN, 95 % interval")
    assert list(band.x) == [*SHARES, *SHARES[::-1]]
    assert list(band.y) == pytest.approx([58, 78, 88, 92, 96, 92, 82, 62])
    assert not [one for one in chart.figure.data if one.name == "Largest magnitude, 95 % interval"]


def test_many_lines_have_bars_instead(found: Curves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "_FEW", 2)
    chart = charts.quality_by_size(found, LIGHT, size="share", log=False)
    assert not [one for one in chart.figure.data if one.fill == "toself"]
    error = trace(chart, "KEN").error_y
    assert list(error.array) == pytest.approx([2] * 4)
    assert list(error.arrayminus) == pytest.approx([2] * 4)


def test_knee_and_front_are_marked(found: Curves) -> None:
    chart = charts.quality_by_size(found, LIGHT, size="share", log=False)
    knee, front = trace(chart, "knee"), trace(chart, "Pareto front")
    assert (list(knee.x), list(knee.y)) == ([0.25], [pytest.approx(93.5)])
    assert list(front.x) == list(SHARES)
    assert chart.data.loc[chart.data["knee"], "way"].tolist() == ["Largest difference"]


def test_the_references_are_lines_across(found: Curves) -> None:
    chart = charts.quality_by_size(found, LIGHT, size="share", log=False)
    levels = [shape.y0 for shape in chart.figure.layout.shapes if shape.type == "line"]
    assert levels == pytest.approx([95, 50])
    (box,) = [shape for shape in chart.figure.layout.shapes if shape.type == "rect"]
    assert (box.y0, box.y1) == pytest.approx((93, 97))
    texts = [note.text for note in chart.figure.layout.annotations]
    assert texts == ["tuned model 95.0\xa0%", "base, everything reset 50.0\xa0%"]


def test_a_wide_perplexity_is_drawn_in_powers_with_its_labels_in_place() -> None:
    found = curves(
        PERPLEXITY, (20.0, 19.0, 21.0), 5000.0, delta=(900.0, 90.0, 30.0, 20.5), ken=(4000.0, 300.0, 50.0, 22.0)
    )
    figure = charts.quality_by_size(found, LIGHT, size="share", log=False).figure
    assert figure.layout.yaxis.type == "log"
    assert "lower is better" in figure.layout.yaxis.title.text
    notes = {note.text.split(" ")[0]: note for note in figure.layout.annotations}
    assert notes["tuned"].y == pytest.approx(math.log10(20))
    assert notes["base,"].y == pytest.approx(math.log10(5000))
    assert 10 ** figure.layout.yaxis.range[1] > 5000
    ticks = figure.layout.yaxis.tickvals
    assert {100, 1000} <= {round(tick, 9) for tick in ticks}


def test_without_intervals_there_is_no_band_and_nothing_breaks(found: Curves) -> None:
    bare = replace(found, table=found.table.assign(value_low=np.nan, value_high=np.nan), dense=None, base=None)
    chart = charts.quality_by_size(bare, LIGHT, size="share", log=True)
    assert list(trace(chart, "KEN, 95 % interval").x) == []
    assert not chart.figure.layout.shapes
    assert chart.finding == "Largest difference has the best accuracy: 95.0\xa0% at 90 %"


# --- words --------------------------------------------------------------------------------------


def test_a_way_that_codes_differences_holds_down_to_its_smallest_file() -> None:
    found = curves(delta=(0.9, 0.935, 0.945, 0.95), ken=(0.6, 0.935, 0.94, 0.94))
    found.table["size"] = found.table["nbytes"].where(found.table["name"] == "delta", found.table["nbytes"] / 10)
    found.table["nbytes"] = found.table["size"]
    found.table.loc[found.table["name"] == "ken", "budget"] = "2 bits"
    assert finding(found, sizes=True) == (
        "KEN keeps accuracy within the interval of the tuned model down to 2 bits (25\xa0kB of 1\xa0MB)"
    )


def test_the_finding_is_how_far_down_quality_holds(found: Curves) -> None:
    assert finding(found) == (
        "Largest difference keeps accuracy within the interval of the tuned model down to 25 % "
        "kept; its knee is at 25 %"
    )
    assert "down to 25 % kept (250\xa0kB of 1\xa0MB)" in finding(found, sizes=True)


def test_a_point_that_holds_below_one_that_does_not_is_no_merit() -> None:
    lucky = curves(delta=(0.94, 0.80, 0.94, 0.95), ken=(0.6, 0.8, 0.9, 0.92))
    assert finding(lucky).startswith(
        "Largest difference keeps accuracy within the interval of the tuned model down to 50 % kept"
    )


def test_two_that_reach_as_far_are_both_named_the_better_first() -> None:
    two = curves(delta=(0.8, 0.8, 0.935, 0.95), ken=(0.6, 0.8, 0.94, 0.94))
    assert finding(two).startswith("KEN and Largest difference keep accuracy within the interval")


def test_baselines_do_not_speak_for_the_sweep() -> None:
    only = curves(delta=(0.5, 0.6, 0.7, 0.8), magnitude=(0.94, 0.94, 0.95, 0.95))
    assert finding(only) == (
        "No way to prune keeps accuracy within the interval of the tuned model; closest: "
        "Largest difference at 90 %, 80.0\xa0% against 95.0\xa0%"
    )


def test_less_is_better_for_a_perplexity_and_for_a_loss() -> None:
    values = {"delta": (30.0, 20.9, 20.5, 20.0), "ken": (90.0, 40.0, 20.8, 20.0)}
    for measure in (PERPLEXITY, LOSS):
        said = finding(curves(measure, (20.0, 19.0, 21.0), None, **values))
        assert said.startswith(
            f"Largest difference keeps {measure.label} within the interval of the tuned model down to 25 % kept"
        )


def test_nothing_measured_is_said(found: Curves) -> None:
    assert finding(replace(found, table=found.table.iloc[:0])) == "No point measured yet"


def test_lines_run_from_left_to_right_in_either_size() -> None:
    found = curves(delta=(0.9, 0.8, 0.7, 0.6))
    found.table["nbytes"] = [3e5, 1e5, 4e5, 2e5]  # a small share of large files, as of coded differences
    for size in ("share", "bytes"):
        chart = charts.quality_by_size(found, LIGHT, size=size, log=False)
        (trace,) = [trace for trace in chart.figure.data if trace.customdata is not None and len(trace.x) == 4]
        assert list(trace.x) == sorted(trace.x)
        where = dict(
            zip(found.table["runs"].str[0], found.table["nbytes" if size == "bytes" else "kept_share"], strict=True)
        )
        assert [where[run] for run in trace.customdata] == list(trace.x)


def test_nothing_is_said_to_be_kept_of_a_coded_difference() -> None:
    found = curves(delta=(0.9, 0.8, 0.7, 0.6))
    found.table[["keep", "budget"]] = [[None, "2 bits"], [0.25, "25 %"], [0.5, "50 %"], [0.75, "75 %"]]
    chart = charts.quality_by_size(found, LIGHT, size="share", log=False)
    (trace,) = [trace for trace in chart.figure.data if trace.customdata is not None and len(trace.x) == 4]
    said = [text.split("<br>")[0].partition(", ")[2] for text in trace.text]
    assert said == ["2 bits", "25 % kept", "50 % kept", "75 % kept"]
