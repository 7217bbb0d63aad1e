"""Figures of predictions against numbers worked out by hand and by scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from kencore.evaluate.figures import Predictions, quality_of


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


@given(
    st.lists(
        st.tuples(st.integers(0, 2), *[st.floats(-8, 8, width=32)] * 3), min_size=1, max_size=20
    )
)
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
