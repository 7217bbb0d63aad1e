"""Submit, watch and cancel jobs. Light: what runs a job is never imported here.

Jobs belong to the store (`kencore.system.places`), not to the process that submitted them: any process
of the user sees them, and they outlive it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kencore.errors import DeviceNotFoundError, JobKindError, NotAllowedError, RunNotFoundError, StoreNotWritableError
from kencore.jobs import folders
from kencore.jobs.kinds import find_kind, is_question
from kencore.jobs.limits import Limits
from kencore.jobs.records import Event, JobStatus
from kencore.jobs.settings import WorkerSettings
from kencore.jobs.store import changes, queries
from kencore.jobs.store.database import connected, transaction
from kencore.jobs.worker import processes, spawn
from kencore.system import people

MOST_PARAMS = 2**20
PATIENCE_SECONDS = 15.0


def submit(
    kind: str, params: Mapping[str, Any], *, user: str | None = None, gpus: float = 0.0, request_key: str | None = None
) -> str:
    """Queue a job and return its id; start the supervisor if there is none.

    Args:
        kind: a name in `kencore.jobs.kinds.KINDS`, or one that another package adds.
        params: plain JSON values; what can be checked without a model is checked here.
        user: whose job it is: users take turns. By default who looks, see `kencore.system.people`.
        gpus: CUDA cards to reserve (a fraction shares one); the job waits until they are free.
        request_key: the same key of the same user gives the same job, until it has failed or was
            cancelled, or its result was removed: an impatient second click is not a second job.

    Raises:
        JobKindError: no such kind, or parameters that do not fit it.
        SpecError: settings of the job, or of the worker, that cannot work.
        DeviceNotFoundError: more cards than the machine has.
        NotAllowedError: people are told apart, and this one is not known, or asks for another.
        LimitError: they have as much work as they may.
        StoreNotWritableError: the store is full, damaged or cannot be written.
    """
    user = _user(user)
    settings = WorkerSettings.from_environment()
    text = _checked(kind, params)
    _check_gpus(gpus, float("inf") if settings.ray else settings.gpus)  # what a cluster has the supervisor knows
    limited = people.viewer() is not None
    stored = _stored(user) if limited else 0
    with connected(make=True) as connection:
        with transaction(connection):
            job = _same_request(connection, user, request_key)
            if job is None:
                if limited:
                    Limits.from_environment().check(connection, user, stored)
                people.tell("start", kind=kind)
                job = changes.add(
                    connection,
                    kind=kind,
                    params=text,
                    user=user,
                    gpus=float(gpus),
                    request_key=request_key,
                    folder=str(Path.cwd()),
                )
            start = spawn.must_start(connection)
        if start:
            spawn.start()
    return job


def find(request_key: str, *, user: str | None = None) -> str | None:
    """The job that `submit` would give for this request without making one; ``None`` where there is none.

    Raises:
        StoreNotWritableError: the store is damaged or cannot be opened.
    """
    try:
        with connected() as connection:
            row = queries.find_by_key(connection, _user(user), request_key)
    except FileNotFoundError:
        return None
    if row is None or (row["state"] == "succeeded" and not folders.result_folder(row["id"], row["kind"]).is_dir()):
        return None
    return str(row["id"])


def status(job: str) -> JobStatus:
    """The job as it is now: one SELECT.

    A live job whose supervisor died gets a new one, so whoever watches a job keeps it going.

    Raises:
        JobNotFoundError: no such job.
        StoreNotWritableError: the store is damaged or cannot be opened.
    """
    with _reading(job) as connection:
        row = _find(connection, job)
        found = queries.to_status(row)
        if found.live and not spawn.has_supervisor(row["supervisor"]):
            # looking works on a full disk too
            with suppress(sqlite3.OperationalError, StoreNotWritableError):
                _ensure_supervisor(connection)
            if time.time() - found.created > PATIENCE_SECONDS and found.state == "queued":
                return replace(found, message=f"The worker does not start: see {spawn.log_path()}")
    return found


def ahead(job: str) -> list[JobStatus]:
    """What a queued job waits for: jobs that run, then queued ones that start before it. Empty once it runs.

    A question waits for other questions alone. Of other people's jobs nothing is told but their kind.

    Raises:
        JobNotFoundError: the store has no such job.
        StoreNotWritableError: the store is damaged.
    """
    with _reading(job) as connection:
        found = _find(connection, job)
        if found["state"] != "queued":
            return []
        queue = queries.in_fair_order(connection)
        place = next((i for i, row in enumerate(queue) if row["id"] == job), len(queue))
        before = [*queries.running(connection), *queue[:place]]
        if is_question(found["kind"]):
            before = [row for row in before if is_question(row["kind"])]
        return [_veiled(queries.to_status(row)) for row in before]


def events(job: str, after: int = 0, *, limit: int = 1000) -> list[Event]:
    """What happened to the job after the event whose ``seq`` is ``after``, in order.

    Raises as `status`.
    """
    with _reading(job) as connection:
        _find(connection, job)
        found = queries.events_after(connection, job, after, limit)
    return [queries.to_event(row) for row in found]


def cancel(job: str) -> None:
    """Ask the job to end: at once if it is queued, within two seconds if it runs.

    Its memory is freed and its half-written files are removed. Harmless for a finished job.
    Raises as `status`.
    """
    with _reading(job) as connection:
        _find(connection, job)
        people.tell("cancel", job=job)
        changes.ask_cancel(connection, job)
        if queries.to_status(queries.find(connection, job)).live:
            _ensure_supervisor(connection)


def result(job: str) -> Path:
    """The finished job's folder: a run for ``prune``, else one with ``result.json``.

    Raises:
        JobNotFoundError: no such job.
        RunNotFoundError: the job has not succeeded, or its result was removed.
    """
    with _reading(job) as connection:
        row = _find(connection, job)
    folder = folders.result_folder(job, row["kind"])
    gone = row["state"] == "succeeded" and not folder.is_dir()
    if row["state"] != "succeeded" or gone:
        raise RunNotFoundError(
            f"Result of job {job}",
            got="it was removed" if gone else f"a job that is {row['state']}",
            wanted="a job that succeeded",
            remedy="Submit it again." if gone else "Look at its status.",
        )
    return folder


def answer(job: str) -> dict[str, Any]:
    """What a finished job said: the object in its ``result.json``.

    Raises:
        JobNotFoundError, RunNotFoundError: as `result`.
        CorruptRunError: it cannot be read.
    """
    return folders.answer_in(result(job))


def log(job: str, *, limit: int = 65536) -> str:
    """The last ``limit`` bytes of what the job printed, faults' tracebacks included.

    Raises as `status`.
    """
    with _reading(job) as connection:
        _find(connection, job)
    try:
        with folders.log_file(job).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - limit))
            return file.read(limit).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def list_jobs(*, user: str | None = None, kind: str | None = None, limit: int = 100) -> list[JobStatus]:
    """The newest jobs first, of one user or kind where given. An absent store has none.

    Where people are told apart, those of who looks alone.

    Raises:
        StoreNotWritableError: the store is damaged or cannot be opened.
    """
    who = people.viewer()
    user = user if who is None else who
    try:
        with connected() as connection:
            return [queries.to_status(r) for r in queries.newest(connection, user, kind, limit)]
    except FileNotFoundError:
        return []


def warm() -> None:
    """Start the supervisor now, so that torch is loaded by the time a job is submitted.

    Raises:
        StoreNotWritableError: the store is full, damaged or cannot be written.
    """
    with connected(make=True) as connection:
        _ensure_supervisor(connection)


def shutdown(*, seconds: float = 10.0) -> None:
    """Cancel all jobs of the store and end its supervisor; for tests and for uninstalling.

    Raises:
        StoreNotWritableError: the store is damaged or cannot be opened.
    """
    try:
        with connected() as connection:
            _stop(connection, time.monotonic() + seconds)
    except FileNotFoundError:
        return


def _stop(connection: sqlite3.Connection, deadline: float) -> None:
    for job in queries.live_ids(connection):
        cancel(job)
    while queries.count_live(connection) and time.monotonic() < deadline:
        time.sleep(0.02)
    handle = queries.note(connection, "supervisor")
    if handle is None:
        return
    changes.set_note(connection, "stop", "1")
    while processes.is_alive(handle) and time.monotonic() < deadline:
        time.sleep(0.02)
    processes.end(handle, kill=True)


def _ensure_supervisor(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        start = spawn.must_start(connection)
    if start:
        spawn.start()


def _same_request(connection: sqlite3.Connection, user: str, key: str | None) -> str | None:
    """The job this request is a repetition of, if it is one."""
    row = queries.find_by_key(connection, user, key) if key is not None else None
    if row is None:
        return None
    if row["state"] == "succeeded" and not folders.result_folder(row["id"], row["kind"]).is_dir():
        changes.free_key(connection, row["id"])
        return None
    return str(row["id"])


def _checked(kind: str, params: Mapping[str, Any]) -> str:
    """The parameters as JSON, after the kind's own check."""
    known = find_kind(kind)
    try:
        text = json.dumps(dict(params), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _bad_params(kind, str(error)) from None
    if len(text) > MOST_PARAMS:
        raise _bad_params(kind, f"{len(text)} characters")
    # as the worker will see them: tuples are lists there
    known.check(json.loads(text))
    return text


def _bad_params(kind: str, got: str) -> JobKindError:
    return JobKindError(
        f"Parameters of the job {kind}",
        got=got,
        wanted="a mapping of names to plain JSON values, up to a million characters",
        remedy="Pass text, numbers, true or false, lists and mappings of these.",
    )


def _check_gpus(wanted: float, present: float) -> None:
    if not 0 <= wanted < float("inf"):
        raise JobKindError("gpus", got=repr(wanted), wanted="a number from 0 up", remedy="Pass 0 for none.")
    if wanted > present:
        raise DeviceNotFoundError(
            "gpus",
            got=f"a machine with {present:g} CUDA cards for jobs",
            wanted=f"{wanted:g}",
            remedy="Ask for fewer, or set KENVIZ_GPUS if there are more.",
        )


def _user(asked: str | None) -> str:
    """Whose job one is.

    Raises:
        NotAllowedError: people are told apart, and this one is not known, or asks for another.
    """
    who = people.viewer()
    if who is None:
        return people.LOCAL if asked is None else asked
    if who in (people.NOBODY, people.LOCAL) or asked not in (None, who):
        raise NotAllowedError(
            "A job",
            got="nobody who is known" if asked is None else f"another's name ({asked})",
            wanted="a person of this server",
            remedy="Sign in again.",
        )
    return who


def _stored(user: str) -> int:
    from kencore.runs.shelf import bytes_of

    return bytes_of(user)


def _find(connection: sqlite3.Connection, job: str) -> sqlite3.Row:
    """The line of a job that who looks may see: their own.

    Raises:
        JobNotFoundError: there is none.
    """
    row = queries.find(connection, job)
    if not people.may_see(row["user"]):
        raise queries.no_such_job(job)
    return row


def _veiled(job: JobStatus) -> JobStatus:
    """Of somebody else's job: that there is one, of what kind, and how long it will take."""
    if people.may_see(job.user):
        return job
    return replace(job, id="", params={}, message="", error=None, user="")


@contextmanager
def _reading(job: str) -> Iterator[sqlite3.Connection]:
    try:
        with connected() as connection:
            yield connection
    except FileNotFoundError:
        raise queries.no_such_job(job) from None
