"""Jobs as a person sees them: how one goes, and the lists of jobs and runs.

Jobs live in the store, not in the session: what is shown here is read anew each time, so that a
reload, a second tab and another person of the same store see the same.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.data import exports
from app.frame import links, state
from kencore import jobs
from kencore.errors import JobNotFoundError, KencoreError
from kencore.settings.prune import PruneSpec
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.jobs import JobStatus
    from kencore.runs.shelf import RunSummary

POLL_SECONDS: Final = 1.0
_LIST_LIVE, _LIST_QUIET = 2.0, 5.0
_SHOWN: Final = 8
LISTED: Final = ("prune", "tune", "sweep", "evaluate")
_DOOMED: Final = "kenviz_run_to_delete"
_REASON: Final = 160  # characters of a reason that a card has room for
_BADGES: Final[dict[str, tuple[str, str, Any]]] = {
    "queued": ("Waiting", ":material/schedule:", "gray"),
    "running": ("Running", ":material/play_circle:", "blue"),
    "succeeded": ("Done", ":material/check_circle:", "green"),
    "failed": ("Failed", ":material/error:", "red"),
    "cancelled": ("Cancelled", ":material/cancel:", "orange"),
}


def label(job: JobStatus) -> str:
    """What the job is about, in one line."""
    from kencore.runs.shelf import describe

    if job.kind == "tune":
        return f"Tune {_run_name(job)} on {job.params.get('data', '')}"
    if job.kind in ("export", exports.REPORT):
        return f"{exports.label(job.kind, job.params.get('form'))} of {_run_name(job)}"
    if job.kind == "sweep":
        return _sweep_name(job)
    if job.kind != "prune":
        return f"{job.kind.capitalize()} {job.params.get('model', '')}".strip()
    try:
        return describe(asdict(PruneSpec.from_dict(job.params)))
    except KencoreError:  # settings of another version
        return f"Prune {job.params.get('model', '')}".strip()


def _run_name(job: JobStatus) -> str:
    """The run that a job is about, as the lists call it."""
    run_id = str(job.params.get("run", ""))
    try:
        return {run.id: run.label for run in state.runs()}.get(run_id, run_id)
    except KencoreError:  # the sidebar says it
        return run_id


def _sweep_name(job: JobStatus) -> str:
    from kencore.settings.sweep import SweepSpec
    from kencore.sweeps.shelf import describe

    try:
        return f"Sweep of {describe(SweepSpec.from_dict(job.params))}"
    except KencoreError:  # settings of another version
        return f"Sweep {job.params.get('model', '')}".strip()


def panel(job_id: str, *, shown: bool = False) -> None:
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
            st.markdown(f"**{label(job)}**", width="stretch")
            badge(job)
        if job.live:
            _progress(job)
        elif job.state == "failed":
            show_failure(job)
        elif job.state == "cancelled":
            st.caption(_cancelled(job))
        else:
            _finished(job, shown)


def badge(job: JobStatus) -> None:
    """The state of a job as a colored badge with a word."""
    text, icon, color = _BADGES[job.state]
    st.badge("Cancelling" if job.cancelling else text, icon=icon, color=color)


def _progress(job: JobStatus) -> None:
    st.progress(job.share, text=job.message or "Starting the worker")
    facts = [f"{100 * job.share:.0f} %"]
    if job.seconds_left is not None:
        facts.append(f"about {wording.seconds(job.seconds_left)} left")
    if job.started is not None:
        facts.append(f"running for {wording.seconds(max(0.0, time.time() - job.started))}")
    if job.device:
        facts.append(job.device)
    st.caption(" · ".join(facts))
    st.button(
        "Cancel",
        icon=":material/stop_circle:",
        key=f"cancel-{job.id}",
        disabled=job.cancelling,
        on_click=_cancel,
        args=(job.id,),
    )


def _cancelled(job: JobStatus) -> str:
    if job.kind == "tune":  # it leaves checkpoints, see kencore.recover.saved
        return (
            "Cancelled. No run was written. Started again with the same settings it goes on from "
            "its last checkpoint, if it had reached one (about one a minute)."
        )
    if job.kind == "sweep":
        return "Cancelled. Finished points stay; started again it goes on with the rest."
    return "Cancelled. Nothing was written."


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
        text = f"{error.get('type', 'Error')}: {error.get('message', '')}"
        st.error(f"{text}\n\n{error.get('remedy', '')}", icon=":material/error:")
        with st.expander("Log of the worker"):
            st.code(jobs.log(job.id) or "The log is empty.", "text")


def _finished(job: JobStatus, shown: bool) -> None:
    took = wording.seconds((job.finished or 0) - (job.started or 0))
    st.caption(f"Finished in {took}" + (f" on {job.device}" if job.device else ""))
    if job.kind in ("export", exports.REPORT):
        exports.show(job.id)
    if job.kind == "sweep" and (sweep := _sweep_id(job)) is not None:
        links.page_link("tradeoff", "Open the sweep", icon=":material/arrow_forward:", sweep=sweep)
    if job.kind not in ("prune", "tune"):
        return
    with st.container(horizontal=True):
        links.page_link("overview", "Open the run", icon=":material/arrow_forward:", run=job.id)
        if job.kind == "prune":
            links.page_link("matrix", "Look at its matrices", icon=":material/grid_on:", run=job.id)
        elif not shown:
            links.page_link("recover", "How it was tuned", icon=":material/healing:", run=job.id)


def _sweep_id(job: JobStatus) -> str | None:
    from kencore.settings.sweep import SweepSpec

    try:
        return SweepSpec.from_dict(job.params).id
    except KencoreError:  # settings of another version
        return None


# --- lists -----------------------------------------------------------------------------------


def lists() -> None:
    """Recent jobs and finished runs, read again every few seconds."""
    live = any(job.live for job in jobs.list_jobs(limit=_SHOWN))
    st.fragment(_lists, run_every=_LIST_LIVE if live else _LIST_QUIET)()


def _lists() -> None:
    st.header("Recent jobs", icon=":material/schedule:")
    _job_list()
    st.header("Runs", icon=":material/folder_open:")
    _run_list()


def _job_list() -> None:
    found = [job for job in jobs.list_jobs(limit=100) if job.kind in LISTED]
    ended = [job for job in found if job.state in ("failed", "cancelled")]
    others = [job for job in found if job not in ended]
    if not others:
        st.caption("No job yet." if not ended else "No job is under way or done.")
    _job_cards("jobs", others)
    if ended:
        with st.expander(f"{len(ended)} that did not finish", icon=":material/error:", key="unfinished-jobs"):
            _job_cards("unfinished", ended)


def _job_cards(what: str, found: list[JobStatus]) -> None:
    shown = _more(what, len(found))
    for job in found[:shown]:
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            with st.container(gap=None, width="stretch"):
                st.markdown(label(job))
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
        kept = job.kind in ("tune", "sweep")
        return " · cancelled" if kept else " · cancelled, nothing was written"
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


def _run_list() -> None:
    state.forget_runs()
    found = state.runs()
    if not found:
        st.caption("No finished run yet.")
    shown = _more("runs", len(found))
    for run in found[:shown]:
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            with st.container(gap=None, width="stretch"):
                st.markdown(run.label)
                st.caption(run.problem or _when(run))
            if run.problem is None:
                links.page_link("overview", "Open", run=run.id)
            if not _shipped(run):
                _delete(run)


def _shipped(run: RunSummary) -> bool:
    from kencore.runs.shelf import SHIPPED

    return run.id in SHIPPED


def _delete(run: RunSummary) -> None:
    """The first click asks, in the same place; the second one deletes."""

    def ask(name: str | None) -> None:
        st.session_state[_DOOMED] = name

    if st.session_state.get(_DOOMED) != run.id:
        st.button(
            "Delete", icon=":material/delete:", type="tertiary", key=f"delete-{run.id}", on_click=ask, args=(run.id,)
        )
        return
    st.button("Keep", key=f"keep-{run.id}", on_click=ask, args=(None,))
    if st.button("Delete this run", type="primary", key=f"sure-{run.id}", icon=":material/delete:"):
        from kencore.runs.shelf import delete_run

        with state.messages():
            delete_run(run.id)
        state.forget_runs()
        if links.value("run") == run.id:
            links.write(run=None, matrix=None)
        st.rerun()


def _more(what: str, number: int) -> int:
    """How many lines to show: the first few, or all where a person asked."""
    if number <= _SHOWN:
        return number
    every = st.toggle(f"Show all {number}", key=f"all-{what}")
    return number if every else _SHOWN


def _when(run: RunSummary) -> str:
    if _shipped(run):
        return "Comes with KEN_viz"
    try:
        made = _ago(datetime.fromisoformat(run.created).timestamp())
    except ValueError:
        return run.id
    return f"{made} · {run.id}"


def _ago(then: float) -> str:
    """How long ago, in the coarsest unit that says something."""
    passed = max(0.0, time.time() - then)
    for seconds, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if passed >= seconds:
            return f"{wording.plural(int(passed // seconds), unit)} ago"
    return "just now"
