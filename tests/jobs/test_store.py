"""A store that cannot be written, is full, damaged, or of another version."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kencore import jobs
from kencore.errors import SchemaError, StoreNotWritableError
from kencore.jobs.store.database import connected, database_path
from kencore.jobs.worker.interpreter import environment
from kencore.system.locks import FileLock, locked

from .conftest import settle_in
from .helpers import finished, gone, half_written, run, supervisor


@pytest.mark.parametrize("place", ["file/below", "/proc/kenviz", "file"])
def test_a_store_that_cannot_be_made_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / place))
    for call in (lambda: jobs.submit("selftest", {}), jobs.warm):
        with pytest.raises(StoreNotWritableError) as caught:
            call()
        assert "KENVIZ_HOME" in caught.value.remedy
    assert jobs.list_jobs() == []


def test_folders_are_private(own: Path) -> None:
    run({})
    for folder in ("jobs", "jobs/logs", "results"):
        assert (own / folder).stat().st_mode & 0o777 == 0o700
    for file in ("jobs.sqlite3", "supervisor.lock"):
        assert (own / "jobs" / file).stat().st_mode & 0o077 == 0


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all\n" * 500)


def _holes(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (size - 100))


def _no_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TABLE jobs; DROP TABLE events;")
    connection.close()


@pytest.mark.parametrize("damage", [_garbage, _holes, _no_tables])
def test_a_damaged_store_says_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    settle_in(monkeypatch, home)
    job = run({}).id
    jobs.shutdown()
    damage(database_path())
    calls: list[Callable[[], object]] = [
        lambda: jobs.submit("selftest", {}),
        lambda: jobs.status(job),
        lambda: jobs.events(job),
        lambda: jobs.cancel(job),
        lambda: jobs.result(job),
        lambda: jobs.log(job),
        jobs.list_jobs,
    ]
    for call in calls:
        with pytest.raises(StoreNotWritableError, match="damaged") as caught:
            call()
        assert str(database_path()) in str(caught.value)
    assert (home / "results" / job / "result.json").exists()
    database_path().unlink()
    for left in database_path().parent.glob("jobs.sqlite3-*"):
        left.unlink()
    assert run({}).state == "succeeded"
    jobs.shutdown()


def test_a_store_of_a_newer_version_is_left_alone(home: Path) -> None:
    with connected(make=True) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = database_path().read_bytes()
    for call in (lambda: jobs.submit("selftest", {}), jobs.list_jobs):
        with pytest.raises(SchemaError, match=r"schema 99, made by a newer KEN_viz") as caught:
            call()
        assert str(database_path()) in str(caught.value)
    assert database_path().read_bytes() == before


def test_a_full_disk_fails_the_job_with_a_remedy(store: Path) -> None:
    failed = run({"disk_full": True, "write": {"half": 1000}})
    assert failed.error is not None
    assert failed.error["type"] == "StoreNotWritableError"
    assert failed.error["got"] == "no space left on device"
    assert half_written(store) == []


@pytest.fixture
def file_limit() -> Iterator[None]:
    """No file of a process started meanwhile may grow above 1 MB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_cannot_grow_fails_the_job(own: Path, file_limit: None) -> None:
    failed = run({"write": {"small": 1000, "large": 2**23}})
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["type"] == "StoreNotWritableError"
    assert half_written(own) == []
    assert list((own / "results").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 4 MB that holds the store."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], capture_output=True
    ).returncode
    if mounted != 0:
        pytest.skip("mounting a small disk is not permitted here")
    settle_in(monkeypatch, folder)
    yield folder
    for file in folder.glob("filler*"):
        file.unlink()
    jobs.shutdown()
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount a disk")
def test_a_small_disk_runs_full_and_is_usable_again(small_disk: Path) -> None:
    failed = run({"write": {"a": 2**20, "b": 2**23}})
    assert failed.error is not None
    assert failed.error["type"] == "StoreNotWritableError"
    assert half_written(small_disk) == []
    _fill(small_disk)
    with pytest.raises(StoreNotWritableError):
        _submit_until_refused()
    assert jobs.status(failed.id).state == "failed"
    (small_disk / "filler").unlink()
    assert finished(jobs.submit("selftest", {"write": {"c": 1000}})).state == "succeeded"


def _submit_until_refused() -> None:
    for _ in range(1000):  # until the room inside the database is used up
        jobs.submit("selftest", {"bug": "x" * 10_000})


def _fill(folder: Path) -> None:
    size = 2**20
    with (folder / "filler").open("wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def test_a_lock_is_held_by_one_and_freed_by_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from kencore.system.locks import FileLock;"
        f" lock = FileLock(Path({str(path)!r})); print(lock.acquire(), flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment())
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    lock = FileLock(path)
    assert not lock.acquire()
    with pytest.raises(TimeoutError), locked(path, seconds=0.05):
        pass
    holder.kill()
    holder.communicate()
    assert lock.acquire()
    lock.release()
    lock.release()
    with locked(path, seconds=0.05):
        assert not lock.acquire()


def test_the_store_may_vanish_under_an_idle_supervisor(own: Path) -> None:
    run({})
    first = supervisor()
    shutil.rmtree(own / "jobs")
    assert jobs.list_jobs() == []
    assert run({}).state == "succeeded"
    assert gone(first)
