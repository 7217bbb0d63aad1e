"""A sentence put to the worker: one job for the same run and text, whoever asks, whenever."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import state
from app.jobs import panel
from app.jobs import submit as submitting
from kencore import jobs
from kencore.errors import JobNotFoundError, KencoreError, RunNotFoundError
from kencore.explain import ExplainSpec, Explanation, open_explanation
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.jobs import JobStatus
    from kencore.runs.run import Run

POLL_SECONDS: Final = 0.4
AT_ONCE_BYTES: Final = 200e6  # models up to this size are asked without a click
_JOBS: Final = "kenviz_sentences"
EXAMPLES: Final = {
    "language": "The function returns a list of",
    "classification": "The food was good, but the service was slow.",
}


def example(run: Run) -> str:
    """A sentence to start with, of the kind that the model reads."""
    return EXAMPLES["language" if run.language else "classification"]


def small(run: Run) -> bool:
    """Whether a sentence takes a second or two, so that it needs no click."""
    return run.totals["bytes_dense"] <= AT_ONCE_BYTES


def ask(run: Run, text: str, *, block: int | None = None, key: str = "ask") -> Explanation | None:
    """What was found out about a sentence; while there is nothing yet, how far it is.

    The same run and text are one job: its result is found again in another tab or after a reload.
    What cannot be asked is said in place, and the page goes on.
    """
    try:
        return _ask(run, ExplainSpec(run=run.id, text=text, block=block), key)
    except KencoreError as error:
        state.show_error(error)
        return None


def _ask(run: Run, spec: ExplainSpec, key: str) -> Explanation | None:
    name = _request(run, spec)
    known: dict[str, str] = st.session_state.setdefault(_JOBS, {})
    if name not in known and not small(run) and st.session_state.get(f"{key}-may") != name:
        _big(run, name, key)
        return None
    job = _job(known, name, spec)
    if job.state == "succeeded":
        return _open(jobs.result(job.id))
    if job.live:
        st.fragment(_watch, run_every=POLL_SECONDS)(job.id, key)
    else:
        _ended(job, name, key)
    return None


def _job(known: dict[str, str], name: str, spec: ExplainSpec) -> JobStatus:
    """The job of a question; a new one where there is none or its result was removed."""
    if name in known:
        try:
            job = jobs.status(known[name])
            if job.state != "succeeded" or jobs.result(job.id).is_dir():
                return job
        except (JobNotFoundError, RunNotFoundError):  # the store keeps the newest results alone
            pass
    known[name] = submitting.sentence(spec, name)
    return jobs.status(known[name])


def _request(run: Run, spec: ExplainSpec) -> str:
    """Names the question: the run as it is now, and the text."""
    asked = ["explain", spec.to_json(), state.stamp(run.path)]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _big(run: Run, name: str, key: str) -> None:
    st.caption(
        f"This model is {wording.size(run.totals['bytes_dense'])}: loading and two or three passes take a while."
    )

    def may() -> None:
        st.session_state[f"{key}-may"] = name

    st.button("Ask the models", icon=":material/play_arrow:", on_click=may, key=f"{key}-big")


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
        st.session_state[_JOBS].pop(name, None)

    st.button("Ask again", icon=":material/refresh:", on_click=again, key=f"{key}-again")


def _open(folder: Path) -> Explanation:
    return _read(folder, (folder / "result.json").stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read(folder: Path, _when: int) -> Explanation:
    return open_explanation(folder)
