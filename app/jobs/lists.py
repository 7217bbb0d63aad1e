"""The list of recent jobs, and the way to finished runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import links, state
from app.jobs import kinds
from app.jobs.panel import badge
from kencore import jobs
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.jobs import JobStatus

_LIST_LIVE, _LIST_QUIET = 2.0, 5.0
_SHOWN: Final = 8
_REASON: Final = 160  # characters of a reason that a card has room for


def draw() -> None:
    """Recent jobs, read again every few seconds."""
    live = any(job.live for job in jobs.list_jobs(limit=_SHOWN))
    st.fragment(_lists, run_every=_LIST_LIVE if live else _LIST_QUIET)()


def _lists() -> None:
    st.header("Recent jobs", icon=":material/schedule:")
    _job_list()
    links.page_link("runs", "All runs", icon=":material/table_rows:")


def _job_list() -> None:
    found = [job for job in jobs.list_jobs(limit=100) if kinds.shown(job).listed]
    ended = [job for job in found if job.state in ("failed", "cancelled")]
    others = [job for job in found if job not in ended]
    if not others:
        st.caption("No job yet." if not ended else "No job is running or finished.")
    _job_cards("jobs", others)
    if ended:
        with st.expander(f"{len(ended)} unfinished", icon=":material/error:", key="unfinished-jobs"):
            _job_cards("unfinished", ended)


def _job_cards(what: str, found: list[JobStatus]) -> None:
    shown = _more(what, len(found))
    for job in found[:shown]:
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            with st.container(gap=None, width="stretch"):
                st.markdown(state.plain(kinds.label(job)))
                st.caption(f"{_ago(job.created)}{_how_far(job)}")
            badge(job)
            if st.button("Show", key=f"show-{job.id}", type="tertiary"):
                links.write(job=job.id)
                st.rerun()


def _how_far(job: JobStatus) -> str:
    if job.state == "running":
        return f" · {100 * job.share:.0f} %"
    if job.state == "succeeded":
        return f" · took {wording.seconds((job.finished or 0) - (job.started or 0))}"
    if job.state == "cancelled":
        return " · cancelled" if kinds.shown(job).keeps else " · cancelled, nothing was written"
    return f" · {_reason(job)}" if job.state == "failed" else ""


def _reason(job: JobStatus) -> str:
    """Why a job failed, in one line: what was found, or the first sentence of the fault."""
    error = job.error or {}
    if error.get("wanted"):
        text = f"{error['subject']}: {error['got']}"
    else:
        text = (error.get("message") or "").split(". ")[0] or "failed without a word"
    line = " ".join(text.split())
    return state.plain(line if len(line) <= _REASON else f"{line[: _REASON - 1]}…")


def _more(what: str, number: int) -> int:
    """How many lines to show: the first few, or all where a person asked."""
    if number <= _SHOWN:
        return number
    every = st.toggle(f"Show all {number}", key=f"all-{what}")
    return number if every else _SHOWN


def _ago(then: float) -> str:
    """How long ago, in the coarsest unit that says something."""
    passed = max(0.0, time.time() - then)
    for seconds, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if passed >= seconds:
            return f"{wording.plural(int(passed // seconds), unit)} ago"
    return "just now"
