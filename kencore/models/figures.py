"""Figures of a model's predictions: pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.models.held import HeldLogits, Nearness
from kencore.models.quantiles import student

RESAMPLES = 2000
MOST_LOGITS = 1 << 19  # that are kept of a measured model, 2 MB
# N examples, L labels of the model, K pairs of truth and answer that occur, S resamples


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
    that was never foretold has F1 0. Each F1 has a 95 % interval (``f1_macro_low``,
    ``f1_macro_high``), see `f1_intervals`. ``loss`` is the mean cross-entropy in nats, ``guess`` the
    accuracy of saying the most frequent label every time.
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
    figures |= f1_intervals(truth, labels, predictions.logits.shape[1])
    figures["loss"] = mean_loss(predictions)
    figures["examples"] = len(truth)
    figures["guess"] = float(np.bincount(truth).max() / len(truth))
    return figures


def f1_intervals(truth: NDArray[np.int64], labels: NDArray[np.int64], count: int, *, seed: int = 0) -> dict[str, float]:
    """Bootstrap intervals of F1: the middle 95 % of its value over 2,000 resamples.

    A resample draws N examples with replacement. F1 depends on nothing but how often each pair of
    truth and answer occurs, and those counts are multinomial: they are drawn at once.

    Args:
        truth, labels: (N,) the examples' labels and the model's answers.
        count: L, labels that the model knows.
        seed: of the draws: the same data have the same interval.

    Returns:
        ``f1_macro_low`` and so on for macro and weighted, and for binary where L is 2.
    """
    pairs, times = np.unique(np.stack([truth, labels], axis=1), axis=0, return_counts=True)  # K, 2
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(truth), times / len(truth), size=RESAMPLES)  # S, K
    of_truth, of_answer = (np.eye(count, dtype=np.int64)[pairs[:, side]] for side in (0, 1))  # K, L
    support, answers = drawn @ of_truth, drawn @ of_answer  # S, L
    hits = drawn @ (of_truth * of_answer)  # S, L
    occurs = support + answers > 0  # a label that a resample lacks is not averaged, as scikit-learn
    f1 = 2 * hits / np.where(occurs, support + answers, 1)  # S, L
    values = {"f1_macro": f1.sum(axis=1) / occurs.sum(axis=1), "f1_weighted": (f1 * support).sum(axis=1) / len(truth)}
    if count == 2:
        values["f1_binary"] = f1[:, 1]
    bounds = {name: np.quantile(found, (0.025, 0.975)) for name, found in values.items()}
    ends = (("low", 0), ("high", 1))
    return {f"{name}_{end}": float(bounds[name][i]) for name in bounds for end, i in ends}


def mean_loss(predictions: Predictions) -> float:
    """Mean cross-entropy in nats, computed in float64."""
    from scipy.special import log_softmax

    logs = log_softmax(predictions.logits.astype(np.float64), axis=1)  # (N, L)
    return float(-logs[np.arange(len(logs)), predictions.truth].mean())


class Figures(dict[str, Any]):
    """What was measured of one model, and what it was computed from.

    A plain dictionary to whoever reads or writes it as JSON; ``outcomes`` is not written.

    Args:
        outcomes: of a classifier (N,) bool, which examples it told right; of a language model
            (W,) float64, the mean negative log-likelihood of each window's tokens, in nats; of an
            encoder (N,) float64, the similarity of each sentence's embedding to the dense model's.
        answers: of a classifier what it said, where that is not too much to keep for every model that is measured.

    Attributes:
        held: of a language model that others are compared with: its logits.
        near: of one that was compared: how near it is.
    """

    def __init__(self, figures: dict[str, Any], outcomes: NDArray[Any], answers: Predictions | None = None) -> None:
        super().__init__(figures)
        self.outcomes = outcomes
        self.held: HeldLogits | None = None
        self.near: Nearness | None = None
        self.answers = answers if answers is not None and answers.logits.size <= MOST_LOGITS else None


def measure_of(figures: Mapping[str, Any]) -> str:
    """What a model is judged by, of its figures: ``perplexity``, ``similarity`` (of embeddings) or ``accuracy``."""
    return next((name for name in ("perplexity", "similarity") if name in figures), "accuracy")


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The 95 % interval of a mean, from the spread of its values (N,) by Student's t.

    It takes them for independent draws. Windows that follow each other in one text are nearly
    that; where they are not the interval is too narrow. ``None`` for a single value.
    """
    if len(values) < 2:
        return None
    middle = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    half = student(len(values) - 1) * error
    return middle - half, middle + half
