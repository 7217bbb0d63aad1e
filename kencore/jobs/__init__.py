"""The worker engine: submit a job, watch it, cancel it, fetch its result.

A job is one process in a session of its own. A supervisor process, started by the first job and
gone when there is nothing to do, starts and ends them; one SQLite file keeps jobs and events.
Importing this package imports none of what runs jobs: no torch, no pandas.

On Windows a job's process is ended with its descendants instead of its session, and torch is
loaded anew for each job.
"""

from __future__ import annotations

from kencore.jobs.api import ahead, answer, cancel, events, find, list_jobs, log, result, shutdown, status, submit, warm
from kencore.jobs.folders import answer_in
from kencore.jobs.records import Event, JobStatus

__all__ = [
    "Event",
    "JobStatus",
    "ahead",
    "answer",
    "answer_in",
    "cancel",
    "events",
    "find",
    "list_jobs",
    "log",
    "result",
    "shutdown",
    "status",
    "submit",
    "warm",
]
