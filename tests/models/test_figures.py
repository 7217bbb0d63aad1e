"""Figures of predictions against numbers worked out by hand and by scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from kencore.models.figures import Predictions, f1_intervals, quality_of


def predictions(truth: list[int], labels: list[int], classes: int = 2) -> Predictions:
    logits = np.eye(classes, dtype=np.float32)[labels] * 2
    return Predictions(labels=np.array(labels), logits=logits, truth=np.array(truth))


def test_by_hand() -> None:
    # 10 examples, 7 right: 3 true positives, 4 true negatives, 2 false positives, 1 false negative
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    labels = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
    found = quality_of(predictions(truth, labels))
    assert found["accuracy"] == 0.7
    assert found["f1_binary"] == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
    assert found["f1_macro"] == pytest.approx((6 / 9 + 8 / 11) / 2)
    assert found["f1_weighted"] == pytest.approx((4 * 6 / 9 + 6 * 8 / 11) / 10)
    assert found["examples"] == 10
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert found["loss"] == pytest.approx((7 * right + 3 * wrong) / 10, abs=1e-7)
    # Wilson 1927: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
    z, p, n = 1.959963984540054, 0.7, 10
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found["accuracy_low"] == pytest.approx((middle - half) / (1 + z * z / n))
    assert found["accuracy_high"] == pytest.approx((middle + half) / (1 + z * z / n))


def test_all_right_and_all_wrong_stay_within_bounds() -> None:
    right = quality_of(predictions([0, 1, 1], [0, 1, 1]))
    wrong = quality_of(predictions([0, 1, 1], [1, 0, 0]))
    assert (right["accuracy"], right["accuracy_high"], right["f1_binary"]) == (1, 1, 1)
    assert (wrong["accuracy"], wrong["accuracy_low"], wrong["f1_binary"]) == (0, 0, 0)
    assert right["accuracy_low"] == pytest.approx(1 - wrong["accuracy_high"])


def test_a_label_nobody_foretells_has_f1_zero() -> None:
    found = quality_of(predictions([0, 1], [0, 0]))
    assert found["f1_binary"] == 0


def test_more_than_two_labels_have_no_binary_f1() -> None:
    truth, labels = [0, 1, 2, 2], [0, 2, 2, 1]
    found = quality_of(predictions(truth, labels, classes=3))
    assert "f1_binary" not in found
    assert found["f1_macro"] == pytest.approx(f1_score(truth, labels, average="macro"))


def test_large_logits_give_a_finite_loss() -> None:
    logits = np.array([[1e4, -1e4]], dtype=np.float32)
    made = Predictions(labels=np.array([0]), logits=logits, truth=np.array([1]))
    assert quality_of(made)["loss"] == 2e4


@given(st.lists(st.tuples(st.integers(0, 2), *[st.floats(-8, 8, width=32)] * 3), min_size=1, max_size=20))
def test_as_scikit_learn(rows: list[tuple[int, float, float, float]]) -> None:
    truth = np.array([row[0] for row in rows])
    logits = np.array([row[1:] for row in rows], dtype=np.float32)
    made = Predictions(labels=logits.argmax(1), logits=logits, truth=truth)
    shares = np.exp(logits.astype(float))
    shares /= shares.sum(1, keepdims=True)
    found = quality_of(made)
    assert found["loss"] == pytest.approx(log_loss(truth, shares, labels=[0, 1, 2]), abs=1e-9)
    assert found["accuracy"] == pytest.approx(made.correct.mean())
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]


# --- intervals of F1 --------------------------------------------------------------------------


def resampled(truth: np.ndarray, labels: np.ndarray, average: str, times: int) -> np.ndarray:
    """The reference: examples drawn one by one, F1 of each draw by scikit-learn."""
    rng = np.random.default_rng(17)
    draws = rng.integers(len(truth), size=(times, len(truth)))
    return np.array([f1_score(truth[d], labels[d], average=average, zero_division=0) for d in draws])


@pytest.mark.parametrize(("classes", "average"), [(2, "binary"), (4, "macro"), (4, "weighted")])
def test_f1_intervals_are_those_of_a_plain_bootstrap(classes: int, average: str) -> None:
    rng = np.random.default_rng(3)
    truth = rng.choice(classes, size=60, p=[0.7, 0.3] if classes == 2 else [0.6, 0.3, 0.07, 0.03])
    labels = np.where(rng.random(60) < 0.75, truth, rng.integers(classes, size=60))
    found = f1_intervals(truth, labels, classes)
    wanted = resampled(truth, labels, average, 600)
    low, high = np.quantile(wanted, (0.025, 0.975))
    assert found[f"f1_{average}_low"] == pytest.approx(low, abs=0.02)
    assert found[f"f1_{average}_high"] == pytest.approx(high, abs=0.02)


def test_f1_intervals_narrow_with_examples_and_are_the_same_each_time() -> None:
    truth, labels = np.array([0, 0, 0, 1, 1, 1] * 5), np.array([0, 0, 1, 1, 1, 0] * 5)
    few = f1_intervals(truth, labels, 2)
    assert few == f1_intervals(truth, labels, 2)
    many = f1_intervals(np.tile(truth, 100), np.tile(labels, 100), 2)
    for name in ("f1_binary", "f1_macro", "f1_weighted"):
        width = few[f"{name}_high"] - few[f"{name}_low"]
        narrow = many[f"{name}_high"] - many[f"{name}_low"]
        assert narrow == pytest.approx(width / 10, rel=0.15)  # root of 100
        assert many[f"{name}_low"] < 2 / 3 < many[f"{name}_high"]


def test_quality_holds_the_intervals_of_its_f1() -> None:
    two = quality_of(predictions([0, 1, 1, 0, 1], [0, 1, 0, 0, 1]))
    assert two["f1_binary_low"] <= two["f1_binary"] <= two["f1_binary_high"]
    three = quality_of(predictions([0, 1, 2, 2], [0, 2, 2, 1], classes=3))
    assert three["f1_macro_low"] <= three["f1_macro"] <= three["f1_macro_high"]
    assert "f1_binary_low" not in three
    right = quality_of(predictions([0, 1, 1], [0, 1, 1]))
    assert (right["f1_weighted_low"], right["f1_weighted_high"]) == (1, 1)
