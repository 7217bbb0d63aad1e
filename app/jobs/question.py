"""A question put to the worker in the background: one job for the same question, whoever asks, whenever.

It is put by a click in this session. An address alone puts none: anybody can make a person's browser open one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import links
from app.jobs import panel
from kencore import jobs
from kencore.errors import JobNotFoundError, RunNotFoundError

if TYPE_CHECKING:
    from kencore.jobs import JobStatus

POLL_SECONDS: Final = 0.4
RECENT: Final = 20  # jobs among which an answered one is looked for
_JOBS: Final = "kenviz_questions"
_ALLOWED: Final = "kenviz_allowed"


def allow(about: str) -> None:
    """A click asks for work on this: a text, a setting. An address alone starts none."""
    st.session_state.setdefault(_ALLOWED, set()).add(about)


def allowed(about: str) -> bool:
    """Whether a click of this session asked for it."""
    return about in st.session_state.get(_ALLOWED, ())


def came_by_a_click() -> bool:
    """Whether this page was opened from another one of the app, and not by an address from outside."""
    return links.visit() > 1


def ask(
    name: str, submit: Callable[[], str], key: str, *, about: str, wait: Callable[[], None], unasked: bool = True
) -> Path | None:
    """The folder of the answer; while there is none, how far it is, or why there will be none.

    Args:
        name: of the question: what the answer depends on. It is the request key of its job.
        submit: puts it to the worker, and returns its job: the same one for the same question.
        key: unique on the page.
        about: what `allow` was told when a person clicked for it.
        wait: draws what a person can do as long as nobody did.
        unasked: the click that led to the page is enough.
    """
    job = _job(name, submit, may=allowed(about) or (unasked and came_by_a_click()))
    if job is None:
        wait()
        return None
    if job.state == "succeeded":
        return jobs.result(job.id)
    if job.live:
        st.fragment(_watch, run_every=POLL_SECONDS)(job.id, key)
    else:
        _ended(job, name, key, about)
    return None


def _job(name: str, submit: Callable[[], str], *, may: bool) -> JobStatus | None:
    """The job of a question; a new one where there is none or its result was removed, if there may be one."""
    asked = _all()
    if name in asked:
        try:
            job = jobs.status(asked[name])
            if job.state != "succeeded" or jobs.result(job.id).is_dir():
                return job
        except (JobNotFoundError, RunNotFoundError):  # the store keeps the newest results alone
            pass
    found = submit() if may else jobs.find(name)
    if found is None:
        return None
    asked[name] = found
    return jobs.status(found)


def _all() -> dict[str, str]:
    found: dict[str, str] = st.session_state.setdefault(_JOBS, {})
    return found


def _watch(job_id: str, key: str) -> None:
    job = jobs.status(job_id)
    if not job.live:
        st.rerun()
    panel.bar(job, usual=_usual(job.kind))
    st.button(
        "Cancel",
        icon=":material/stop_circle:",
        on_click=jobs.cancel,
        args=(job_id,),
        disabled=job.cancelling,
        key=f"{key}-cancel",
    )


def _usual(kind: str) -> float | None:
    """Seconds that the last question of a kind took, from asking to the answer; ``None`` where none was answered."""
    for job in jobs.list_jobs(kind=kind, limit=RECENT):
        if job.state == "succeeded" and job.finished is not None:
            return job.finished - job.created
    return None


def _ended(job: JobStatus, name: str, key: str, about: str) -> None:
    if job.state == "failed":
        panel.show_failure(job)
    else:
        st.caption("Cancelled.")

    def again() -> None:
        _all().pop(name, None)
        allow(about)

    st.button("Ask again", icon=":material/refresh:", on_click=again, key=f"{key}-again")
