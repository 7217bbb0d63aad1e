"""What was measured of a run, in order, with one name, color and mark for each on every chart."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from app import facts, wording
from app.theme import METHODS as METHOD_COLORS
from app.theme import Palette

ROW: Final = 44  # pixels of a line: a label of two lines, or a dot with its value above it
LEFT: Final = 178
_LETTERS: Final = 24  # of a label, in that room
# an open circle is the run's own rule without something: tuning, rescaling or an allocation
_SYMBOLS: Final = {
    "dense": "diamond", "base": "diamond-open", "pruned": "circle", "untuned": "circle-open",
    "uniform": "circle-open", "dare": "square-open",
}  # fmt: skip
OWN: Final = ("dense", "untuned", "pruned", "base")  # steps that are no other rule

Step = tuple[str, str, dict[str, Any]]


def steps(metrics: dict[str, Any], method: str, dense: str) -> list[Step]:
    """What was measured: its name in the metrics, its label, its figures.

    Args:
        metrics: a run's metrics, not empty.
        method: the run's own rule.
        dense: what the unpruned model is called.
    """
    name = wording.METHODS.get(method, method)
    tuned = bool(metrics.get("untuned"))
    found = [
        ("dense", dense, metrics.get("dense")),
        ("untuned", f"{name}, before tuning", metrics.get("untuned")),
        ("pruned", f"{name}, tuned (this run)" if tuned else f"{name} (this run)",
         metrics.get("pruned")),
        *(
            (rule, facts.baseline_name(rule, method), figures)
            for rule, figures in (metrics.get("baselines") or {}).items()
        ),
        ("base", "Base, everything reset", metrics.get("base")),
    ]  # fmt: skip
    return [(what, label, figures) for what, label, figures in found if figures]


def color(what: str, method: str, palette: Palette) -> str:
    """The color of a step: that of its rule, and no color for what was not pruned."""
    if what in ("dense", "base"):
        return palette.muted
    rule = method if what in ("pruned", "untuned", "uniform") else what
    return METHOD_COLORS.get("random" if rule == "dare" else rule, palette.primary)


def symbol(what: str, method: str) -> str:
    """The mark of a step."""
    return _SYMBOLS.get(what, "circle-open" if what == method else "square")


def label_axis(figure: go.Figure, labels: Sequence[str]) -> None:
    """Labels down the left side, over two lines where they are long."""
    figure.update_yaxes(
        range=[len(labels) - 0.5, -0.75], showgrid=False, categoryorder="array",
        categoryarray=list(labels), tickmode="array", tickvals=list(labels),
        ticktext=["<br>".join(textwrap.wrap(label, _LETTERS)) for label in labels],
    )  # fmt: skip
