"""What moved the answer on one sentence: the changed weights of every matrix, to first order."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, finish
from app.charts.explain import shown
from app.charts.neuron import number
from kencore.words import numbers as wording
from kencore.words.palette import Palette

TOP: Final = 10  # matrices drawn; the CSV has all
ROUGH: Final = 0.5  # of what the answer moved by, that no matrix accounts for
REST: Final = {"entry": "input of the first block", "biases": "biases", "others": "everything else"}
PAD: Final = 0.3  # of the longest bar, for its figure on a narrow page
LINE: Final = 20  # letters of a label in one line


def ranked(facts: Mapping[str, Any]) -> list[str]:
    """Matrices, the strongest first."""
    found = facts["effects"]["matrices"]
    return sorted(found, key=lambda name: -abs(float(found[name]["effect"])))


def effects(facts: Mapping[str, Any], titles: Mapping[str, str], chosen: str | None, palette: Palette) -> Chart:
    """Bars of what the strongest matrices did, of all others together, and of what is no matrix's.

    Args:
        facts: `kencore.explain.Explanation.facts`, with effects.
        titles: of every matrix, in words.
        chosen: the matrix that is looked into below.
    """
    told, names = facts["effects"], ranked(facts)
    each = {name: float(told["matrices"][name]["effect"]) for name in names}
    bars = [(titles[name], each[name]) for name in names[:TOP]]
    if rest := names[TOP:]:
        bars.append((wording.plural(len(rest), "other matrix", "other matrices"), sum(each[name] for name in rest)))
    rest_of = [
        (label, float(told[name])) for name, label in REST.items() if round(100 * told[name]) or name == "others"
    ]
    bars += rest_of
    colors = [palette.diverging[-3] if each[name] > 0 else palette.diverging[2] for name in names[:TOP]]
    colors += [palette.muted] * (len(bars) - len(colors))
    labels = ["<br>".join(wrap(label, LINE, break_on_hyphens=False)) for label, _ in bars]
    if chosen in names[:TOP]:
        labels[names.index(str(chosen))] = f"<b>{labels[names.index(str(chosen))]}</b>"
    figure = go.Figure(
        go.Bar(
            y=list(range(len(bars))),
            x=np.array([value for _, value in bars], np.float32),
            orientation="h",
            marker={"color": colors, "line": {"width": 0}},
            text=[number(value, "+.2f") for _, value in bars],
            textposition="outside",
            cliponaxis=False,
            textfont={"size": 11, "color": palette.text},
            customdata=[label for label, _ in bars],
            hovertemplate="%{customdata}: %{text}<extra></extra>",
        )
    )
    widest = max(abs(value) for _, value in bars) or 1.0
    low, high = (max([0.0, *(sign * value for _, value in bars)]) for sign in (-1, 1))
    finish(figure, height=30 * len(bars), x="change of the log-odds", y="", left=7 * LINE + 14)
    figure.update_xaxes(range=[-low - PAD * widest, high + PAD * widest], zeroline=True)
    figure.update_yaxes(
        autorange="reversed", showgrid=False, tickmode="array", tickvals=list(range(len(bars))), ticktext=labels
    )
    finding = effects_finding(facts, titles)
    whole = [*each.items(), *rest_of]
    return Chart(
        figure=figure,
        finding=finding,
        name="effects",
        data=pd.DataFrame(whole, columns=["matrix", "effect"]),
        alt=f"Bars of what each matrix did to the log-odds of the answer. {finding}.",
    )


def effects_finding(facts: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """How the answer of the dense model moved, and which matrix moved it most, in one sentence."""
    told, first = facts["effects"], facts["answers"][0]
    before, after = (wording.percent(float(first[state])) for state in ("dense", "pruned"))
    answer = f"“{str(told['answer']).strip() or shown(str(told['answer']))}”"
    way = 1.0 if told["pruned"] > told["dense"] else -1.0
    if before == after:
        return f"{answer} stayed at {before}"
    said = f"{answer} {'rose' if way > 0 else 'fell'} from {before} to {after}"
    most = _strongest(facts, way)
    if most is None:
        return (
            f"{said}; gradients account for too little of it to name a matrix"
            if _rough(told) and told["matrices"]
            else said
        )
    of = " of those looked into" if facts.get("block") is not None or facts.get("left_out") else ""
    return f"{said}; the changed weights of {titles[most]}{of} pushed it {'up' if way > 0 else 'down'} most"


def _strongest(facts: Mapping[str, Any], way: float) -> str | None:
    """The matrix that pushed the answer most the way that it went: alone, more than all that is no matrix's, and
    where the figures can be trusted. ``None``: there is none.
    """
    told = facts["effects"]
    if _rough(told) or not told["matrices"]:
        return None
    pulls = {name: round(100 * way * float(one["effect"])) for name, one in told["matrices"].items()}
    most = max(pulls.values())
    best = [name for name, pull in pulls.items() if pull == most]
    rest = max(round(100 * way * float(told[name])) for name in ("entry", "biases"))
    return best[0] if len(best) == 1 and most > max(0, rest) else None


def _rough(told: Mapping[str, Any]) -> bool:
    return abs(float(told["others"])) > ROUGH * abs(float(told["pruned"]) - float(told["dense"]))


def effects_caption(facts: Mapping[str, Any], dense: str = "dense") -> str:
    """What the bars are, and how far they can be trusted here."""
    told = facts["effects"]
    said = (
        f"Log-odds, ln(p / (1 − p)), of the {dense} model's answer: {number(told['dense'], '.2f')} {dense}, "
        f"{number(told['pruned'], '.2f')} pruned. A bar is what the changed weights of a matrix did to it, by its "
        "gradients in both models. Everything else: norms, head and other matrices, and what gradients miss."
    )
    if _rough(told):
        said += " Here that is much, so take the bars as a rough guide."
    return said
