"""One sentence in pictures: what the models answer, and where their paths part.

T tokens, B places (before the first block, after each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, add_color_scale, finish
from kencore.explain.maths import grows_most
from kencore.words import numbers as wording
from kencore.words.extremes import ends
from kencore.words.palette import Palette

STATES: Final = {"base": "Base", "dense": "Dense", "pruned": "Pruned"}  # top to bottom
_SHOWN: Final = 10  # answers drawn; the CSV has all
_TOKENS: Final = 64  # columns up to which tokens are written below


def shown(text: str, most: int = 22) -> str:
    """A token or label as a picture can hold it: spaces and line breaks made visible."""
    seen = text.replace("\n", "⏎").replace("\t", "⇥")
    seen = seen.replace(" ", "·") if not seen.strip() else seen.strip()
    seen = seen if len(seen) <= most else f"{seen[: most - 1]}…"
    return seen.replace("<", "&lt;")


def _labels(texts: Sequence[str], most: int = 22) -> list[str]:
    """Labels that differ: equal ones get a mark that cannot be seen."""
    found: list[str] = []
    for text in texts:
        label = shown(text, most)
        while label in found:
            label += "\u200b"
        found.append(label)
    return found


def best(facts: Mapping[str, Any], state: str) -> tuple[str, float]:
    """The likeliest answer of a state, and how likely it is."""
    found = max(facts["answers"], key=lambda answer: float(answer[state]))
    return str(found["text"]), float(found[state])


def answers_finding(facts: Mapping[str, Any], dense: str = "dense") -> str:
    """What the dense and the pruned model say, in one sentence."""
    (before, sure), (after, still) = best(facts, "dense"), best(facts, "pruned")
    said = [
        f"“{text.strip() or shown(text)}” ({wording.percent(chance, 0)})"
        for text, chance in ((before, sure), (after, still))
    ]
    if before == after:
        return (
            f"Both say “{before.strip() or shown(before)}”: the {dense} model with "
            f"{wording.percent(sure, 0)}, the pruned one with {wording.percent(still, 0)}"
        )
    return f"Pruning changed the answer: {said[0]} became {said[1]}"


def _chance_finding(facts: Mapping[str, Any], dense: str) -> str:
    text, chance = best(facts, "dense")
    now = next(answer for answer in facts["answers"] if answer["text"] == text)["pruned"]
    return f"“{text.strip() or shown(text)}”: {wording.percent(chance)} {dense}, {wording.percent(float(now))} pruned"


def answers(facts: Mapping[str, Any], palette: Palette, dense: str = "dense") -> Chart:
    """Probabilities of labels, or of next tokens, in each state.

    Args:
        facts: `kencore.explain.Explanation.facts`.
        dense: what the run calls the model before pruning.
    """
    states = [state for state in STATES if state in facts["states"]]
    table = pd.DataFrame(facts["answers"])[["text", *states]]
    top = table.head(_SHOWN)
    labels = _labels([str(text) for text in top["text"]])
    names = STATES | {"dense": dense.capitalize()}
    colors = {"base": palette.reset_mark, "dense": palette.text, "pruned": palette.primary}
    hatch = {"base": "/", "dense": "", "pruned": ""}
    figure = go.Figure(
        [
            go.Bar(
                y=labels,
                x=top[state].to_numpy(np.float32),
                orientation="h",
                name=names[state],
                marker={
                    "color": colors[state],
                    "line": {"width": 0},
                    "pattern": {
                        "shape": hatch[state],
                        "size": 6,
                        "solidity": 0.3,
                        "fillmode": "overlay",
                        "fgcolor": palette.background,
                    },
                },
                text=[wording.percent(value) for value in top[state]],
                textposition="outside",
                cliponaxis=False,
                textfont={"size": 11, "color": palette.text},
                hovertemplate=f"%{{y}}<br>{names[state]}: %{{x:.2%}}<extra></extra>",
            )
            for state in states
        ]
    )
    language = facts["task"] == "language"
    high = float(top[states].to_numpy().max())
    finish(
        figure,
        height=max(120, (18 * len(states) + 14) * len(top)),
        x="probability",
        y="",
        legend=True,
        left=max(70, 9 * max(map(len, labels)) + 14),
    )
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_xaxes(range=[0, min(1.0, high) * 1.18], tickformat=".0%", zeroline=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    finding = _chance_finding(facts, dense)
    what = "next tokens" if language else "labels"
    return Chart(
        figure=figure,
        finding=finding,
        name="answers",
        data=table,
        alt=f"Bars of the probability of {what} in each model. {finding}.",
    )


def places(count: int) -> list[str]:
    """Names of B places: what enters the first block, then each block."""
    return ["input", *[str(block) for block in range(count - 1)]]


def paths(facts: Mapping[str, Any], palette: Palette) -> Chart:
    """How far the pruned model's hidden states are from the dense model's, block by block."""
    told = facts["distance"]
    relative = np.array(told["relative"], np.float64)
    cosine = np.array(told["cosine"], np.float64)
    labels = places(len(relative))
    figure = go.Figure(
        go.Scatter(
            x=labels,
            y=relative.astype(np.float32),
            mode="lines+markers",
            name="distance",
            line={"color": palette.primary, "width": 2},
            marker={"size": 7},
            customdata=cosine.astype(np.float32),
            hovertemplate="after %{x}: %{y:.1%} apart<br>cosine %{customdata:.4f}<extra></extra>",
        )
    )
    finish(figure, height=240, x="after block", y="relative distance (L2)", left=72)
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(rangemode="tozero", tickformat=".0%")
    finding = paths_finding(relative)
    return Chart(
        figure=figure,
        finding=finding,
        name="paths",
        alt=f"Line of the distance between pruned and dense hidden states by block. {finding}.",
        data=pd.DataFrame({"after": labels, "relative_l2": relative, "cosine": cosine}),
    )


def paths_finding(relative: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Where the two paths part, in one sentence."""
    known = np.nan_to_num(relative)
    if not known.any():
        return "The two models do not diverge on this sentence"
    text = f"{wording.percent(float(known[-1]), 0)} apart after the last block"
    at = grows_most(known)
    if at is None:
        return text
    return f"{text}; the gap grows most {'before the first block' if at == 0 else f'in block {at - 1}'}"


