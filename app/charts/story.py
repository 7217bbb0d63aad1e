"""A picture of the story that no other page has: what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, fade, finish
from kencore.words import numbers as wording
from kencore.words.palette import Palette

if TYPE_CHECKING:
    from kencore.views.tables import Totals


def stored(total: Totals, restore: str, palette: Palette) -> Chart:
    """Bytes of all weights, and of what has to be kept of this run."""
    part = "kept values and masks" if restore == "zero" else "kept values and masks, beside a base"
    names = ["whole model", part]
    values = [total.bytes_dense, total.bytes_stored]
    figure = go.Figure(
        go.Bar(
            x=np.array(values, np.float64) / 1e6,
            y=["<br>".join(_wrapped(n)) for n in names],
            orientation="h",
            text=[wording.size(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            textfont={"color": palette.text},
            marker={"color": [fade(palette.reset_mark, 0.6), palette.kept], "line": {"width": 0}},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    finish(figure, height=150, x="megabytes", y="", left=150)
    figure.update_xaxes(range=[0, 1.2 * max(values) / 1e6])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    finding = (
        f"{wording.size(total.bytes_stored)} instead of {wording.size(total.bytes_dense)}: "
        f"{wording.percent(total.share_bytes, 0)}"
    )
    return Chart(
        figure=figure,
        finding=finding,
        name="stored",
        data=pd.DataFrame({"what": names, "bytes": values}),
        alt=f"Bars of the bytes of the whole model and of what is stored. {finding}.",
    )


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 20)
