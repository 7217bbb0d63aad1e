"""Which runs are compared: the address, the choice, and runs that are still being made.

The address is ``run=A&other=B`` and ``with=C,D`` for more. A job that makes a run has the run's
id, so a comparison can be linked to, reloaded and watched before its runs are finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

import streamlit as st

from app.frame import links, parts, state
from app.jobs import kinds, panel
from kencore import jobs
from kencore.errors import JobNotFoundError, KencoreError, RunNotFoundError
from kencore.jobs import JobStatus
from kencore.views.compare import peers
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

MOST: Final = 6  # runs at once
MAKERS: Final = ("prune", "tune")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The runs beside the open one: those that are there, those being made, and the mistakes."""

    runs: list[Run]
    waiting: list[JobStatus]
    wrong: list[KencoreError]

    @property
    def ids(self) -> list[str]:
        """Ids of both kinds."""
        return [run.id for run in self.runs] + [job.id for job in self.waiting]


def asked(own: str) -> list[str]:
    """The ids beside the open run in the address, each once; ``own`` is that run's."""
    words = [links.value("other") or "", *(links.value("with") or "").split(",")]
    return [word for word in dict.fromkeys(map(unquote, words)) if word and word != own]


def address(ids: list[str]) -> dict[str, str | None]:
    """What the address says of runs beside the open one."""
    return {"other": ids[0] if ids else None, "with": ",".join(quote(name, safe="") for name in ids[1:]) or None}


def usual(run: Run) -> None:
    """Where the address names no other run: one of the same model and budget, if there is one."""
    if asked(run.id):
        return
    other = peers.beside(run, state.runs())
    if other is not None:
        links.write(other=other)


def beside(own: str) -> Chosen:
    """Open what the address asks for; what cannot be opened is among the mistakes."""
    found = Chosen(runs=[], waiting=[], wrong=[])
    names = asked(own)
    if len(names) >= MOST:
        found.wrong.append(
            links.LinkError(
                "with in the address",
                got=wording.plural(len(names) + 1, "run"),
                wanted=f"at most {MOST}",
                remedy="The first ones are shown.",
            )
        )
    for name in names[: MOST - 1]:
        try:
            opened = _run_or_job(name)
        except KencoreError as error:
            found.wrong.append(error)
            continue
        if isinstance(opened, JobStatus):
            found.waiting.append(opened)
        else:
            found.runs.append(opened)
    return found


def _run_or_job(name: str) -> Run | JobStatus:
    """The run of that id, or the job that makes it. Raises as `state.open_cached`."""
    try:
        return state.open_cached(name)
    except RunNotFoundError:
        job = _job(name)
    return state.open_cached(name) if job is None else job  # it may have come meanwhile


def _job(name: str) -> JobStatus | None:
    """The job that makes, or failed to make, the run of that id."""
    try:
        job = jobs.status(name)
    except JobNotFoundError:
        return None
    return job if job.kind in MAKERS and job.state != "succeeded" else None


def watch(chosen: Chosen) -> None:
    """Mistakes in the address, and how far runs are that are still being made."""
    for error in chosen.wrong:
        state.show_error(error)
    if chosen.waiting:
        live = sum(job.live for job in chosen.waiting)
        if live:
            st.caption(
                f"{wording.plural(live, 'run')} in progress; each joins the comparison when done. You may leave "
                "and return to this address."
            )
        for job in chosen.waiting:
            panel.show(job.id)


def choose(run: Run, chosen: Chosen) -> None:
    """B, a swap of A and B, and more runs; every choice goes into the address."""
    others = {found.id: found.label for found in state.runs() if found.problem is None}
    others |= {found.id: others.get(found.id, found.id) for found in chosen.runs}
    others |= {job.id: f"{kinds.label(job)} (not finished)" for job in chosen.waiting}
    others.pop(run.id, None)
    if not others:
        st.caption("No other run yet.")
        return
    labels = parts.told_apart(others)
    ids = [name for name in asked(run.id) if name in chosen.ids]
    first, rest = (ids[0] if ids else None), ids[1:]
    st.session_state["compare_b"], st.session_state["compare_more"] = first, rest

    def write() -> None:
        picked, more = st.session_state["compare_b"], st.session_state.get("compare_more", [])
        # when a run is finished its name changes, and a box may answer with nothing, or with the former name
        picked = picked if picked in others else first
        more = more if all(name in others for name in more) else rest
        links.write(**address([*([picked] if picked else []), *(m for m in more if m != picked)]))

    def swap() -> None:
        links.write(run=first, **address([run.id, *rest]))

    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "B, compared with A (the run in the sidebar)",
            list(others),
            index=None,
            key="compare_b",
            width=330,
            format_func=labels.__getitem__,
            on_change=write,
            placeholder="Choose a run",
        )
        swappable = bool(chosen.runs) and first == chosen.runs[0].id
        st.button(
            "Swap A and B",
            icon=":material/swap_horiz:",
            on_click=swap,
            disabled=not swappable,
            help="A becomes B, B becomes A",
        )
        if first is None:
            return
        st.multiselect(
            "More runs",
            [name for name in others if name != first],
            key="compare_more",
            width="stretch",
            format_func=labels.__getitem__,
            on_change=write,
            max_selections=MOST - 2,
            placeholder="Up to four more",
        )
