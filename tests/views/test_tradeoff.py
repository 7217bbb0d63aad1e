"""The curve, its front, its knee and the best per budget: known cases, properties, brute force."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from kencore.sweeps.lines import BASELINE_COLUMNS, POINT_COLUMNS
from kencore.sweeps.pairs import could_be_chance
from kencore.sweeps.places import point_folder
from kencore.sweeps.shelf import list_sweeps, open_sweep
from kencore.views.tradeoff import best_per_budget, curve, front, knee, knees, way

NUMBERS = st.integers(-50, 50)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12)


def points(*lines: dict[str, Any]) -> pd.DataFrame:
    usual = {
        "allocation": "uniform",
        "rescale": "none",
        "seed": 0,
        "restore": "base",
        "state": "done",
        "reason": "",
        "metric": "accuracy",
        "bytes_stored": 100,
        "method": "ken",
    }
    found = []
    for i, line in enumerate(lines):
        share = line.get("keep", 0.5)
        found.append(usual | {"run": f"run-{i}", "kept_share": share, "keep": 0.5} | line)
    return pd.DataFrame(found, columns=list(POINT_COLUMNS)).astype(POINT_COLUMNS)


def measured(method: str, keep: float, quality: float, half: float = 0.02, **more: Any) -> Any:
    return {
        "method": method,
        "keep": keep,
        "quality": quality,
        "low": quality - half,
        "high": quality + half,
        "loss": 1 - quality,
    } | more


# --- front and knee ---------------------------------------------------------------------------


@given(PAIRS)
def test_the_front_is_what_nothing_dominates(pairs: list[tuple[int, int]]) -> None:
    sizes, scores = np.array(pairs, float).T
    wanted = [not any(a <= size and b >= score and (a < size or b > score) for a, b in pairs) for size, score in pairs]
    assert front(sizes, scores).tolist() == wanted


@given(PAIRS, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.integers(-9, 9), st.permutations(range(12)))
def test_a_knee_does_not_hang_on_axes_or_order(
    pairs: list[tuple[int, int]], wide: float, high: float, shift: int, order: list[int]
) -> None:
    sizes, scores = np.array(pairs, float).T
    place = knee(sizes, scores)
    other = knee(sizes * wide + shift, scores * high - shift)
    if place is None:
        assert other is None
        return
    assert other is not None
    assert (sizes[other], scores[other]) == (sizes[place], scores[place])
    turned = [i for i in order if i < len(pairs)]
    moved = knee(sizes[turned], scores[turned])
    assert moved is not None
    assert (sizes[turned][moved], scores[turned][moved]) == (sizes[place], scores[place])
    assert front(sizes, scores)[place]
    best = np.array([scores[sizes <= size].max() for size in sizes])  # by brute force
    above = (best - best.min()) / np.ptp(best) - (sizes - sizes.min()) / np.ptp(sizes)
    assert above[place] > 0
    assert above[place] == pytest.approx(above.max(), abs=1e-8)


def test_knees_of_known_curves() -> None:
    x = np.linspace(0, 1, 101)
    assert x[knee(x, 1 - (1 - x) ** 2) or 0] == pytest.approx(0.5)  # slope 2 - 2 x is 1
    assert x[knee(x, np.sqrt(x)) or 0] == pytest.approx(0.25)  # slope 1 / (2 sqrt x) is 1
    assert x[knee(x, np.minimum(1, 5 * x)) or 0] == pytest.approx(0.2)
    assert knee(x, x) is None  # a line
    assert knee(x, x**2) is None  # below the chord
    assert knee(x, -x) is None  # nothing is gained by size
    assert knee([0, 1], [0, 1]) is None
    assert knee([0.1, 0.5, 0.8, 1, 1], [0.7, 0.8, 0.79, 0.79, 0.2]) == 1  # larger and worse: a plateau
    assert knee([0.1, 0.5, 1], [0.7, 0.8, 0.81]) is None  # the middle one of three is no finding


@given(st.floats(0.5, 8))
def test_the_knee_of_saturation_moves_down_as_it_gets_faster(rate: float) -> None:
    x = np.linspace(0, 1, 201)

    def at(r: float) -> float:
        place = knee(x, 1 - np.exp(-r * x))
        assert place is not None
        return float(x[place])

    exact = math.log(rate / (1 - math.exp(-rate))) / rate  # where the normalised slope is 1
    assert at(rate) == pytest.approx(exact, abs=1 / 200)


# --- the curve --------------------------------------------------------------------------------


def test_intervals_join_measurement_and_seeds() -> None:
    lines = [
        measured("random", 0.5, q, h, seed=i) for i, (q, h) in enumerate([(0.80, 0.02), (0.84, 0.03), (0.82, 0.01)])
    ]
    (line,) = curve(points(*lines)).to_dict("records")
    spread = t.ppf(0.975, 2) * 0.02 / math.sqrt(3)
    own = math.sqrt((0.02**2 + 0.03**2 + 0.01**2) / 3)
    assert line["quality"] == pytest.approx(0.82)
    assert line["high"] - line["quality"] == pytest.approx(math.hypot(own, spread))
    assert line["quality"] - line["low"] == pytest.approx(math.hypot(own, spread))
    assert (line["seeds"], line["runs"]) == (3, ("run-0", "run-1", "run-2"))


def test_one_point_keeps_its_own_interval() -> None:
    lines = [measured("ken", 0.5, 0.8), measured("ken", 0.1, 0.6), measured("delta", 0.5, 0.9)]
    table = curve(points(*lines, {"state": "failed"}, {"state": "done"}))
    assert list(zip(table["name"], table["keep"], strict=True)) == [("ken", 0.1), ("ken", 0.5), ("delta", 0.5)]
    assert table["low"].tolist() == pytest.approx([0.58, 0.78, 0.88])
    assert table["seed_sd"].isna().all()


def test_perplexity_is_averaged_and_compared_as_nll() -> None:
    lines = [
        {
            "method": "wanda",
            "seed": i,
            "metric": "perplexity",
            "quality": math.exp(nll),
            "low": math.exp(nll - 0.1),
            "high": math.exp(nll + 0.2),
            "loss": nll,
        }
        for i, nll in enumerate([3.0, 4.0])
    ]
    lines.append(
        {
            "method": "magnitude",
            "metric": "perplexity",
            "quality": math.exp(9.0),
            "low": None,
            "high": None,
            "loss": 9.0,
        }
    )
    table = curve(points(*lines))
    wanda = table.iloc[0]
    spread = t.ppf(0.975, 1) * math.sqrt(0.5) / math.sqrt(2)
    assert wanda["quality"] == pytest.approx(math.exp(3.5))
    assert wanda["score"] == pytest.approx(-3.5)
    assert math.log(wanda["low"]) == pytest.approx(3.5 - math.hypot(0.1, spread))
    assert math.log(wanda["high"]) == pytest.approx(3.5 + math.hypot(0.2, spread))
    assert wanda["low"] < wanda["quality"] < wanda["high"]
    one = curve(points(lines[0], lines[2]))
    assert best_per_budget(one)["words"].tolist() == ["wanda"]  # the lower perplexity


def test_baselines_fill_what_the_grid_lacks() -> None:
    own = points(measured("delta", 0.5, 0.9), measured("random", 0.5, 0.7, rescale="share"))
    lines = [
        {
            "baseline": name,
            "method": method,
            "rescale": rescale,
            "keep": keep,
            "seed": 0,
            "restore": "base",
            "kept_share": keep,
            "bytes_stored": 9,
            "metric": "accuracy",
            "quality": 0.6,
            "low": 0.5,
            "high": 0.7,
            "loss": 1.0,
        }
        for name, method, rescale, keep in [
            ("delta", "delta", "none", 0.5),
            ("delta", "delta", "none", 0.1),
            ("dare", "random", "share", 0.5),
            ("magnitude", "magnitude", "none", 0.5),
        ]
    ]
    table = curve(own, pd.DataFrame(lines, columns=list(BASELINE_COLUMNS)).astype(BASELINE_COLUMNS))
    found = set(zip(table["name"], table["keep"], table["baseline"], strict=True))
    assert found == {("delta", 0.5, False), ("dare", 0.5, False), ("delta", 0.1, True), ("magnitude", 0.5, True)}


def test_nothing_done_is_an_empty_curve() -> None:
    table = curve(points({"state": "missing"}), None)
    assert table.empty
    assert best_per_budget(table).empty
    assert knees(table) == {}


def test_ways_have_names() -> None:
    assert way("random", rescale="share") == "dare"
    assert way("wanda", "owl") == "wanda + owl"
    assert way("ken", rescale="energy") == "ken, rescaled by energy"


# --- the best per budget ----------------------------------------------------------------------


def test_ties_are_named() -> None:
    lines = curve(
        points(
            measured("delta", 0.5, 0.90),
            measured("ken", 0.5, 0.80),
            measured("random", 0.5, 0.88),
            measured("delta", 0.1, 0.70),
            measured("ken", 0.1, 0.75),
            measured("random", 0.1, 0.60),
        )
    )
    best = best_per_budget(lines)
    # 0.02 apart and each within 0.02: the difference reaches zero (0.028); 0.05 apart it does not
    assert best["words"].tolist() == ["delta, tied with random", "ken"]
    assert best["keep"].tolist() == [0.5, 0.1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20)), min_size=1, max_size=6))
def test_the_best_is_the_highest_and_ties_are_mutual(values: list[tuple[int, int]]) -> None:
    methods = ["ken", "ken-density", "delta", "magnitude", "random", "wanda"][: len(values)]
    lines = [measured(m, 0.5, q / 100, h / 100) for m, (q, h) in zip(methods, values, strict=True)]
    (best,) = best_per_budget(curve(points(*lines))).to_dict("records")
    quality = dict(zip(methods, values, strict=True))
    top = quality[best["best"]]
    assert top[0] == max(q for q, _ in values)
    for method, (q, half) in quality.items():
        gap, reach = top[0] - q, math.hypot(top[1], half)
        assume(abs(gap - reach) > 1e-6 or gap == 0)
        if method != best["best"]:
            assert (method in best["tied"]) == (gap <= reach)


def test_points_on_the_same_data_are_tied_where_pairs_cannot_tell_them_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the sweep that ships, by McNemar's exact test on the bits of each point's own metrics."""
    monkeypatch.delenv("KENVIZ_GALLERY")
    (found,) = list_sweeps()
    sweep = open_sweep(found.id)
    right: dict[tuple[str, str], np.ndarray] = {}
    for line in sweep.points.itertuples():
        kept = json.loads((point_folder(line.run) / "metrics.json").read_text("utf-8"))["outcomes"]
        bits = np.unpackbits(
            np.frombuffer(bytes.fromhex(kept["right"]), np.uint8), count=kept["examples"], bitorder="little"
        )
        right[f"{line.keep} {line.bits}", line.method] = bits.astype(bool)
        assert bits.mean() == pytest.approx(line.quality)
    for best in best_per_budget(curve(sweep.points, sweep.baselines), could_be_chance).itertuples():
        budget = f"{best.keep} {best.bits}"
        own = right[budget, best.best]
        others = {method: bits for (one, method), bits in right.items() if one == budget and method != best.best}
        assert own.sum() == max(bits.sum() for bits in (own, *others.values()))
        apart = {method: (int((own & ~bits).sum()), int((~own & bits).sum())) for method, bits in others.items()}
        tied = {method for method, (won, lost) in apart.items() if binomtest(won, won + lost).pvalue >= 0.05}
        assert set(best.tied) == tied


def test_the_dense_model_is_the_end_of_every_curve() -> None:
    shares = (0.05, 0.1, 0.2, 0.4)
    lines = curve(points(*(measured("ken", s, 1 - (1 - s) ** 6) for s in shares)))
    alone = lines.loc[knees(lines)["ken"], "keep"]
    ended = lines.loc[knees(lines, {"accuracy": 1.0})["ken"], "keep"]
    assert (alone, ended) == (0.2, 0.4)
    by_bytes = knees(lines, {"accuracy": 1.0}, size="bytes_stored")
    assert by_bytes == {}  # all made-up points are as large
