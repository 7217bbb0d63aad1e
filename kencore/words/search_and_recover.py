"""What a search and a tuning say in one sentence: the titles of their pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from kencore.views import sparsity
from kencore.words import numbers as wording

STEPS: Final = {"dense": "Dense", "untuned": "Before recovery", "tuned": "After recovery"}
SIDES: Final = {"train": "training data", "held_out": "held-out data"}
POINT: Final = (
    "step",
    "epoch",
    "lr",
    "seconds",
    "train_loss",
    "held_out_loss",
    "held_out_accuracy",
    "held_out_perplexity",
)


def curve_table(points: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One line per point; NaN where something was not measured there."""
    return pd.DataFrame([{name: point.get(name) for name in POINT} for point in points]).astype(
        dict.fromkeys(POINT[1:], float)
    )


def curve_finding(table: pd.DataFrame, total: int, best: int | None) -> str:
    """Where held-out loss began and where it is, in one sentence."""
    held_out = table[table["held_out_loss"].notna()].set_index("step")["held_out_loss"]
    done = int(table["step"].iloc[-1])
    if best is None:
        so_far = f"{done:,} of {total:,} steps done"
        if len(held_out) < 2:
            return f"Learning, {so_far}"
        return (
            f"Held-out loss {held_out.iloc[0]:.3f} → {held_out.iloc[-1]:.3f} at step {held_out.index[-1]:,}, {so_far}"
        )
    if best == 0:
        return "Held-out loss never fell, so the weights are unchanged"
    return f"Held-out loss {held_out.iloc[0]:.3f} → {held_out[best]:.3f}, lowest at step {best:,} of {total:,}"


def gap_table(tuning: Mapping[str, Any]) -> pd.DataFrame:
    """One line per state and side: ``what label side value low high``, and the state's ``gap``.

    Values are accuracies, or perplexities of a language model; the gap is in accuracy or nats.
    """
    name = "perplexity" if tuning["task"] == "language" else "accuracy"
    return pd.DataFrame(
        [
            {
                "what": step,
                "label": label,
                "side": side,
                "value": found[side][name],
                "low": found[side].get(f"{name}_low", np.nan),
                "high": found[side].get(f"{name}_high", np.nan),
                "gap": found["gap"],
                "gap_low": found.get("gap_low", np.nan),
                "gap_high": found.get("gap_high", np.nan),
            }
            for step, label in STEPS.items()
            if (found := tuning["gap"].get(step))
            for side in SIDES
        ]
    )


def gap_finding(tuning: Mapping[str, Any]) -> str:
    """What tuning did to the gap, in one sentence; above zero is better on what was learned."""
    before, after = tuning["gap"]["untuned"], tuning["gap"]["tuned"]
    change = after["gap"] - before["gap"]
    text = f"Generalization gap {gap_text(before, tuning)} → {gap_text(after, tuning)}"
    if not {"gap_low", "gap_high"} <= before.keys() & after.keys():
        return text
    apart = after["gap_low"] > before["gap_high"] or after["gap_high"] < before["gap_low"]
    if apart:
        return f"{text}: recovery {'widened' if change > 0 else 'narrowed'} it"
    return f"{text}, within the measurement's intervals"


def gap_text(found: Mapping[str, Any], tuning: Mapping[str, Any]) -> str:
    """One gap with its unit."""
    if tuning["task"] == "language":
        return f"{found['gap']:+.3f}\u00a0nats".replace("-", "−")
    return f"{100 * found['gap']:+.1f}\u00a0points".replace("-", "−")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the candidates of a search are called."""

    sign: str
    candidates: str
    axis: str
    costs: str
    unit: str


LAMBDA: Final = Kind(
    sign="λ", candidates="lambdas", axis="λ, how far sparsity spreads", costs="costs", unit="cost (misalignment)"
)
SLOPE: Final = Kind(
    sign="slope",
    candidates="slopes",
    axis="slope: sparsity added from block to block",
    costs="losses",
    unit="loss (nats per token)",
)


def kind_of(search: Mapping[str, Any]) -> Kind:
    """Whether the search went over lambda or over slopes."""
    return SLOPE if "slopes" in search else LAMBDA


def flatness_words(kind: Kind, found: sparsity.Flatness | None, chosen: float) -> str:
    """How clear the choice was, in half a sentence."""
    picked = f"{kind.sign} = {number(chosen)}"
    if found is None:
        return f"{picked}, no candidate has a cost"
    if found.total == 1:
        return f"{picked} was the only candidate"
    if math.isnan(found.margin) or found.worst == 0:
        return f"{picked}, but every candidate costs the same"
    if found.near == 1:
        return (
            f"{picked} is a clear choice; the second best ({number(found.second)}) costs "
            f"{wording.percent(found.margin)} more"
        )
    flat = ", so the choice is flat" if found.near >= found.total / 3 else ""
    return (
        f"{picked} costs least, the second best {wording.percent(found.margin, 2)} more; {found.near} of "
        f"{found.total} candidates lie within {wording.percent(sparsity.NEAR, 0)}{flat}"
    )


def number(value: float) -> str:
    """A candidate of a search: 0.09."""
    return f"{value:.4g}"