def token_map(facts: Mapping[str, Any], palette: Palette) -> Chart:
    """The same distance for each token: places down, tokens across."""
    told = facts["distance"]["token_relative"]
    grid = np.array([[np.nan if v is None else v for v in row] for row in told], np.float32)  # B, T
    rows = places(len(grid))
    texts = [str(token["text"]) for token in facts["tokens"]]
    high = float(np.nanmax(grid)) if np.isfinite(grid).any() else 0.0
    high = high or 1.0
    columns = list(range(len(texts)))
    figure = go.Figure(
        go.Heatmap(
            z=grid,
            x=columns,
            y=rows,
            zmin=0,
            zmax=high,
            showscale=False,
            xgap=1,
            ygap=1,
            colorscale=palette.scale(palette.sequential),
            customdata=np.array([[shown(text) for text in texts]] * len(rows), dtype=object),
            hovertemplate="token %{x}: %{customdata}<br>after %{y}: %{z:.1%} apart<extra></extra>",
        )
    )
    finish(figure, height=max(120, 26 * len(rows)), x="token", y="after block", left=72)
    add_color_scale(figure, "relative distance", palette.sequential, (0, high / 2, high), percent=True)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    ticks = columns if len(columns) <= _TOKENS else columns[:: len(columns) // 32]
    figure.update_xaxes(
        tickmode="array", tickvals=ticks, ticktext=[shown(texts[i], 12) for i in ticks], tickangle=-55, showgrid=False
    )
    figure.update_layout(margin={"b": 84}, height=figure.layout.height + 32)
    finding = _token_finding(grid, texts)
    table = pd.DataFrame(grid.T, columns=[f"after {name}" for name in rows])
    table.insert(0, "token", texts)
    return Chart(
        figure=figure,
        finding=finding,
        name="paths-by-token",
        data=table,
        alt=f"Map of the distance by block and token. {finding}.",
    )


def _token_finding(grid: np.ndarray[Any, np.dtype[np.float32]], texts: Sequence[str]) -> str:
    last = np.nan_to_num(grid[-1])
    if not last.any():
        return "No token's state changed"
    found = ends(last.tolist(), [str(place) for place in range(len(last))], lambda share: wording.percent(share, 0))
    if found is None:
        return f"Every token's state changed alike: {wording.percent(float(last[0]), 0)} apart"
    most = found[1]
    if len(most.places) > 1:
        return f"{len(most.places)} tokens changed most: {most.value} apart after the last block"
    furthest = int(most.places[0])
    text = texts[furthest].strip() or shown(texts[furthest])
    return f"“{text}” (token {furthest}) changed most: {most.value} apart after the last block"
