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
from typing import NoReturn

from kencore.errors import JobCancelled
from kencore.jobs import folders
from kencore.jobs.context import Context
from kencore.jobs.diary import tell_traceback
from kencore.jobs.kinds import find_kind
from kencore.jobs.records import State
from kencore.jobs.store import changes
from kencore.jobs.store.database import connected
from kencore.jobs.worker.failures import to_error
from kencore.jobs.worker.processes import end_own_family, own_handle
from kencore.system import people

UNTOLD = 74  # exit code: the end could not be written to the store (EX_IOERR)
WRITE_TRIES = 5
NICENESS = 5


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
    context = Context(connection, job, attempt, out=part / "out", threads=threads)
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
        limit_threads(context.threads)
        function = kind.load()
        function(json.loads(row["params"]), context)
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


def limit_threads(threads: int) -> None:
    """Share the cores with the jobs beside this one, unless the user's environment says how."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    if numba := sys.modules.get("numba"):
        # not by its variable, which it does not let change once it is loaded
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ.setdefault("NUMBA_NUM_THREADS", str(threads))


def be_modest() -> None:
    """Let the app go first, and have Linux kill this job rather than it when memory runs out."""
    with suppress(OSError, AttributeError):  # Windows has no nice
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def leave(code: int) -> NoReturn:
    """End this process at once: a thread that a library left behind must not keep it."""
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
