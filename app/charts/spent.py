"""Where the bytes of a subnetwork file went: bars of the roles, by what the bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from app.charts.base import Chart, fade, finish
from kencore.views.spent import by_role
from kencore.words import numbers as wording
from kencore.words import spent as words
from kencore.words.palette import RUNS, Palette

if TYPE_CHECKING:
    from kencore.views.spent import Spent


def bytes_bars(found: Spent, palette: Palette) -> Chart:
    """Kilobytes of each role, stacked by what they are, and of what every file says of itself."""
    roles = by_role(found)
    table = words.table(found, roles)
    names = list(table["what"])
    looks: dict[str, dict[str, Any]] = {
        "symbols": {"color": palette.kept},
        "scales": {"color": RUNS[1]},
        "values": {
            "color": fade(RUNS[2], 0.35),
            "pattern": {"shape": "/", "size": 6, "solidity": 0.3, "fgcolor": RUNS[2]},
        },
        "said": {"color": fade(palette.reset_mark, 0.6)},
    }
    figure = go.Figure(
        [
            go.Bar(
                x=table[part] / 1e3,
                y=names,
                orientation="h",
                name=words.PARTS[part],
                marker={"line": {"width": 0}, **look},
                text=[
                    f"<b>{name}</b><br>{words.PARTS[part]}: {wording.exact(size)} bytes"
                    for name, size in zip(names, table[part], strict=True)
                ],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            )
            for part, look in looks.items()
            if table[part].sum()
        ]
    )
    finish(figure, height=28 * len(names) + 10, x="kilobytes in the file", y="", legend=True, left=170)
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_yaxes(showgrid=False, autorange="reversed")
    finding = words.finding(found, roles)
    return Chart(
        figure=figure,
        finding=finding,
        name="bytes",
        data=table,
        alt=f"Bars of the bytes of each role in the file, by what they are. {finding}.",
    )
