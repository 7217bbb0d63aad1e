"""The job store's file: one SQLite database in WAL mode, private to the user.

Every process opens its own short-lived connection; the database keeps the order. WAL needs a
local disk: a network folder is no place for the store.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from kencore.errors import StoreBusyError, StoreNotWritableError
from kencore.system import schema
from kencore.system.locks import locked
from kencore.system.places import home, jobs_folder, not_writable

BUSY_SECONDS = 20.0
MAKING_SECONDS = 30.0
EMPTY = 0  # the version that SQLite gives a new file
TABLES = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    params TEXT NOT NULL,
    user TEXT NOT NULL,
    gpus REAL NOT NULL,
    request_key TEXT,
    folder TEXT NOT NULL,              -- working folder of who submitted it
    state TEXT NOT NULL DEFAULT 'queued',
    done REAL NOT NULL DEFAULT 0,
    total REAL NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    seconds_left REAL,
    updated REAL,                      -- when the line above was written
    error TEXT,
    attempt INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0, -- attempts that ended without a word
    handle TEXT,                       -- process of the running attempt, written by itself
    cancel_asked REAL,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    device TEXT NOT NULL DEFAULT ''
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_user ON jobs (user, started);
-- one job for an impatient double click; a failed or cancelled job frees its key
CREATE UNIQUE INDEX jobs_by_key ON jobs (user, request_key)
    WHERE request_key IS NOT NULL AND state NOT IN ('failed', 'cancelled');
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX events_by_job ON events (job, seq);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def database_path() -> Path:
    """Where the database is, made or not."""
    return home() / "jobs" / "jobs.sqlite3"


@contextmanager
def connected(*, make: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection in autocommit mode, closed at the end; ``make`` makes a missing store.

    Raises:
        SchemaError: the store is of a newer version, or of one that is too old.
        StoreNotWritableError: the store is damaged, full, or cannot be made or opened.
        FileNotFoundError: there is no store and ``make`` is off.
    """
    path = database_path()
    if make:
        jobs_folder()
    elif not path.exists():
        raise FileNotFoundError(path)
    with plain_errors(path):
        connection = _opened(path, read_only=not make and _read_only(path))
        try:
            yield connection
        finally:
            connection.close()


def _opened(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection that is set up; to a store that cannot be written one that only reads, and locks nothing."""
    if read_only:
        # what lies in a log beside the file, of a process that was killed, is not seen: reading it takes writing
        where = f"file:{quote(str(path))}?mode=ro&immutable=1"
        connection = sqlite3.connect(where, uri=True, isolation_level=None)
    else:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        if not read_only:
            connection.execute("PRAGMA synchronous = NORMAL")
        _set_up(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _read_only(path: Path) -> bool:
    return not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Hold the write lock: all of the block is written, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file into one a person can mend.

    Raises:
        StoreNotWritableError: as said.
    """
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise  # a fault of ours
    except sqlite3.OperationalError as error:
        if "no such" in str(error) or "syntax" in str(error):
            raise _damaged(path, str(error)) from error
        if "locked" in str(error) or "busy" in str(error):
            raise _busy(path, BUSY_SECONDS) from error
        raise not_writable(path.parent, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def _busy(path: Path, seconds: float) -> StoreBusyError:
    return StoreBusyError(
        f"The job store {path}",
        got=f"another process has held it for {seconds:g} seconds",
        wanted="a store that answers",
        remedy="Try again in a moment. If it stays so, end the program that has the file open.",
    )


def _damaged(path: Path, reason: str) -> StoreNotWritableError:
    return StoreNotWritableError(
        f"The job store {path}",
        got=f"a damaged file ({reason})",
        wanted="a database of jobs",
        remedy="Move it away: a new one is made, and finished runs are not touched.",
    )


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty database; bring one of an older version to the current one.

    Raises:
        SchemaError: the database is of a newer version, or of one that is too old.
        StoreNotWritableError: it cannot be written.
    """
    version = _version(connection)
    if version == schema.current("jobs"):
        return
    if version != EMPTY:
        _steps(version, path)  # a newer store is refused before anything of it is locked
    try:
        # two processes at one file: only one may switch it to WAL, make the tables or migrate them
        with locked(path.with_name("making.lock"), seconds=MAKING_SECONDS):
            if _version(connection) == EMPTY:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN IMMEDIATE; {TABLES} {_stamp()}; COMMIT;")
                path.chmod(0o600)
            _migrate(connection, path)
    except TimeoutError as error:
        raise _busy(path, MAKING_SECONDS) from error
    except OSError as error:
        raise not_writable(path.parent, error) from error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """All steps from the file's version to the current one are written, or none of them."""
    with transaction(connection):
        for step in _steps(_version(connection), path):  # another process may have been quicker
            step(connection)
        connection.execute(_stamp())


def _steps(version: int, path: Path) -> list[schema.Migration]:
    return schema.steps("jobs", f"The job store {path}", version)


def _stamp() -> str:
    return f"PRAGMA user_version = {schema.current('jobs')}"


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
