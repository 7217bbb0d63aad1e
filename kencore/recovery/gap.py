"""The generalisation gap: how much better a model is on what it learned from than on new data.

Pure functions of figures that were measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Interval = tuple[float, float]


def gap_of(train: Mapping[str, Any], held_out: Mapping[str, Any]) -> dict[str, float]:
    """The gap between two measurements of one model.

    Args:
        train, held_out: what `Classifier.quality` or `LanguageModel.quality` returns.

    Returns:
        ``gap``: of a classifier accuracy on the training data minus that on held-out data; of a
        language model nats per token on held-out text minus those on training text. Above zero:
        better on what it has seen. With an interval of both figures also ``gap_low`` to
        ``gap_high``, 95 %, see `difference_interval`.
    """
    if "accuracy" in train:
        first, second = _accuracy(train), _accuracy(held_out)
    else:
        first, second = _nll(held_out), _nll(train)
    found = {"gap": first[0] - second[0]}
    if first[1] is not None and second[1] is not None:
        found["gap_low"], found["gap_high"] = difference_interval(first[0], first[1], second[0], second[1])
    return found


def difference_interval(first: float, first_interval: Interval, second: float, second_interval: Interval) -> Interval:
    """The interval of a difference of two independent figures from the interval of each.

    Newcombe, Statistics in Medicine 17 (1998), method 10, where the two are Wilson's; for others
    Zou and Donner, Statistics in Medicine 27 (2008).
    """
    (low1, high1), (low2, high2) = first_interval, second_interval
    middle = first - second
    return (middle - math.hypot(first - low1, high2 - second), middle + math.hypot(high1 - first, second - low2))


def recovered(metrics: Mapping[str, Any]) -> float | None:
    """What recovery won back of what pruning lost: 0 nothing, 1 all of it, more than that more.

    Args:
        metrics: of a tuned run, with ``dense``, ``untuned`` and ``pruned`` (tuned).

    Returns:
        (tuned - untuned) / (dense - untuned), of accuracies, or of nats per token; ``None`` where
        pruning lost nothing, or the run was not judged.
    """
    if not {"dense", "untuned", "pruned"} <= metrics.keys():
        return None
    name = "nll" if "nll" in metrics["dense"] else "accuracy"
    dense, untuned, tuned = (metrics[step][name] for step in ("dense", "untuned", "pruned"))
    lost = dense - untuned
    if (lost >= 0) if name == "nll" else (lost <= 0):
        return None
    return float((tuned - untuned) / lost)


def _accuracy(figures: Mapping[str, Any]) -> tuple[float, Interval | None]:
    return figures["accuracy"], (figures["accuracy_low"], figures["accuracy_high"])


def _nll(figures: Mapping[str, Any]) -> tuple[float, Interval | None]:
    if "perplexity_low" not in figures:
        return figures["nll"], None
    return figures["nll"], (math.log(figures["perplexity_low"]), math.log(figures["perplexity_high"]))
