"""The tables of a sweep in each measure: the numbers of its runs, and one look for each way."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from app.charts import tradeoff_data as tradeoff_curves
from app.charts.tradeoff_data import ACCURACY, F1, LOSS, PERPLEXITY
from kencore.methods.table import METHODS
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.lines import BASELINE_COLUMNS, POINT_COLUMNS
from kencore.words.sweep import budget

KEEPS = (0.7, 0.5, 0.25, 0.1)


def classifier() -> Any:
    """What the functions read of a sweep: `delta` and `random`, of which two seeds."""
    spec = SweepSpec(model="demo", base="demo-base", methods=("delta", "random"), keeps=KEEPS, seeds=(0, 1))
    plan = {spec.point_id(point): point for point in spec.points()}
    lines = []
    for name, point in plan.items():
        assert point.keep is not None
        accuracy = 0.9 - (0.1 if point.method == "random" else 0.02) / point.keep / 10
        accuracy -= 0.01 * point.seed
        lines.append(
            {
                "run": name,
                "method": point.method,
                "allocation": "uniform",
                "rescale": "none",
                "keep": point.keep,
                "k": None,
                "seed": point.seed,
                "restore": "base",
                "state": "done",
                "reason": "",
                "kept": 100,
                "kept_share": point.keep,
                "bytes_dense": 1000,
                "bytes_stored": int(1000 * point.keep),
                "metric": "accuracy",
                "quality": accuracy,
                "low": accuracy - 0.03,
                "high": accuracy + 0.02,
                "f1_macro": accuracy - 0.05,
                "f1_low": accuracy - 0.09,
                "f1_high": accuracy,
                "loss": 1 - accuracy,
                "seconds": 1.0,
            }
        )
    baselines = [
        {
            "baseline": name,
            "method": "random",
            "rescale": rescale,
            "keep": 0.5,
            "k": None,
            "seed": 0,
            "restore": "base",
            "kept_share": 0.5,
            "bytes_stored": 500,
            "metric": "accuracy",
            "quality": 0.7,
            "low": 0.6,
            "high": 0.8,
            "f1_macro": 0.6,
            "f1_low": 0.5,
            "f1_high": 0.7,
            "loss": 0.3,
        }
        for name, rescale in (("dare", "share"), ("random", "none"))
    ]
    points = pd.DataFrame(lines, columns=list(POINT_COLUMNS)).astype(POINT_COLUMNS)
    beside = pd.DataFrame(baselines, columns=list(BASELINE_COLUMNS)).astype(BASELINE_COLUMNS)
    dense = {
        "accuracy": 0.9,
        "accuracy_low": 0.88,
        "accuracy_high": 0.92,
        "f1_macro": 0.85,
        "f1_macro_low": 0.8,
        "f1_macro_high": 0.9,
        "loss": 0.1,
    }
    return SimpleNamespace(spec=spec, plan=plan, points=points, baselines=beside, dense=dense)


def line(found: tradeoff_curves.Curves, name: str, keep: float) -> Any:
    table = found.table
    (one,) = table[(table["name"] == name) & (table["keep"] == keep)].itertuples()
    return one


def test_accuracy_with_its_interval_and_the_mean_over_seeds() -> None:
    found = tradeoff_curves.curves(classifier(), ACCURACY)
    delta = line(found, "delta", 0.1)
    assert (delta.value, delta.value_low) == pytest.approx((0.88, 0.85))
    drawn = line(found, "random", 0.5)
    assert drawn.value == pytest.approx((0.88 + 0.87) / 2)
    assert drawn.seeds == 2
    assert drawn.value_low < 0.85  # wider than one point's: seeds differ too
    assert found.dense is not None
    assert (found.dense.value, found.dense.low, found.dense.nbytes) == (0.9, 0.88, 1000)


def test_f1_has_figures_of_its_own() -> None:
    found = tradeoff_curves.curves(classifier(), F1)
    delta = line(found, "delta", 0.1)
    assert (delta.value, delta.value_low, delta.value_high) == pytest.approx((0.83, 0.79, 0.88))
    assert found.dense is not None
    assert (found.dense.value, found.dense.low) == (0.85, 0.8)


def test_a_loss_that_has_no_interval_gets_none_from_the_seeds() -> None:
    found = tradeoff_curves.curves(classifier(), LOSS)
    assert line(found, "delta", 0.1).value == pytest.approx(0.12)
    assert line(found, "random", 0.5).value == pytest.approx(0.125)
    assert found.table["value_low"].isna().all()
    assert (found.table["score_low"] == found.table["score"]).all()
    best = found.table.loc[found.table["score"].idxmax()]
    assert best["value"] == found.table["value"].min()


def test_knees_and_front_are_those_of_the_measure() -> None:
    sweep = classifier()
    by_accuracy, by_loss = (tradeoff_curves.curves(sweep, one).table for one in (ACCURACY, LOSS))
    pd.testing.assert_series_equal(by_accuracy["knee"], by_loss["knee"])  # loss is 1 - accuracy
    pd.testing.assert_series_equal(by_accuracy["front"], by_loss["front"])
    assert by_accuracy["knee"].any()


def test_baselines_can_be_left_out_and_do_not_repeat_the_grid() -> None:
    sweep = classifier()
    names = set(tradeoff_curves.curves(sweep, ACCURACY).table["name"])
    assert names == {"delta", "random", "dare"}
    table = tradeoff_curves.curves(sweep, ACCURACY, baselines=False).table
    assert set(table["name"]) == {"delta", "random"}


def test_sizes_of_files_replace_the_estimate_also_for_baselines() -> None:
    sweep = classifier()
    sizes = {run: 7000 + i for i, run in enumerate(sweep.points["run"])}
    found = tradeoff_curves.curves(sweep, ACCURACY, sizes=sizes)
    assert line(found, "delta", KEEPS[0]).nbytes == 7000
    assert line(found, "dare", 0.5).nbytes >= 7000
    partly = tradeoff_curves.curves(sweep, ACCURACY, sizes=dict([next(iter(sizes.items()))]))
    assert line(partly, "delta", 0.25).nbytes == 250


def test_ways_of_one_color_differ_in_dash_and_all_in_mark() -> None:
    ways = tradeoff_curves.ways(classifier())
    assert {name: way.label for name, way in ways.items()} == {
        "delta": "Largest difference",
        "random": "Random",
        "dare": "Random, rescaled (DARE)",
    }
    assert ways["delta"].color == METHODS["delta"].color
    assert ways["random"].color == ways["dare"].color == METHODS["random"].color
    assert ways["random"].dash != ways["dare"].dash
    assert len({way.symbol for way in ways.values()}) == len(ways)


def test_a_language_model_s_loss_is_the_logarithm_of_its_perplexity() -> None:
    sweep = classifier()
    nll = 1 + sweep.points["loss"]
    sweep.points = sweep.points.assign(
        metric="perplexity",
        loss=nll,
        quality=[math.exp(x) for x in nll],
        low=[math.exp(x - 0.1) for x in nll],
        high=[math.exp(x + 0.1) for x in nll],
        f1_macro=math.nan,
        restore="zero",
    )
    sweep.baselines = sweep.baselines.iloc[:0]
    sweep.dense = {"perplexity": math.e, "perplexity_low": math.exp(0.9), "nll": 1.0, "perplexity_high": math.exp(1.1)}
    assert list(tradeoff_curves.measures(sweep.points)) == ["perplexity", "loss"]
    perplexity = tradeoff_curves.curves(sweep, PERPLEXITY)
    loss = tradeoff_curves.curves(sweep, LOSS)
    delta, same = line(perplexity, "delta", 0.1), line(loss, "delta", 0.1)
    assert delta.value == pytest.approx(math.exp(1.12))
    assert same.value == pytest.approx(1.12)
    assert (same.value_low, same.value_high) == pytest.approx((1.02, 1.22))
    assert loss.dense is not None
    assert loss.dense.label == "dense model"
    assert (loss.dense.low, loss.dense.high) == pytest.approx((0.9, 1.1))


def test_measures_are_those_that_there_are_figures_of() -> None:
    points = classifier().points
    assert list(tradeoff_curves.measures(points)) == ["accuracy", "f1", "loss"]
    assert list(tradeoff_curves.measures(points.assign(f1_macro=math.nan))) == ["accuracy", "loss"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"keep": 0.25}, "25 %"), ({"keep": 1 / 3}, "33.3 %"), ({"k": 64}, "k = 64"), ({"bits": 0.5}, "0.5 bits")],
)
def test_budgets_in_words(asked: dict[str, Any], said: str) -> None:
    line = SimpleNamespace(**{"keep": math.nan, "k": pd.NA, "bits": math.nan, "bytes": pd.NA} | asked)
    assert budget(line).replace("\xa0", " ") == said
