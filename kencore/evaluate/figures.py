"""Figures of a classifier's predictions: pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# N examples, L labels of the model


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a model said, in the order of the examples.

    Args:
        labels: (N,) int64, the label of highest logit (the lowest where several are).
        logits: (N, L) float32.
        truth: (N,) int64, the examples' labels as the model numbers them.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    truth: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether each example was told right."""
        return np.equal(self.labels, self.truth)


def quality_of(predictions: Predictions) -> dict[str, Any]:
    """Accuracy with its 95 % Wilson interval, F1, mean loss and number of examples.

    ``f1_binary`` is there for models of two labels only; its positive label is number 1. A label
    that was never foretold has F1 0. ``loss`` is the mean cross-entropy in nats.
    """
    from scipy.stats import binomtest
    from sklearn.metrics import accuracy_score, f1_score

    truth, labels = predictions.truth, predictions.labels
    correct = int(predictions.correct.sum())
    interval = binomtest(correct, len(truth)).proportion_ci(0.95, method="wilson")
    figures: dict[str, Any] = {
        "accuracy": float(accuracy_score(truth, labels)),
        "accuracy_low": float(interval.low),
        "accuracy_high": float(interval.high),
    }
    if predictions.logits.shape[1] == 2:
        figures["f1_binary"] = float(f1_score(truth, labels, average="binary", zero_division=0))
    for average in ("macro", "weighted"):
        figures[f"f1_{average}"] = float(f1_score(truth, labels, average=average, zero_division=0))
    figures["loss"] = mean_loss(predictions)
    figures["examples"] = len(truth)
    return figures


def mean_loss(predictions: Predictions) -> float:
    """Mean cross-entropy in nats, computed in float64."""
    from scipy.special import log_softmax

    logs = log_softmax(predictions.logits.astype(np.float64), axis=1)  # (N, L)
    return float(-logs[np.arange(len(logs)), predictions.truth].mean())
