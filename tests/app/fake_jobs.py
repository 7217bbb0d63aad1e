"""The jobs API in memory, for tests of pages: nothing is run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kencore import jobs
from kencore.errors import JobNotFoundError
from kencore.jobs import Event, JobStatus
from kencore.jobs.kinds import find_kind


class FakeJobs:
    """The jobs API in memory; jobs stay as they are until a test changes them."""

    def __init__(self, results: Path) -> None:
        self.found: dict[str, JobStatus] = {}
        self.keys: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.told: list[Event] = []
        self.results = results

    def submit(self, kind: str, params: dict[str, Any], *, gpus: float = 0.0, request_key: str | None = None) -> str:
        find_kind(kind).check(params)
        known = self.keys.get(request_key or "")
        if known:
            return known
        job = JobStatus(
            id=f"job{len(self.found)}",
            kind=kind,
            params=dict(params),
            state="queued",
            done=0,
            total=0,
            message="Waiting",
            seconds_left=None,
            error=None,
            attempt=0,
            created=time.time(),
            started=None,
            finished=None,
            device="",
            user="local",
            cancelling=False,
        )
        self.found[job.id] = job
        if request_key:
            self.keys[request_key] = job.id
        return job.id

    def find(self, request_key: str, **_: Any) -> str | None:
        return self.keys.get(request_key)

    def status(self, job: str) -> JobStatus:
        if job not in self.found:
            raise JobNotFoundError(job, got="no job", wanted="a job", remedy="Look it up.")
        return self.found[job]

    def change(self, job: str, **fields: Any) -> None:
        self.found[job] = replace(self.found[job], **fields)

    def cancel(self, job: str) -> None:
        self.cancelled.append(job)
        self.change(job, state="cancelled", finished=time.time())

    def result(self, job: str) -> Path:
        return self.results / job

    def answer(self, job: str) -> dict[str, Any]:
        self.status(job)
        return jobs.answer_in(self.result(job))

    def list_jobs(self, *, limit: int = 100, **_: Any) -> list[JobStatus]:
        return list(reversed(self.found.values()))[:limit]

    def tell(self, job: str, kind: str, data: dict[str, Any], attempt: int = 1) -> None:
        """An event, as a worker leaves it."""
        event = Event(seq=len(self.told) + 1, job=job, attempt=attempt, time=time.time(), kind=kind, data=data)
        self.told.append(event)

    def events(self, job: str, after: int = 0, *, limit: int = 1000) -> list[Event]:
        self.status(job)
        return [event for event in self.told if event.job == job and event.seq > after][:limit]

    def ahead(self, job: str) -> list[JobStatus]:
        self.status(job)
        earlier = list(self.found.values())[: list(self.found).index(job)]
        return [one for one in earlier if one.live]

    def log(self, job: str) -> str:
        return f"log of {job}"

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
        """Put this store in the place of the real one."""
        for name in ("submit", "find", "status", "cancel", "result", "answer", "list_jobs", "log", "events", "ahead"):
            monkeypatch.setattr(jobs, name, getattr(self, name))
        return self
