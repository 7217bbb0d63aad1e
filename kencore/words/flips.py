"""What pruning changed in the answers, in words: pure functions of `kencore.runs.flips.Flips.facts`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kencore.words import numbers as wording

LABELS: Final = {"right-wrong": "Right to wrong", "wrong-right": "Wrong to right", "changed": "Changed", "all": "All"}
EXPLAINED: Final = {
    "classification": "KL(dense || pruned): how far the pruned model's probabilities of all labels are from the dense "
    "model's, in nats; 0 is the same. A percentage is what a model gives its own answer.",
    "language": "Right: the likeliest token is the one that follows in the text. KL(dense || pruned): how far the "
    "pruned model's probabilities of the next token are from the dense model's, in nats; 0 is the same.",
}
LOSS: Final = "Loss: nats that the pruned model needs more for the token that follows."
Facts = Mapping[str, Any]


def is_text(facts: Facts) -> bool:
    """Whether the answers are tokens of a text, not labels of sentences."""
    return bool(facts["task"] == "language")


def finding(facts: Facts) -> str:
    """How many answers went wrong and came right, in one sentence without a stop."""
    if not facts["changed"]:
        return f"Pruning changed none of {_all(facts)}"
    lost, won = facts["right_wrong"], facts["wrong_right"]
    word = "token" if is_text(facts) else "sentence"
    return f"{wording.plural(lost, word)} went wrong, {won:,} came right"


def balance(facts: Facts) -> str:
    """How the counts make the difference of what is told right, in one sentence."""
    before, after, count = facts["dense_right"], facts["pruned_right"], facts["count"]
    what = "likeliest token right" if is_text(facts) else "accuracy"
    gap = facts["wrong_right"] - facts["right_wrong"]
    net = f"{abs(gap):,} {'more' if gap > 0 else 'fewer'} right" if gap else "as many right as before"
    return (
        f"{facts['changed']:,} of {_all(facts)} changed; {net}: {what} {100 * before / count:.1f} → "
        f"{wording.percent(after / count)}."
    )


def kept(facts: Facts, lines: int) -> str:
    """Which answers are listed, where not all are."""
    if lines >= facts["count"]:
        return ""
    if is_text(facts):
        return f"Listed: the {lines:,} tokens with the largest KL."
    return f"Listed: changed answers and those with the largest KL, {lines:,} in all."


def answer(text: str, chance: float, *, token: bool) -> str:
    """An answer with the probability that its model gives it."""
    return f"{shown(text) if token else text} {wording.percent(chance, 0)}"


def shown(token: str) -> str:
    """A token between quotes, with what cannot be seen written out."""
    return "“" + token.replace("\n", "⏎").replace("\t", "⇥") + "”"


def _all(facts: Facts) -> str:
    return wording.plural(facts["count"], "token" if is_text(facts) else "answer")
