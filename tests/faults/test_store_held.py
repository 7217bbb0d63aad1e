"""A job store that another process holds, and a store that may only be read."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kencore import jobs
from kencore.errors import StoreBusyError
from kencore.jobs.store import changes, database
from kencore.jobs.store.database import connected, database_path
from kencore.jobs.worker.interpreter import environment
from kencore.system.locks import locked
from kencore.system.places import assets_folder, home, runs_folder


def some_job() -> str:
    with connected(make=True) as connection:
        return changes.add(connection, kind="report", params="{}", user="local", gpus=0, request_key=None, folder="/")


def test_a_store_that_is_held_says_so_and_nothing_of_disk_space(monkeypatch: pytest.MonkeyPatch) -> None:
    job = some_job()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(database_path(), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StoreBusyError, match="another process has held it for") as caught:
            jobs.cancel(job)
        assert "space" not in str(caught.value)
    finally:
        holder.close()
    assert jobs.status(job).id == job


def test_a_store_that_another_process_makes_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAKING_SECONDS", 0.05)
    folder = home() / "jobs"
    folder.mkdir(parents=True)
    with locked(folder / "making.lock"), pytest.raises(StoreBusyError, match="held it"), connected(make=True):
        pass


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store with a run, a job and a sweep that belongs to somebody else."""
    place = Path(tempfile.mkdtemp(prefix="kenviz-read-only-"))
    monkeypatch.setenv("KENVIZ_HOME", str(place / "store"))
    shutil.copytree(assets_folder() / "demo" / "run", runs_folder() / "mine")
    some_job()
    with connected() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in [place, *place.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield place / "store"
    for path in [place, *(path for path in place.rglob("*") if path.is_dir())]:
        path.chmod(0o755)
    shutil.rmtree(place)


LOOK = """
import ctypes, os
if os.geteuid() == 0:  # without its powers root is held by modes as anybody else
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, none) == 0
import kencore
from kencore import jobs, PruneSpec
from kencore.errors import StoreNotWritableError
from kencore.runs.run import open_run
from kencore.runs.shelf import delete_run, find_stored_run, list_runs, run_folder
from kencore.sweeps.shelf import list_sweeps
print(sorted(run.id for run in list_runs() if not run.problem))
print(open_run("mine").totals == open_run("demo").totals, find_stored_run("mine").name, list_sweeps())
print([job.kind for job in jobs.list_jobs()], jobs.status(jobs.list_jobs()[0].id).state)
for write in (
    lambda: jobs.submit("report", {"run": "mine"}),
    lambda: delete_run("mine"),
    lambda: run_folder(PruneSpec(model="demo", keep=0.5), None),
):
    try:
        write()
    except StoreNotWritableError as error:
        print("refused:", error.got)
"""


def test_a_store_that_may_only_be_read_shows_everything(read_only: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("root's powers are taken away as Linux does it")
    told = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, env=environment(), check=False)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0] == "['demo', 'demo-lm', 'mine']"
    assert lines[1] == "True mine []"
    assert lines[2] == "['report'] queued"
    assert len([line for line in lines if line.startswith("refused:")]) == 3, lines
    assert [path.name for path in (read_only / "runs").iterdir()] == ["mine"]


def test_a_store_that_is_not_there_is_looked_at_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore.runs.shelf import list_runs
    from kencore.sweeps.shelf import list_sweeps

    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "none"))
    assert {run.id for run in list_runs()} == {"demo", "demo-lm"}
    assert list_sweeps() == []
    assert jobs.list_jobs() == []
    assert not (tmp_path / "none").exists()
