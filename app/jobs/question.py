"""A question put to the worker in the background: one job for the same question, whoever asks, whenever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.jobs import panel
from kencore import jobs
from kencore.errors import JobNotFoundError, RunNotFoundError

if TYPE_CHECKING:
    from kencore.jobs import JobStatus

POLL_SECONDS: Final = 0.4
_JOBS: Final = "kenviz_questions"


def known(name: str) -> bool:
    """Whether the question was put in this session."""
    return name in _all()


def ask(name: str, submit: Callable[[], str], key: str) -> Path | None:
    """The folder of the answer; while there is none, how far it is, or why there will be none.

    Args:
        name: of the question: what the answer depends on.
        submit: puts it to the worker, and returns its job: the same one for the same question.
        key: unique on the page.
    """
    job = _job(name, submit)
    if job.state == "succeeded":
        return jobs.result(job.id)
    if job.live:
        st.fragment(_watch, run_every=POLL_SECONDS)(job.id, key)
    else:
        _ended(job, name, key)
    return None


def _job(name: str, submit: Callable[[], str]) -> JobStatus:
    """The job of a question; a new one where there is none or its result was removed."""
    asked = _all()
    if name in asked:
        try:
            job = jobs.status(asked[name])
            if job.state != "succeeded" or jobs.result(job.id).is_dir():
                return job
        except (JobNotFoundError, RunNotFoundError):  # the store keeps the newest results alone
            pass
    asked[name] = submit()
    return jobs.status(asked[name])


def _all() -> dict[str, str]:
    found: dict[str, str] = st.session_state.setdefault(_JOBS, {})
    return found


def _watch(job_id: str, key: str) -> None:
    job = jobs.status(job_id)
    if not job.live:
        st.rerun()
    st.progress(job.share, text=job.message or "Starting the worker")
    st.button(
        "Cancel",
        icon=":material/stop_circle:",
        on_click=jobs.cancel,
        args=(job_id,),
        disabled=job.cancelling,
        key=f"{key}-cancel",
    )


def _ended(job: JobStatus, name: str, key: str) -> None:
    if job.state == "failed":
        panel.show_failure(job)
    else:
        st.caption("Cancelled.")

    def again() -> None:
        _all().pop(name, None)

    st.button("Ask again", icon=":material/refresh:", on_click=again, key=f"{key}-again")
