"""Starting the supervisor when a job needs one and none is there."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from pathlib import Path

from kencore.jobs.store import changes, queries
from kencore.jobs.worker.interpreter import command, environment
from kencore.jobs.worker.processes import is_alive
from kencore.system.places import home, jobs_folder, not_writable

START_SECONDS = 5.0  # so long a supervisor that was started may take to be noted
LOG_NAME = "supervisor.log"
LOG_BYTES = 2**20


def must_start(connection: sqlite3.Connection) -> bool:
    """Whether the caller is to start the supervisor; call it inside a transaction.

    At most one caller in a few seconds is told so, however many ask.
    """
    if has_supervisor(queries.note(connection, "supervisor")):
        return False
    starting = queries.note(connection, "starting")
    now = time.time()
    if starting is not None and 0 <= now - float(starting) < START_SECONDS:
        return False
    changes.set_note(connection, "starting", repr(now))
    return True


def has_supervisor(handle: str | None) -> bool:
    """Whether the noted supervisor is there and alive."""
    return handle is not None and is_alive(handle)


def log_path() -> Path:
    """What supervisors print; nothing is made."""
    return home() / "jobs" / LOG_NAME


def start() -> None:
    """Start a supervisor in a session of its own; it outlives this process.

    Raises:
        StoreNotWritableError: it cannot be started.
    """
    jobs_folder()
    path = log_path()
    try:
        process = _start(path)
    except OSError as error:
        raise not_writable(path.parent, error) from error
    # without somebody who waits, an ended supervisor stays a zombie as long as this process lives
    threading.Thread(target=process.wait, daemon=True, name="supervisor").start()


def _start(path: Path) -> subprocess.Popen[bytes]:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.unlink()
    with path.open("ab") as log:
        return subprocess.Popen(
            command("kencore.jobs.worker.supervisor"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
            start_new_session=True,
        )
