"""Whether a run is safe: one level and one sentence, the same wherever a run is shown. Pure functions.

The level comes from the size of the change against the dense model and from the paired test on the
same data. The thresholds are this project's own and stand here alone; the papers name none.

=========  ==============================================================================================
safe       the worse end of the 95 % interval loses at most 2 points of accuracy, or 5 % of perplexity
unclear    not shown to be safe, and the test cannot tell the loss from none: too little data; or there was nothing to
           lose: the dense model itself is not shown to do better than a guess
damaged    a loss that is more than chance
ruined     half of what the dense model does better than a guess is lost, or perplexity has doubled
=========  ==============================================================================================

Of embeddings: safe where the worse end of the interval of the similarity to the dense model's is 99 % or more, ruined
where the similarity is below 80 %, else damaged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from kencore.models.figures import measure_of
from kencore.words import measured
from kencore.words import numbers as wording
from kencore.words import run as facts

Level = Literal["safe", "unclear", "damaged", "ruined"]
Standing = Literal["better", "tied", "worse", "unknown"]
Figures = Mapping[str, Any]

POINTS: Final = 0.02  # accuracy that a safe run may lose at the worse end of its interval
RATIO: Final = 1.05  # the same of perplexity, over the dense model's
RUINED_SHARE: Final = 0.5  # of the lead over a guess
RUINED_RATIO: Final = 2.0
NAMED: Final = 4  # rules that a sentence names
SIMILARITY: Final = 0.99  # to the dense model's embeddings, at the worse end of its interval
RUINED_SIMILARITY: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to think of a run.

    Attributes:
        level: see the module.
        change: before, after and how sure that is, in one sentence.
        peers: how the run stands beside other rules at the same budget, in one sentence; "" where
            none was measured.
    """

    level: Level
    change: str
    peers: str = ""

    @property
    def text(self) -> str:
        """All of it, as one line."""
        return " ".join(part for part in (f"{self.level.capitalize()}: {self.change}", self.peers) if part)


def verdict(metrics: Figures, method: str) -> Verdict | None:
    """The verdict on a run; ``None`` where the dense and the pruned model were not both measured.

    Args:
        metrics: a run's metrics.
        method: the run's own rule.
    """
    if not metrics.get("dense") or not metrics.get("pruned"):
        return None
    language = facts.is_language(metrics)
    embedding = facts.is_embedding(metrics)
    level = (_language_level if language else _embedding_level if embedding else _accuracy_level)(metrics)
    said = _language_change(metrics) if language else _share_change(metrics)
    if level in ("safe", "unclear") and (why := _nothing_to_lose(metrics["dense"])):
        return Verdict(level="unclear", change=f"{said}; {why}.", peers=_peers(metrics, method))
    return Verdict(level=level, change=said + _certainty(level, metrics) + ".", peers=_peers(metrics, method))


def _nothing_to_lose(dense: Figures) -> str:
    """Why a small loss says nothing: the dense model itself is not shown to do better than a guess; else ""."""
    odds = dense.get("guess")
    if odds is None:
        return ""
    if "perplexity" in dense:
        if dense["perplexity"] < odds:
            return ""
        return f"but the dense model does no better than a guess among {odds:,.0f} tokens: it does not fit this text"
    if dense.get("accuracy_low", dense["accuracy"]) > odds:
        return ""
    often = f"the most frequent label every time ({wording.percent(odds)})"
    return f"but the dense model is not shown to be better than saying {often}"


def _accuracy_level(metrics: Figures) -> Level:
    before, after = metrics["dense"], metrics["pruned"]
    loss = before["accuracy"] - after["accuracy"]
    low, _ = accuracy_interval(before, after)
    lead = before["accuracy"] - guess(metrics)
    if loss > 0 and lead > 0 and loss >= RUINED_SHARE * lead and _real(before, after):
        return "ruined"
    if low >= -POINTS:
        return "safe"
    return "damaged" if loss > 0 and _real(before, after) else "unclear"


def _embedding_level(metrics: Figures) -> Level:
    after = metrics["pruned"]
    if after["similarity"] < RUINED_SIMILARITY:
        return "ruined"
    return "safe" if after.get("similarity_low", after["similarity"]) >= SIMILARITY else "damaged"


