"""Settings that were tried in this session: each is one job, whose run can be kept.

The list is the session's; the jobs are the store's, so that a reload or a second tab finds the
same job for the same setting.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.jobs import submit as submitting
from kencore import jobs
from kencore.errors import JobNotFoundError, KencoreError
from kencore.live import setting as retune
from kencore.settings.demo import data_of
from kencore.settings.together import HARMS

if TYPE_CHECKING:
    from kencore.jobs import JobStatus
    from kencore.live.setting import Setting
    from kencore.runs.run import Run

MOST: Final = 10
SMALL: Final = 20_000_000  # parameters up to which a rest of the sliders is measured unasked
_TRIED: Final = "kenviz_tune_tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One setting that was given to a worker."""

    run: str
    setting: str
    job: str


def tried(run: Run) -> list[Tried]:
    """The last settings of a run, the oldest first."""
    found: list[Tried] = st.session_state.setdefault(_TRIED, [])
    return [one for one in found if one.run == run.id][-MOST:]


def find(run: Run, setting: Setting) -> Tried | None:
    """The job of a setting, if it was tried."""
    return next((one for one in tried(run) if one.setting == setting.text), None)


def params(run: Run, setting: Setting) -> dict[str, Any]:
    """The settings of the job: the run's own at this setting, measured on the same data.

    Raises:
        SpecError: a setting that the run cannot have.
    """
    spec = retune.check(run, setting)
    data = spec.evaluation or data_of(spec.model)
    if spec.coded and spec.evaluation is None and spec.harm == HARMS[0]:
        spec = replace(spec, harm="rule")  # as the run itself, which was made without data
    found: dict[str, Any] = json.loads(replace(spec, evaluation=data, baselines=False).to_json())
    return found


def measure(run: Run, setting: Setting) -> str:
    """Give a setting to the worker; older ones of this run that are not done are cancelled.

    Raises:
        KencoreError: a setting that cannot be, or a store that cannot be written.
    """
    known = find(run, setting)
    if known is not None and _usable(known.job):
        return known.job
    job = submitting.retune(params(run, setting))
    for older in tried(run):
        if older.job != job and (found := status(older.job)) is not None and found.live:
            jobs.cancel(older.job)
    every: list[Tried] = st.session_state.setdefault(_TRIED, [])
    every[:] = [one for one in every if (one.run, one.setting) != (run.id, setting.text)]
    every.append(Tried(run=run.id, setting=setting.text, job=job))
    return job


def status(job: str) -> JobStatus | None:
    """The job, if the store still has it."""
    try:
        return jobs.status(job)
    except JobNotFoundError:
        return None


def _usable(job: str) -> bool:
    found = status(job)
    return found is not None and (found.live or found.state == "succeeded") and not found.cancelling


def result(job: str) -> dict[str, Any] | None:
    """What a finished job found: ``metrics`` and ``totals``; ``None`` where it is not there."""
    try:
        return jobs.answer(job)
    except KencoreError:
        return None
