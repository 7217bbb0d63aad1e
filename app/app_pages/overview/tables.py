"""Parts of the overview page: its numbers, its tables, and how the run was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app.app_pages.overview import cost as cost_parts
from app.charts.base import lines
from app.frame import links
from app.parts import quality as quality_parts
from kencore.views import tables as summaries
from kencore.words import cards, outside
from kencore.words import numbers as wording
from kencore.words import run as facts

_ICONS: Final = {
    "Made": "schedule",
    "Took": "timer",
    "On": "memory",
    "Pruned": "filter_alt",
    "Seed": "casino",
    "Calibrated on": "menu_book",
}

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.tables import Totals


def metric_row(run: Run, total: Totals) -> None:
    """Four cards: parameters, size, quality, and the best baseline at the same budget, or how near answers are."""
    with st.grid(4, min_column_width=200):
        stored = cost_parts.subnetwork_size(run) if run.spec.coded else None
        quality_parts.card(cards.kept(run.spec, total, stored))
        quality_parts.card(cards.size(run.spec, total, stored))
        quality_parts.before_and_after(run)
        if run.spec.coded and facts.nearness(run.metrics):
            quality_parts.card(cards.closeness(run.metrics))
        else:
            quality_parts.baseline(run)


def tuned_note(tuned: dict[str, Any]) -> None:
    """That a run was tuned after pruning, and where that is shown."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"Tuned for {wording.plural(int(tuned['steps']), 'step')} after pruning; kept values are the learned ones.",
            width="content",
        )
        links.page_link("recover", "How it was tuned", icon=":material/healing:")


def outside_table(run: Run) -> None:
    """Every parameter outside the blocks, with a link to its matrix."""
    table = summaries.outside_roles(run.matrices)
    if table.empty:
        return
    done = wording.terms(run.restore, coded=run.spec.coded).done
    named = [outside.what(line.name, line.role) or wording.ROLES_EXPLAINED[line.role] for line in lines(table)]
    shown = pd.DataFrame(
        {
            "Matrix": table["name"],
            "What it is": named,
            "Shape": [f"{row.rows:,} × {row.cols:,}" for row in lines(table)],
            "Weights": table["params"],
            done.capitalize(): table["share"],
            "State": table["status"].map(lambda status: wording.STATUSES.get(status, status)),
            "Open": [links.link("matrix", run=run.id, matrix=name) for name in table["name"]],
        }
    )
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        alt=f"Matrices outside the blocks and the share {done} of each",
        column_config={
            "Weights": st.column_config.NumberColumn(format="localized"),
            done.capitalize(): st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            "Open": st.column_config.LinkColumn(display_text="matrix", width="small"),
        },
    )


def untouched_table(matrices: pd.DataFrame) -> None:
    """What was not pruned, and why."""
    table = summaries.left_alone(matrices)
    if table.empty:
        st.caption("Everything was pruned.")
        return
    shown = pd.DataFrame(
        {
            "Why": table["reason"],
            "State": table["status"].map(lambda status: wording.STATUSES.get(status, status)),
            "Tensors": table["matrices"],
            "Weights": table["params"],
            "Names": [", ".join(names) for names in table["names"]],
        }
    )
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        alt="Matrices that were not pruned, by reason",
        column_config={
            "Why": st.column_config.TextColumn(width="large"),
            "Weights": st.column_config.NumberColumn(format="localized"),
            "Names": st.column_config.TextColumn(width="large"),
        },
    )


def how_made(run: Run) -> None:
    """The command that makes the run again, and where and when it was made."""
    st.markdown("To reproduce this run:")
    st.code(facts.command(run.spec), "bash")
    record = run.record
    made = {f":material/{_ICONS[name]}: {name}": said for name, said in facts.origin(run).items()}
    for side in ("tuned", "base"):
        source = (record.get("sources") or {}).get(side)
        if not source:
            continue
        revision = f" at {source['revision']}" if source.get("revision") else ""
        name = "model" if run.spec.restore == "zero" else f"{side} model"
        made[f":material/folder: {name.capitalize()}"] = f"{source.get('text', '')}{revision}"
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    if versions:
        made[":material/inventory_2: Versions"] = versions
    st.table(made, border="horizontal", alt="Where and when the run was made")
