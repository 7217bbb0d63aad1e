"""Size, compute and speed of a run on its overview: four small tables, each with what it means."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import parts, state
from kencore.words import costs as cost_words
from kencore.words import numbers as wording
from kencore.words import spent as spent_words
from kencore.words.orders import ordered

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.spent import Spent
    from kencore.words.palette import Palette

_SPREAD: Final = " Medians and quartiles of interleaved passes; differences are machine noise."


def size_compute_speed(run: Run) -> None:
    """What the run needs on disk and what it needs to run, beside the dense model."""
    cost = run.metrics.get("cost") or {}
    zero = run.restore == "zero"
    needs = "" if zero else " The base model is needed too."
    what = cost_words.CODED if run.spec.coded else cost_words.MASKED
    with st.grid(2, min_column_width=340, gap="small"):
        done = wording.terms(run.restore, coded=run.spec.coded).done
        _card("Size", cost_words.size(cost, run.totals, subnetwork_size(run), done), f"{what}{needs}")
        _card("Compute", cost_words.compute(cost), cost_words.TO_ZERO if zero else cost_words.NOT_ZERO)
        _card("Speed", cost_words.speed(cost), cost_words.SAME_SPEED + (_SPREAD if cost else ""))
        _card("Memory and kernels", cost_words.memory(cost), cost_words.memory_notes(cost))
    if cost:
        st.caption(f"Measured on {state.plain(str(cost['device']))}.")
    else:
        st.caption("Compute, speed and memory are measured along with quality, or by `python -m kencore evaluate`.")


def where_bytes_went(run: Run, palette: Palette) -> None:
    """The file of a run that codes differences, by role and by what its bytes are."""
    from app.charts.spent import bytes_bars
    from app.frame.draw import draw

    with state.messages():
        draw(bytes_bars(_spent(run.id, run.path, state.stamp(run.path)), palette), key="bytes")
        st.caption(f"{spent_words.EXPLAINED} {ordered(run)}")


@lru_cache(maxsize=16)
def _spent(run_id: str, folder: Path, _stamp: str) -> Spent:
    from kencore.runs.run import Run
    from kencore.views.spent import spent

    return spent(Run(folder, name=run_id))


def _card(title: str, lines: cost_words.Lines, note: str) -> None:
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{title}**")
        parts.pairs(lines)
        if note:
            st.caption(state.plain(note))


def subnetwork_size(run: Run) -> int | None:
    """Bytes of the run's subnetwork file; ``None`` where they cannot be told without fetching."""
    from kencore.exports.subnetwork.plan import known_bytes_at

    return known_bytes_at(run.path, run.id, state.stamp(run.path))
