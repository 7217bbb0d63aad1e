"""Paired comparison against formulas worked by hand, scipy, and simulation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ttest_rel

from kencore.quality.paired import Figures, accuracy_change, compared, mean_interval, nll_change, packed, unpacked


def pairs(both: int, lost: int, won: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Which examples two models tell right, by how many fall into each cell."""
    cells = [(True, True)] * both + [(True, False)] * lost
    cells += [(False, True)] * won + [(False, False)] * neither
    first, second = zip(*cells, strict=True)
    return np.array(first), np.array(second)


# --- accuracy ---------------------------------------------------------------------------------


def test_by_hand() -> None:
    # 100 examples: 60 right twice, 12 lost, 5 won, 23 never right
    found = accuracy_change(*pairs(60, 12, 5, 23))
    assert (found["lost"], found["won"]) == (12, 5)
    assert found["accuracy_change"] == pytest.approx(-0.07)
    # McNemar: 17 that differ, 5 or fewer of them, both tails of a fair coin
    assert found["mcnemar_p"] == pytest.approx(2 * sum(math.comb(17, i) for i in range(6)) / 2**17)
    # Agresti and Min 2005: half an example more in each cell
    n, b, c, z = 102, 12.5, 5.5, 1.959963984540054
    error = math.sqrt((b + c) - (b - c) ** 2 / n) / n
    assert found["accuracy_change_low"] == pytest.approx((c - b) / n - z * error)
    assert found["accuracy_change_high"] == pytest.approx((c - b) / n + z * error)


def test_two_models_that_answer_alike() -> None:
    found = accuracy_change(*pairs(30, 0, 0, 10))
    assert (found["accuracy_change"], found["mcnemar_p"]) == (0, 1)
    # no example differs, yet the change need not be exactly zero
    assert found["accuracy_change_low"] == -found["accuracy_change_high"]
    assert 0 < found["accuracy_change_high"] < 0.1


def test_a_model_that_gets_nothing_right() -> None:
    found = accuracy_change(*pairs(0, 1, 0, 0))
    assert found["accuracy_change"] == found["accuracy_change_low"] == -1
    found = accuracy_change(*pairs(0, 50, 0, 0))
    assert found["accuracy_change"] == -1
    assert found["mcnemar_p"] == pytest.approx(2 * 0.5**50)


CELLS = st.tuples(*[st.integers(0, 30)] * 4).filter(lambda cells: sum(cells) > 0)


@given(CELLS)
def test_mirrored_models_have_mirrored_intervals(cells: tuple[int, int, int, int]) -> None:
    first, second = pairs(*cells)
    one, other = accuracy_change(first, second), accuracy_change(second, first)
    assert one["accuracy_change_low"] == pytest.approx(-other["accuracy_change_high"])
    assert one["mcnemar_p"] == other["mcnemar_p"]
    assert -1 <= one["accuracy_change_low"] <= one["accuracy_change"]
    assert one["accuracy_change"] <= one["accuracy_change_high"] <= 1
    assert one["accuracy_change"] == pytest.approx(second.mean() - first.mean())
    few, apart = min(cells[1:3]), sum(cells[1:3])
    assert one["mcnemar_p"] == pytest.approx(min(1, 2 * binom.cdf(few, apart, 0.5)))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    inside, times = 0, 2000
    for _ in range(times):  # 80 % right; the second model loses 9 % and wins 4 %
        both, lost, won, neither = rng.multinomial(120, (0.7, 0.09, 0.04, 0.17))
        found = accuracy_change(*pairs(both, lost, won, neither))
        inside += found["accuracy_change_low"] <= -0.05 <= found["accuracy_change_high"]
    assert 0.94 <= inside / times <= 0.975


# --- likelihood -------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), min_size=2, max_size=30))
def test_as_the_paired_t_test_of_scipy(rows: list[tuple[float, float]]) -> None:
    first, second = np.array(rows).T
    found = nll_change(first, second)
    if np.ptp(second - first) < 1e-6:  # nothing varies: scipy gives NaN
        assert found["nll_change_high"] - found["nll_change_low"] < 1e-5
        return
    wanted = ttest_rel(second, first).confidence_interval(0.95)
    assert found["nll_change_low"] == pytest.approx(wanted.low, abs=1e-9)
    assert found["nll_change_high"] == pytest.approx(wanted.high, abs=1e-9)
    assert found["nll_change"] == pytest.approx(second.mean() - first.mean(), abs=1e-9)


def test_one_window_has_no_interval() -> None:
    assert nll_change(np.array([2.0]), np.array([2.5])) == {"nll_change": 0.5}
    assert mean_interval(np.array([1.0])) is None


def test_pairs_tell_more_than_two_intervals() -> None:
    """Windows differ far more from each other than a window does between two models."""
    rng = np.random.default_rng(0)
    first = rng.normal(4, 1, 50)
    second = first + 0.1 + rng.normal(0, 0.05, 50)
    low, high = mean_interval(first) or (0, 0)
    found = nll_change(first, second)
    assert low < second.mean() < high  # apart, nothing is seen
    assert 0 < found["nll_change_low"] < 0.1 < found["nll_change_high"] < 0.15


# --- a whole measurement ----------------------------------------------------------------------


def test_every_step_is_compared_with_dense_and_outcomes_of_the_pruned_model_are_kept() -> None:
    right = {
        name: np.array(told, dtype=bool)
        for name, told in {"dense": (1, 1, 0), "pruned": (1, 0, 0), "random": (0, 0, 1)}.items()
    }
    steps = {name: Figures({"accuracy": float(told.mean())}, told) for name, told in right.items()}
    metrics = {
        "examples": 3,
        "dense": steps["dense"],
        "pruned": steps["pruned"],
        "baselines": {"random": steps["random"], "kept from before": {"accuracy": 0.5}},
    }
    found = compared(metrics)
    assert found["pruned"]["versus_dense"] == accuracy_change(right["dense"], right["pruned"])
    assert found["baselines"]["random"]["versus_dense"]["won"] == 1
    assert "versus_dense" not in found["baselines"]["kept from before"]
    assert "versus_dense" not in found["dense"]
    assert "versus_dense" not in metrics["pruned"]
    assert found["outcomes"] == {"right": "01", "examples": 3}
    assert "outcomes" not in json.dumps([found[step] for step in ("dense", "pruned", "baselines")])


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_outcomes_of_examples_go_to_json_and_back(right: list[bool]) -> None:
    told = np.array(right, dtype=bool)
    back = unpacked(json.loads(json.dumps(packed(told))))
    assert back is not None
    assert back.dtype == np.bool_
    np.testing.assert_array_equal(back, told)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e3), max_size=20))
def test_losses_of_windows_go_to_json_and_back_bit_for_bit(losses: list[float]) -> None:
    back = unpacked(json.loads(json.dumps(packed(np.array(losses, np.float64)))))
    np.testing.assert_array_equal(back, losses)


@pytest.mark.parametrize("stored", [None, {}, {"right": "zz", "examples": 3}, {"right": "00"}, [1], {"nll": "many"}])
def test_outcomes_of_another_form_are_none(stored: object) -> None:
    assert unpacked(stored) is None


def test_a_measurement_read_from_a_file_is_left_as_it_is() -> None:
    old = {"dense": {"nll": 2.0}, "pruned": {"nll": 2.5}}
    assert compared(old) == old
    assert compared({}) == {}