def accuracy_interval(before: Figures, after: Figures) -> tuple[float, float]:
    """The 95 % interval of the change of accuracy: in pairs where that was measured, else that of the
    second model alone around the first one's figure.
    """
    versus = after.get("versus_dense") or {}
    if "accuracy_change_low" in versus:
        return versus["accuracy_change_low"], versus["accuracy_change_high"]
    low, high = (after.get(f"accuracy_{end}", after["accuracy"]) for end in ("low", "high"))
    return low - before["accuracy"], high - before["accuracy"]


def guess(metrics: Figures) -> float:
    """Accuracy of a model that knows nothing: that of the base with everything reset where it was
    measured, else of the most frequent label, else (runs of before) half for two labels and nothing for more.
    """
    base = metrics.get("base")
    if base and "accuracy" in base:
        return min(float(base["accuracy"]), float(metrics["dense"]["accuracy"]))
    if "guess" in metrics["dense"]:
        return float(metrics["dense"]["guess"])
    return 0.5 if "f1_binary" in metrics["dense"] else 0.0


def _language_level(metrics: Figures) -> Level:
    before, after = metrics["dense"], metrics["pruned"]
    change = after["nll"] - before["nll"]
    if change >= math.log(RUINED_RATIO) and _real(before, after):
        return "ruined"
    if _nll_high(before, after) <= math.log(RATIO):
        return "safe"
    return "damaged" if change > 0 and _real(before, after) else "unclear"


def _nll_high(before: Figures, after: Figures) -> float:
    """The worse end of the change in nats per token."""
    versus = after.get("versus_dense") or {}
    if "nll_change_high" in versus:
        return float(versus["nll_change_high"])
    high = after.get("perplexity_high")
    return float(after["nll"] if high is None else math.log(high)) - float(before["nll"])


def _real(before: Figures, after: Figures) -> bool:
    """Whether the change is more than chance; one window alone has no interval, and counts as it is."""
    chance = measured.could_be_chance(after)
    if chance is not None:
        return not chance
    name = measure_of(after)
    low, high = after.get(f"{name}_low"), after.get(f"{name}_high")
    return low is None or high is None or not low <= before[name] <= high


def _share_change(metrics: Figures) -> str:
    name = facts.share_name(metrics)
    before, after = metrics["dense"][name], metrics["pruned"][name]
    if facts.is_embedding(metrics):
        return f"embeddings are {wording.percent(after)} similar to the dense model's"
    text = f"{name} {100 * before:.1f} → {wording.percent(after)}"
    return f"{text}, {points_apart(after, before, 'higher', 'lower')}"


SAME: Final = "the same"


def points_apart(value: float, other: float, more: str, less: str) -> str:
    """How far one share is from another, after rounding both as they are shown: ``3.4 points lower``."""
    tenths = round(1000 * value) - round(1000 * other)
    if not tenths:
        return SAME
    return f"{abs(tenths) / 10:.1f} points {more if tenths > 0 else less}"


def _language_change(metrics: Figures) -> str:
    before, after = metrics["dense"]["perplexity"], metrics["pruned"]["perplexity"]
    text = f"perplexity {facts.perplexity(before)} → {facts.perplexity(after)}"
    return f"{text}, {times(after, before)}"


def times(value: float, other: float, whose: str = "the dense model's") -> str:
    """One perplexity over another as they are shown: ``43 % higher``, ``28 times the dense model's``."""
    shown, of = (float(facts.perplexity(one).replace(",", "")) for one in (value, other))
    ratio = shown / of
    if shown == of:
        return "the same"
    if ratio >= RUINED_RATIO:
        return f"{ratio:,.0f} times {whose}" if ratio >= 10 else f"{ratio:.1f} times {whose}"
    return f"{wording.percent(abs(ratio - 1), 0 if abs(ratio - 1) >= 0.1 else 1)} {'higher' if ratio > 1 else 'lower'}"


def _certainty(level: Level, metrics: Figures) -> str:
    """What the test adds: for a verdict that is open, how little data there was, and what to do."""
    if level != "unclear":
        return ""
    after = metrics["pruned"]
    count = after.get("windows") if facts.is_language(metrics) else after.get("examples", metrics.get("examples"))
    what = "window" if facts.is_language(metrics) else "sentence"
    of = "" if count is None else f" with {wording.plural(int(count), what)}"
    return f", which could be chance{of}: measure on more data to know"


