"""What the tests of the worker share: waiting, and looking at processes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from kencore import jobs
from kencore.jobs.records import JobStatus
from kencore.jobs.store import queries
from kencore.jobs.store.database import connected

T = TypeVar("T")
PATIENCE = 120.0  # only how long a broken test hangs


def until(found: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """What ``found`` gives as soon as it gives something."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def finished(job: str, patience: float = PATIENCE) -> JobStatus:
    """The status of the job once it has ended."""
    until(lambda: not jobs.status(job).live, f"the end of {job}: {jobs.status(job)}", patience)
    return jobs.status(job)


def run(params: dict[str, Any], **options: Any) -> JobStatus:
    """Submit a self-test and wait for its end."""
    return finished(jobs.submit("selftest", params, **options))


def kinds_of(job: str) -> Counter[str]:
    """How many events of each kind the job has."""
    return Counter(e.kind for e in jobs.events(job))


def event(job: str, kind: str, attempt: int = 1) -> dict[str, Any]:
    """The data of an event of that kind and attempt, once it is there."""

    def found() -> list[jobs.Event]:
        return [e for e in jobs.events(job) if (e.kind, e.attempt) == (kind, attempt)]

    return until(found, f"{kind} of {job}")[0].data


def worker(job: str, attempt: int = 1) -> psutil.Process:
    """The process of an attempt."""
    return psutil.Process(event(job, "process", attempt)["pid"])


def supervisor() -> psutil.Process:
    """The process of the store's supervisor, once it is noted."""

    def found() -> str | None:
        with connected() as connection:
            return queries.note(connection, "supervisor")

    return psutil.Process(int(until(found, "a supervisor").split(":")[0]))


def processes_of(store: Path, module: str) -> list[psutil.Process]:
    """The store's processes that were started to run a module of the worker."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                module in process.cmdline()
                and process.environ().get("KENVIZ_HOME") == str(store)
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(*processes: psutil.Process) -> bool:
    """Whether the processes end; what nobody waits for counts as ended."""

    def ended() -> bool:
        return not any(_runs(process) for process in processes)

    return until(ended, f"the end of {processes}")


def half_written(home: Path) -> list[Path]:
    """What lies in the store that is no finished result."""
    return [path for shelf in ("runs", "results") for path in (home / shelf).glob(".*")]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
