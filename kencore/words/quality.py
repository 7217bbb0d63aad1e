"""What was measured of a run, model by model: names, tables, and what they say in one sentence."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from kencore.methods.table import METHODS, method_label
from kencore.words import measured
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.palette import Palette
from kencore.words.verdict import beside

OWN: Final = ("dense", "untuned", "pruned", "base")  # steps that are no other rule
MEASURES: Final = measured.SCORES
_ENDS: Final = ("", "_low", "_high")
# an open circle is the run's own rule without something: tuning, rescaling or an allocation
_SYMBOLS: Final = {
    "dense": "diamond",
    "base": "diamond-open",
    "pruned": "circle",
    "untuned": "circle-open",
    "uniform": "circle-open",
    "dare": "square-open",
    "bitdelta": "diamond-open",
}

Step = tuple[str, str, dict[str, Any]]


def steps(metrics: dict[str, Any], method: str, dense: str) -> list[Step]:
    """What was measured: its name in the metrics, its label, its figures.

    Args:
        metrics: a run's metrics, not empty.
        method: the run's own rule.
        dense: what the unpruned model is called.
    """
    name = method_label(method)
    tuned = bool(metrics.get("untuned"))
    if "uniform" in (metrics.get("baselines") or {}):  # the same rule with every block alike stands beside it
        name += " + allocation"
    found = [
        ("dense", dense, metrics.get("dense")),
        ("untuned", f"{name}, before recovery", metrics.get("untuned")),
        ("pruned", f"{name}, recovered (this run)" if tuned else f"{name} (this run)", metrics.get("pruned")),
        *(
            (rule, facts.baseline_name(rule, method), figures)
            for rule, figures in (metrics.get("baselines") or {}).items()
        ),
        ("base", "Base, everything reset", metrics.get("base")),
    ]
    return [(what, label, figures) for what, label, figures in found if figures]


def color(what: str, method: str, palette: Palette) -> str:
    """The color of a step: that of its rule, and no color for what was not pruned."""
    if what in ("dense", "base"):
        return palette.muted
    rule = method if what in ("pruned", "untuned", "uniform") else what
    row = METHODS.get("random" if rule == "dare" else rule)
    return palette.primary if row is None else row.color


def symbol(what: str, method: str) -> str:
    """The mark of a step."""
    return _SYMBOLS.get(what, "circle-open" if what == method else "square")


def quality_table(metrics: dict[str, Any], method: str) -> pd.DataFrame:
    """One line per measured model: ``what label``, each measure with ``_low`` and ``_high`` (NaN
    where it was not measured), ``loss examples``, and the change against dense in pairs.

    Args:
        metrics: a run's metrics, not empty.
        method: the run's own rule.
    """
    table = []
    embedding = facts.is_embedding(metrics)
    names = [name for name in MEASURES if (name == "similarity") is embedding]
    dense = "Dense, all weights" if embedding else "Tuned, all weights"
    for what, label, found in steps(metrics, method, dense):
        line: dict[str, Any] = {"what": what, "label": label}
        line |= {f"{name}{end}": found.get(f"{name}{end}") for name in names for end in _ENDS}
        line["loss"] = found.get("loss")
        line["examples"] = found.get("examples", metrics.get("examples"))
        versus = found.get("versus_dense") or {}
        line |= {name: versus.get(name) for name in ("lost", "won", "mcnemar_p")}
        table.append(line)
    numbers = [f"{name}{end}" for name in names for end in _ENDS] + ["loss", "mcnemar_p"]
    return pd.DataFrame(table).astype(dict.fromkeys(numbers, float))


def quality_finding(table: pd.DataFrame, metrics: dict[str, Any], method: str, measure: str | None = None) -> str:
    """Before and after in one sentence and, of the measure that is tested in pairs, how other rules stand beside it."""
    own = facts.share_name(metrics)
    measure = measure or own
    values = table.set_index("what")[measure]
    text = f"{MEASURES[measure]} {wording.percent(values['dense'])} to "
    if "untuned" in values:
        text += f"{wording.percent(values['untuned'])} by pruning, "
    text += wording.percent(values["pruned"])
    text += " after recovery" if "untuned" in values else ""
    return text if measure != own else text + _how_sure(metrics) + beside(metrics, method)


def _how_sure(metrics: dict[str, Any]) -> str:
    """Whether the change may be chance: in pairs where that was measured, else by the interval."""
    pruned, dense = metrics["pruned"], metrics["dense"]
    if pruned.get("versus_dense"):
        name = facts.share_name(metrics)
        changed = pruned[name] != dense[name]
        return ", which could be chance" if changed and measured.could_be_chance(pruned) else ""
    inside = pruned["accuracy_low"] <= dense["accuracy"] <= pruned["accuracy_high"]
    return ", within the interval of the measurement" if inside else ""


def perplexity_table(metrics: dict[str, Any], method: str) -> pd.DataFrame:
    """One line per measured model: ``what label perplexity nll tokens windows window``, the
    interval of the perplexity and the change against dense (NaN where they were not measured).
    """
    fields = ("perplexity", "perplexity_low", "perplexity_high", "nll", "tokens", "windows", "window")
    table = pd.DataFrame(
        [
            {"what": what, "label": label}
            | {field: found.get(field, metrics.get(field)) for field in fields}
            | {"nll_change": (found.get("versus_dense") or {}).get("nll_change")}
            for what, label, found in steps(metrics, method, "Dense, all weights")
        ]
    )
    return table.astype(dict.fromkeys((*fields[:4], "nll_change"), float))


def perplexity_finding(table: pd.DataFrame, metrics: dict[str, Any], method: str) -> str:
    """Before and after in one sentence, and how other rules stand beside it."""
    values = table.set_index("what")["perplexity"]
    text = f"Perplexity {facts.perplexity(values['dense'])} to "
    if "untuned" in values:
        text += f"{facts.perplexity(values['untuned'])} by pruning, "
    text += facts.perplexity(values["pruned"]) + (" after recovery" if "untuned" in values else "")
    text += ", which could be chance" if measured.could_be_chance(metrics["pruned"]) else ""
    return text + beside(metrics, method)