def _peers(metrics: Figures, method: str) -> str:
    """Better than, tied with or worse than the other rules, by the paired test."""
    found = metrics.get("baselines") or {}
    if not found:
        return ""
    marks = standings(metrics)
    better, tied, worse = (
        [rule for rule, mark in marks.items() if mark == wanted] for wanted in ("better", "tied", "worse")
    )
    best = next(iter(marks))
    beaten = f"better than {_beaten(worse, method, figure(found[worse[0]]))}" if worse else ""
    if better:
        text = _better(better, method, figure(found[better[0]]))
        text = text[:1].upper() + text[1:]
        own = ", ".join(part for part in (f"tied with {_joined(tied, method)}" if tied else "", beaten) if part)
        return text + (f"; this run is {own}." if own else ".")
    if tied:
        return f"Tied with {_joined(tied, method)} at the same budget{f', {beaten}' if beaten else ''}."
    if "unknown" in marks.values():
        rule = f"{facts.baseline_inline(best, method)} ({figure(found[best])})"
        return f"Not compared in pairs with other rules; the best of them measured is {rule}."
    return f"Better than {_beaten(list(marks), method, figure(found[best]))} at the same budget."


def beside(metrics: Figures, method: str) -> str:
    """`Verdict.peers` as the end of a title, by the same test: ``; tied with random at the same budget``."""
    found = metrics.get("baselines") or {}
    if not found:
        return ""
    marks = standings(metrics)
    best = next(iter(marks))
    better = [rule for rule, mark in marks.items() if mark == "better"]
    tied = [rule for rule, mark in marks.items() if mark == "tied"]
    if better:
        return f"; {_better(better, method, figure(found[better[0]]))}"
    if tied:
        return f"; tied with {_joined(tied, method)} at the same budget"
    if "unknown" in marks.values():
        value = figure(found[best])
        ahead = value != figure(metrics["pruned"]) and _ahead(found[best], metrics["pruned"])
        name = facts.baseline_inline(best, method) if ahead else "no other rule"
        return f"; {name} measured better at the same budget" + (f" ({value}), not compared in pairs" if ahead else "")
    return f"; better than {_beaten(list(marks), method)} at the same budget"


def standings(metrics: Figures) -> dict[str, Standing]:
    """How each other rule stands beside the run (`against`), the best figure first."""
    found = metrics.get("baselines") or {}
    language = facts.is_language(metrics)
    name = "perplexity" if language else facts.share_name(metrics)
    ranked = sorted(found, key=lambda rule: found[rule][name], reverse=not language)
    return {rule: against(found[rule], metrics["pruned"]) for rule in ranked}


def _ahead(other: Figures, own: Figures) -> bool:
    name = measure_of(other)
    return bool(other[name] < own[name] if name == "perplexity" else other[name] > own[name])


def against(other: Figures, own: Figures) -> Standing:
    """How another rule stands beside the run, by the paired test on the same data."""
    versus = other.get("versus_pruned")
    if not versus:
        return "unknown"
    if measured.could_be_chance({"versus_dense": versus}) is not False:
        return "tied"
    gain = next((versus[name] for name in ("accuracy_change", "similarity_change") if name in versus), None)
    up = versus["nll_change"] < 0 if gain is None else gain > 0
    return "better" if up else "worse"


def _beaten(rules: list[str], method: str, best: str = "") -> str:
    """The rules that a run is better than, the best of them first, with its figure: those alone that were measured."""
    names = [facts.baseline_inline(rule, method) for rule in rules]
    first = names[0] + (f" ({best})" if best else "")
    return listed([first, *names[1:]]) if len(names) <= NAMED else f"{first} and {len(names) - 1} other rules"


def _better(rules: list[str], method: str, best: str) -> str:
    """The rules that are better than a run, the best of them first, with its figure."""
    if len(rules) == 1:
        return f"{_joined(rules, method)} is better at the same budget ({best})"
    return f"{_joined(rules, method)} are better at the same budget (the best {best})"


def _joined(rules: list[str], method: str) -> str:
    return listed([facts.baseline_inline(rule, method) for rule in rules])


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def figure(found: Figures) -> str:
    """What a model is judged by, as it is shown."""
    return facts.perplexity(found["perplexity"]) if "perplexity" in found else wording.percent(found[measure_of(found)])
