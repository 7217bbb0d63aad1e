"""Two models on the same data: what changed, and how sure that is. Pure functions of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.models.figures import Figures, mean_interval, measure_of
from kencore.models.quantiles import NORMAL, coin_tails
from kencore.quality.near import nearness

# N examples, W windows, b examples that only the first model tells right, c only the second

OUTCOMES = {"perplexity": "nll", "similarity": "similarity"}  # of windows or sentences; right answers are bits
OWN = ("base", "pruned", "untuned")  # steps of a run itself


def compared(metrics: dict[str, Any]) -> dict[str, Any]:
    """The content of a ``metrics.json`` with ``versus_dense`` in every step that was measured.

    Args:
        metrics: its steps (``dense``, ``pruned``, ``base``, ``untuned`` and those under
            ``baselines``) are `Figures` of the same data; a step that is a plain dictionary is
            left as it is.

    Returns:
        A new dictionary, in which each baseline also has ``versus_pruned``: the same against the
        pruned model. It has ``outcomes`` of the pruned model (see `packed`), so that another run
        can be compared with it in pairs. The argument is not changed.
    """
    against = {f"versus_{name}": metrics.get(name) for name in ("dense", "pruned")}

    def told(step: Any, *names: str) -> Any:
        if not isinstance(step, Figures):
            return step
        firsts = {name: first for name in names if isinstance(first := against[name], Figures)}
        return {**step, **{name: versus(first, step) for name, first in firsts.items()}}

    found = dict(metrics)
    found |= {name: told(metrics[name], "versus_dense") for name in OWN if name in metrics}
    if "baselines" in metrics:
        found["baselines"] = {name: told(step, *against) for name, step in metrics["baselines"].items()}
    if isinstance(metrics.get("pruned"), Figures):
        found["outcomes"] = packed(metrics["pruned"].outcomes, OUTCOMES.get(measure_of(metrics["pruned"]), "nll"))
    return found


def packed(outcomes: NDArray[Any], name: str = "nll") -> dict[str, Any]:
    """Outcomes as JSON: ``right`` (one bit per example, lowest first, in hexadecimal) and
    ``examples``, or ``nll`` (the numbers of each window), or ``similarity`` (those of each sentence).
    """
    if outcomes.dtype != np.bool_:
        return {name: [float(value) for value in outcomes]}
    text = np.packbits(outcomes, bitorder="little").tobytes().hex()
    return {"right": text, "examples": len(outcomes)}


def unpacked(stored: Any) -> NDArray[Any] | None:
    """The inverse of `packed`; ``None`` where nothing of that form is stored."""
    if not isinstance(stored, dict):
        return None
    try:
        for name in OUTCOMES.values():
            if name in stored:
                return np.asarray(stored[name], np.float64)
        held = np.frombuffer(bytes.fromhex(stored["right"]), np.uint8)
        right = np.unpackbits(held, count=int(stored["examples"]), bitorder="little")
    except (KeyError, TypeError, ValueError):
        return None
    return right.view(np.bool_)


def versus(dense: Figures, other: Figures) -> dict[str, Any]:
    """`accuracy_change`, `nll_change` or `similarity_change` of another model against the dense one; where answers are
    at hand also how near these are, see `kencore.quality.near.nearness` and `kencore.models.held.Nearness`.
    """
    if dense.outcomes.dtype == np.bool_:
        change = accuracy_change(dense.outcomes, other.outcomes)
        if dense.answers is None or other.answers is None:
            return change
        return change | nearness(dense.answers.logits, other.answers.logits)
    if "similarity" in dense:
        return similarity_change(dense.outcomes, other.outcomes)
    change = nll_change(dense.outcomes, other.outcomes)
    compared = other.near is not None and other.near.to is dense.held
    return change | other.near.said() if compared and other.near is not None else change


def accuracy_change(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> dict[str, Any]:
    """How much more of the same examples a second model tells right.

    Args:
        first, second: (N,) which examples each tells right, in the same order.

    Returns:
        ``accuracy_change`` (second - first) with its 95 % interval ``accuracy_change_low`` and
        ``accuracy_change_high``: Wald's for matched pairs with half an example added to each of
        the four cells (Agresti and Min, Statistics in Medicine 24, 2005); ``mcnemar_p``, exact and
        two-sided (the smaller of b and c under a fair coin); ``lost`` (b) and ``won`` (c).
    """
    count = len(first)
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    n, b, c = count + 2, lost + 0.5, won + 0.5
    middle = (c - b) / n
    half = NORMAL * math.sqrt(b + c - (c - b) ** 2 / n) / n
    return {
        "accuracy_change": (won - lost) / count,
        "accuracy_change_low": max(-1.0, middle - half),
        "accuracy_change_high": min(1.0, middle + half),
        "mcnemar_p": coin_tails(min(lost, won), lost + won),
        "lost": lost,
        "won": won,
    }


def nll_change(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Any]:
    """How many nats per token more a second model needs for the same windows.

    Args:
        first, second: (W,) mean negative log-likelihood of each window's tokens.

    Returns:
        ``nll_change`` (second - first) and, with two windows or more, its 95 % interval
        ``nll_change_low`` to ``nll_change_high``, see `mean_interval` (of the differences).
    """
    return _mean_change("nll_change", first, second)


def similarity_change(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Any]:
    """How much nearer to the dense model's embeddings those of a second model are.

    Args:
        first, second: (N,) similarity of each sentence.

    Returns:
        ``similarity_change`` (second - first) and its 95 % interval, as `nll_change` has it.
    """
    return _mean_change("similarity_change", first, second)


def _mean_change(name: str, first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Any]:
    apart = np.subtract(second, first)
    found = {name: float(apart.mean())}
    interval = mean_interval(apart)
    if interval is not None:
        found[f"{name}_low"], found[f"{name}_high"] = interval
    return found
