"""One job as a person sees it: how far it is, a real cancel, its error or its result.

Jobs live in the store, not in the session: what is shown here is read anew each time, so that a
reload, a second tab and another person of the same store see the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.frame import state
from app.jobs import kinds
from kencore import jobs
from kencore.errors import JobNotFoundError, KencoreError
from kencore.system import plain
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.jobs import JobStatus

POLL_SECONDS: Final = 1.0
_BADGES: Final[dict[str, tuple[str, str, Any]]] = {
    "queued": ("Waiting", ":material/schedule:", "gray"),
    "running": ("Running", ":material/play_circle:", "blue"),
    "succeeded": ("Done", ":material/check_circle:", "green"),
    "failed": ("Failed", ":material/error:", "red"),
    "cancelled": ("Cancelled", ":material/cancel:", "orange"),
}


def show(job_id: str, *, shown: bool = False) -> None:
    """One job: how far it is, a real cancel, its error or its result. Polls while it is live.

    Args:
        shown: the page shows how a run was tuned by itself, so no link leads there.
    """
    try:
        live = jobs.status(job_id).live
    except JobNotFoundError as error:
        state.show_error(error)
        return
    st.fragment(_panel, run_every=POLL_SECONDS if live else None)(job_id, live, shown)


def _panel(job_id: str, was_live: bool, shown: bool) -> None:
    job = jobs.status(job_id)
    if was_live and not job.live:
        state.forget_runs()
        st.rerun()  # the whole page: stop polling, and show the new run in the lists
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{state.plain(kinds.label(job))}**", width="stretch")
            badge(job)
        if job.live:
            _progress(job)
        elif job.state == "failed":
            show_failure(job)
        elif job.state == "cancelled":
            st.caption(kinds.shown(job).cancelled)
        else:
            _finished(job, shown)


def badge(job: JobStatus) -> None:
    """The state of a job as a colored badge with a word."""
    text, icon, color = _BADGES[job.state]
    st.badge("Cancelling" if job.cancelling else text, icon=icon, color=color)


def bar(job: JobStatus, *, usual: float | None = None) -> None:
    """How far a live job is, and how long it may take; ``usual``: seconds that one like it took, said as long as
    nothing is known of this one.
    """
    st.progress(job.share, text=state.plain(job.message or "Starting the worker"))
    facts = [f"{100 * job.share:.0f} %"]
    if job.seconds_left is not None:
        facts.append(f"{_about(job.seconds_left)} left")
    elif usual is not None:
        facts.append(f"{_about(usual)} the last time")
    if job.started is not None:
        facts.append(f"running for {wording.seconds(max(0.0, time.time() - job.started))}")
    if job.device:
        facts.append(state.plain(job.device))
    st.caption(" · ".join(facts))


def _progress(job: JobStatus) -> None:
    bar(job)
    if job.state == "queued":
        _waiting(job.id)
    st.button(
        "Cancel",
        icon=":material/stop_circle:",
        key=f"cancel-{job.id}",
        disabled=job.cancelling,
        on_click=_cancel,
        args=(job.id,),
    )


def _waiting(job_id: str) -> None:
    """The place of a queued job, and what is before it."""
    before = jobs.ahead(job_id)
    if not before:
        return
    first = before[0]
    left = "" if first.seconds_left is None else f", {_about(first.seconds_left)} left"
    more = "" if len(before) == 1 else f" and {wording.plural(len(before) - 1, 'other job')}"
    what = state.plain(kinds.label(first)) if first.id else "a job of somebody else"
    st.caption(f":material/hourglass: Waits for {what}{left}{more}.")


def _about(seconds: float) -> str:
    return "less than a second" if seconds < 1 else f"about {wording.seconds(seconds)}"


def _cancel(job_id: str) -> None:
    jobs.cancel(job_id)


def show_failure(job: JobStatus) -> None:
    """Why a job failed and what to do, with the worker's log for the rest."""
    error = job.error or {}
    if error.get("wanted"):
        state.show_error(
            KencoreError(error["subject"], got=error["got"], wanted=error["wanted"], remedy=error["remedy"])
        )
    else:
        text = state.plain(f"{error.get('type', 'Error')}: {error.get('message', '')}")
        st.error(f"{text}\n\n{state.plain(str(error.get('remedy', '')))}", icon=":material/error:")
        with st.expander("Log of the worker"):
            st.code(plain.terminal(jobs.log(job.id)) or "The log is empty.", "text")


def _finished(job: JobStatus, shown: bool) -> None:
    took = wording.seconds((job.finished or 0) - (job.started or 0))
    st.caption(f"Finished in {took}" + (f" on {state.plain(job.device)}" if job.device else ""))
    kinds.shown(job).finished(job, shown)
