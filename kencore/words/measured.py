"""What was measured, in words: intervals, and changes that may be chance. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kencore.words import numbers as wording
from kencore.words import run as facts

SCORES: Final = {
    "similarity": "Similarity",
    "accuracy": "Accuracy",
    "f1_binary": "F1",
    "f1_macro": "Macro F1",
    "f1_weighted": "Weighted F1",
}
SCORES_EXPLAINED: Final = (
    "F1: of the positive label; macro F1: mean over labels; weighted F1: labels weighted by frequency. 95 % "
    "intervals: Wilson for accuracy, 2,000 resamples of the sentences for F1."
)
SIMILARITY_EXPLAINED: Final = (
    "Similarity: the mean cosine between the embeddings that the dense and the pruned model give to each sentence; "
    "the dense model has 100 % by definition. 95 % intervals: Student's t over sentences."
)
CHANCE: Final = 0.05
_TO: Final = "\u2060–\u2060"  # a dash that stays with what is on both sides of it
Figures = Mapping[str, Any]


def scores(metrics: Figures) -> dict[str, str]:
    """The measures that the dense and the pruned model of no perplexity were both measured by."""
    return {
        name: label
        for name, label in SCORES.items()
        if all((metrics.get(step) or {}).get(name) is not None for step in ("dense", "pruned"))
    }


def score(found: Figures, name: str) -> str:
    """A share with its interval, where it has one: ``76.8 % (72.2–80.9)``."""
    text = wording.percent(found[name])
    low, high = found.get(f"{name}_low"), found.get(f"{name}_high")
    if low is None or high is None:
        return text
    return f"{text} ({100 * low:.1f}{_TO}{100 * high:.1f})"


def perplexity(found: Figures) -> str:
    """A perplexity with its interval, where it has one: ``33.3 (31.0–35.8)``."""
    text, ends = facts.perplexity(found["perplexity"]), perplexity_interval(found)
    return text if ends is None else f"{text} ({ends})"


def perplexity_interval(found: Figures) -> str | None:
    """The 95 % interval of a perplexity: ``31.0–35.8``; ``None`` where there is none."""
    low, high = found.get("perplexity_low"), found.get("perplexity_high")
    if low is None or high is None:
        return None
    return f"{facts.perplexity(low)}{_TO}{facts.perplexity(high)}"


def could_be_chance(found: Figures) -> bool | None:
    """Whether a model's change against the dense one may be chance, on the same data in pairs;
    ``None`` where that was not measured.
    """
    versus = found.get("versus_dense") or {}
    if "mcnemar_p" in versus:
        return bool(versus["mcnemar_p"] >= CHANCE)
    for name in ("nll_change", "similarity_change"):
        if f"{name}_low" in versus:
            return bool(versus[f"{name}_low"] <= 0 <= versus[f"{name}_high"])
    return None


def explained(metrics: Figures) -> str:
    """What the scores and their intervals are."""
    return SIMILARITY_EXPLAINED if facts.is_embedding(metrics) else SCORES_EXPLAINED


def change(found: Figures, examples: int | None) -> str | None:
    """The change against the dense model, in a sentence; ``None`` where it was not measured.

    Args:
        found: figures of one model, with ``versus_dense`` where it was compared.
        examples: how many sentences both were measured on.
    """
    versus = found.get("versus_dense") or {}
    chance = could_be_chance(found)
    verdict = "" if chance is None else ", could be chance" if chance else ", more than chance"
    if "mcnemar_p" in versus:
        of = f" of {wording.plural(int(examples), 'sentence')}" if examples else " sentences"
        return (
            f"Against dense: lost {versus['lost']:,}{of}, won {versus['won']:,}; "
            f"{p_value(versus['mcnemar_p'])}{verdict}"
        )
    if "similarity_change" in versus:
        return f"Embeddings are {wording.percent(1 + versus['similarity_change'])} similar to the dense model's"
    if "nll_change" not in versus:
        return None
    value = versus["nll_change"]
    text = f"{abs(value):.3f} nats per token {'more' if value >= 0 else 'less'} than dense"
    if "nll_change_low" in versus:
        low, high = (f"{versus[f'nll_change_{end}']:+.3f}" for end in ("low", "high"))
        text += f" (95 % interval {low} to {high})".replace("-", "−")
    return text + verdict


def p_value(p: float) -> str:
    """``p = .14``, ``p < .001``, ``p = 1``."""
    if p < 0.001:
        return "p\u00a0<\u00a0.001"
    text = f"{p:.3f}" if p < 0.01 else f"{p:.2f}"
    return "p\u00a0=\u00a0" + ("1" if text == "1.00" else text[1:])
