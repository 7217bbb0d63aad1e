"""The process of one attempt: takes it, runs its function, puts the result in place, tells how
it ended. What it cannot tell, because it was killed, the supervisor finds out.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kencore.errors import JobCancelled
from kencore.jobs import folders
from kencore.jobs.context import Context
from kencore.jobs.diary import tell_traceback
from kencore.jobs.kinds import Kind, find_kind
from kencore.jobs.records import State
from kencore.jobs.settings import WorkerSettings
from kencore.jobs.store import changes
from kencore.jobs.store.database import connected
from kencore.jobs.worker.conduct import UNTOLD, be_modest, leave, limit_threads
from kencore.jobs.worker.crew import Crew
from kencore.jobs.worker.failures import to_error
from kencore.jobs.worker.processes import end_own_family, own_handle
from kencore.jobs.worker.together import carry
from kencore.system import people

WRITE_TRIES = 5


def main(job: str, attempt: int, threads: int) -> int:
    """Run one attempt in this process; the exit code is 0 when its end is in the store."""
    be_modest()
    try:
        with connected() as connection:
            row = changes.attach(connection, job, attempt, own_handle())
            if row is None:
                return 0  # it was cancelled or given to another process meanwhile
            people.work_for(row["user"])
            with suppress(OSError):
                os.chdir(row["folder"])
            return _attempt(connection, row, threads)
    except Exception:  # noqa: BLE001 - the last frame of the process
        tell_traceback()
        return UNTOLD


def _attempt(connection: sqlite3.Connection, row: sqlite3.Row, threads: int) -> int:
    job, attempt = row["id"], row["attempt"]
    part = folders.part_folder(job, row["kind"], attempt)
    shared = folders.shared_folder(job, row["kind"])
    context = Context(connection, job, attempt, out=part / "out", threads=threads, shared=shared)
    state, error = _run(connection, row, context, part)
    if state != "succeeded":
        # first, since it may be what fills the disk
        folders.remove(part)
    end_own_family()  # here too, since nobody may be there to see this process end
    return 0 if _tell(connection, context, state, error) else UNTOLD


def _run(
    connection: sqlite3.Connection, row: sqlite3.Row, context: Context, part: Path
) -> tuple[State, Mapping[str, str] | None]:
    """Run the function and put its result in place: how it ended, and the error if it failed."""
    try:
        kind = find_kind(row["kind"])
        folders.make_part(part)
        state, error = _work(kind, row, context, part)
        if state != "succeeded":
            return state, error
        if not changes.runs_still(connection, context.job, context.attempt):
            return "cancelled", None
        folders.publish(part, folders.result_folder(context.job, row["kind"]))
    except JobCancelled:
        return "cancelled", None
    except BaseException as failure:  # noqa: BLE001 - a job may raise anything
        tell_traceback()
        # a library may have wrapped what stopped it
        return ("cancelled", None) if context.cancelled else ("failed", to_error(failure))
    return "succeeded", None


def _work(kind: Kind, row: sqlite3.Row, context: Context, part: Path) -> tuple[State, Mapping[str, str] | None]:
    """Do the work here, or have pieces of it done by processes beside this one."""
    params = json.loads(row["params"])
    most = WorkerSettings.from_environment().pieces
    shares = kind.split(params, most, row["folder"])
    if len(shares) > 1:
        crew = Crew.begin(part, dict(row), shares, context)
        state, error = carry(crew)
        if state == "succeeded":
            crew.gather()
        return state, error
    limit_threads(context.threads)
    kind.load()(params, context)
    return "succeeded", None


def _tell(connection: sqlite3.Connection, context: Context, state: State, error: Mapping[str, str] | None) -> bool:
    """Write the last progress and the end to the store; False if it could not be written."""
    for _ in range(WRITE_TRIES):
        try:
            context.flush()
            changes.settle(connection, context.job, context.attempt, state, error)
        except sqlite3.OperationalError:
            tell_traceback()
            time.sleep(0.2)
        else:
            return True
    return False


if __name__ == "__main__":
    leave(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
