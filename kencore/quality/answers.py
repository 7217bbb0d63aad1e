"""Two models' answers to the same examples, one by one: pure functions of arrays.

# N examples, L labels of the model, K lines that are kept
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.models.figures import Figures, Predictions
from kencore.runs.flips import Flips

if TYPE_CHECKING:
    from kencore.data.examples import Examples

LINES: Final = 500  # kept, where fewer answers changed
CHANGED: Final = 5_000  # changed answers that are kept at most
LONGEST: Final = 2_000  # characters of a sentence that are kept, what Explain takes
Floats = NDArray[np.float64]


def log_chances(logits: NDArray[np.floating[Any]]) -> Floats:
    """(N, L) log-probabilities of logits, in float64."""
    from scipy.special import log_softmax

    found: Floats = log_softmax(logits.astype(np.float64), axis=1)
    return found


def divergence(first: Floats, second: Floats) -> Floats:
    """(N,) KL(first || second) in nats, of log-probabilities (N, L): sum of p (log p - log q)."""
    with np.errstate(invalid="ignore"):
        parts = np.where(first == -np.inf, 0.0, np.exp(first) * (first - second))  # N, L
    found: Floats = np.maximum(parts.sum(axis=1), 0.0)  # rounding alone makes it negative
    return found


def lines_to_keep(kl: Floats, changed: NDArray[np.bool_], limit: int = LINES, most: int = CHANGED) -> NDArray[np.int64]:
    """(K,) examples to keep, the largest KL first: those whose answer changed, and others up to ``limit``.

    Args:
        kl, changed: (N,).
        limit: lines, unless more answers changed.
        most: changed answers; those of smaller KL are left out.
    """
    order = np.lexsort((np.arange(len(kl)), -kl, ~changed))  # changed first
    count = max(min(limit, len(kl)), min(most, int(changed.sum())))
    kept = order[:count]
    return kept[np.lexsort((kept, -kl[kept]))]


def counts_of(dense: NDArray[np.int64], pruned: NDArray[np.int64], truth: NDArray[np.int64]) -> dict[str, int]:
    """How many answers changed, of labels (N,): the counts of `Flips.facts`."""
    before, after = dense == truth, pruned == truth
    return {
        "count": len(truth),
        "right_wrong": int((before & ~after).sum()),
        "wrong_right": int((~before & after).sum()),
        "changed": int((dense != pruned).sum()),
        "dense_right": int(before.sum()),
        "pruned_right": int(after.sum()),
    }


def sentence_flips(
    examples: Examples,
    names: Mapping[int, str],
    dense: Predictions,
    pruned: Predictions,
    baselines: Mapping[str, Predictions],
    *,
    limit: int = LINES,
) -> Flips:
    """What changed in a classifier's answers.

    Args:
        names: of the labels, by number; one that has none is called by its number.
        dense, pruned, baselines: what each model said of these examples.
        limit: as for `lines_to_keep`.
    """
    truth = dense.truth  # N
    logs = {side: log_chances(one.logits) for side, one in (("dense", dense), ("pruned", pruned))}  # N, L
    kl = divergence(logs["dense"], logs["pruned"])
    each = np.arange(len(truth))
    nll_change = logs["dense"][each, truth] - logs["pruned"][each, truth]  # N
    kept = lines_to_keep(kl, dense.labels != pruned.labels, limit)
    said = {"dense": dense, "pruned": pruned, **baselines}
    answers: dict[str, Any] = {}
    for name, one in said.items():
        own = logs[name][kept] if name in logs else log_chances(one.logits[kept])  # K, L
        answers[name] = [_name(names, number) for number in one.labels[kept]]
        answers[f"{name}_p"] = np.exp(own[np.arange(len(kept)), one.labels[kept]])
    columns = {
        "place": kept,
        "text": [_short(examples.texts[i]) for i in kept],
        "pair": ["" if examples.pairs is None else _short(examples.pairs[i]) for i in kept],
        "truth": [_name(names, number) for number in truth[kept]],
        **{name: answers[name] for name in ("dense", "pruned", "dense_p", "pruned_p")},
        "dense_right": dense.correct[kept],
        "pruned_right": pruned.correct[kept],
        "nll_change": nll_change[kept],
        "kl": kl[kept],
        **{f"{name}{end}": answers[f"{name}{end}"] for name in baselines for end in ("", "_p")},
    }
    facts = {
        "task": "classification",
        "data": examples.source,
        "data_sha256": examples.sha256,
        **counts_of(dense.labels, pruned.labels, truth),
        "kl": finite(kl.mean()),
        "nll_change": finite(nll_change.mean()),
        "baselines": list(baselines),
    }
    return Flips(facts=facts, table=pd.DataFrame(columns))


def flips_of(
    examples: Examples, names: Mapping[int, str], metrics: Mapping[str, Any], *, limit: int = LINES
) -> Flips | None:
    """What changed, of what was measured; ``None`` where the models' answers are not at hand.

    Args:
        metrics: steps ``dense`` and ``pruned``, and others under ``baselines``, as `Figures`.
    """
    own = [_answers(metrics.get(step)) for step in ("dense", "pruned")]
    dense, pruned = own
    if dense is None or pruned is None:
        return None
    beside = {name: _answers(step) for name, step in metrics.get("baselines", {}).items()}
    known = {name: one for name, one in beside.items() if one is not None}
    return sentence_flips(examples, names, dense, pruned, known, limit=limit)


def finite(value: Any) -> float | None:
    """A number as JSON has it: ``None`` for what is not finite."""
    return float(value) if np.isfinite(value) else None


def _answers(step: Any) -> Predictions | None:
    return step.answers if isinstance(step, Figures) else None


def _name(names: Mapping[int, str], number: Any) -> str:
    return str(names.get(int(number), int(number)))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
