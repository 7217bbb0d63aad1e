"""What was measured of a run, in order, with one name, color and mark for each on every chart."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

ROW: Final = 44  # pixels of a line: a label of two lines, or a dot with its value above it
LEFT: Final = 178
_LETTERS: Final = 24  # of a label, in that room
# an open circle is the run's own rule without something: tuning, rescaling or an allocation


def label_axis(figure: go.Figure, labels: Sequence[str]) -> None:
    """Labels down the left side, over two lines where they are long."""
    figure.update_yaxes(
        range=[len(labels) - 0.5, -0.75],
        showgrid=False,
        categoryorder="array",
        categoryarray=list(labels),
        tickmode="array",
        tickvals=list(labels),
        ticktext=["<br>".join(textwrap.wrap(label, _LETTERS)) for label in labels],
    )
