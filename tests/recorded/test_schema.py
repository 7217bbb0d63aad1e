"""Stores of other versions: what is older is migrated whole or not at all, what is newer is refused in words."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from kencore import jobs, open_run
from kencore.cli.main import app
from kencore.errors import CorruptRunError, SchemaError
from kencore.jobs.store.database import connected, database_path
from kencore.runs.shelf import delete_run, list_runs
from kencore.sweeps.shelf import delete_sweep, list_sweeps, open_sweep
from kencore.system import schema
from kencore.system.schema import Schema

KEN, NEUROAL, TUNED = "20261128-221522-u4h7me", "20261128-221523-xrrvzs", "20261128-221526-d9arb7"
SWEEP, POINT = "adba9622c357", "sweep-adba9622c357-ken-0.5-s0"
NEWER = r"schema 7, made by a newer KEN_viz; wanted schema \d or older\. Upgrade KEN_viz"
JOBS = 12


def edit(file: Path, **changes: Any) -> None:
    """Change fields of a JSON object on disk."""
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- runs -------------------------------------------------------------------------------------


def test_a_run_without_a_version_is_migrated_in_memory_alone(store: Path) -> None:
    before = hashes(store / "runs") | hashes(store / "sweeps")
    assert "version" not in json.loads((store / "runs" / KEN / "record.json").read_text("utf-8"))
    assert open_run(KEN).record["version"] == schema.current("run")
    assert open_sweep(SWEEP).dense is not None
    assert {run.problem for run in list_runs(points=True)} == {None}
    assert hashes(store / "runs") | hashes(store / "sweeps") == before


@pytest.mark.parametrize("lost", [(), ("overview.safetensors",), ("spec.json", "matrices.parquet")])
def test_a_newer_run_is_refused_and_hides_no_other(store: Path, lost: tuple[str, ...]) -> None:
    folder = store / "runs" / KEN
    edit(folder / "record.json", version=7)
    for name in lost:  # a newer version may well have other files
        (folder / name).unlink()
    for run in (KEN, folder):
        with pytest.raises(SchemaError, match=f"^run {KEN}: {NEWER}"):
            open_run(run)
    listed = {run.id: run.problem for run in list_runs()}
    assert (listed[NEUROAL], listed[TUNED]) == (None, None)
    assert listed[KEN] is not None
    assert listed[KEN].startswith("schema 7, made by a newer KEN_viz; wanted schema 4 or older. Upgrade")
    delete_run(KEN)
    assert KEN not in [run.id for run in list_runs()]


@pytest.mark.parametrize("version", ["2", 1.5, None, True])
def test_a_version_that_is_no_number_is_a_broken_run(store: Path, version: object) -> None:
    edit(store / "runs" / KEN / "record.json", version=version)
    with pytest.raises(CorruptRunError, match=r"record\.json: its version is"):
        open_run(KEN)
    assert "its version is" in str({run.id: run.problem for run in list_runs()}[KEN])


@pytest.mark.parametrize(("run", "file"), [(NEUROAL, "trace"), (TUNED, "tuning")])
def test_a_newer_file_of_a_run_is_refused_where_it_is_read(store: Path, run: str, file: str) -> None:
    edit(store / "runs" / run / f"{file}.json", version=7)
    opened = open_run(run)
    with pytest.raises(SchemaError, match=f"^{file}.json of run {run}: {NEWER}"):
        getattr(opened, file)


def test_every_reader_of_a_run_sees_it_migrated(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(files: dict[str, Any]) -> None:
        if "spec.json" in files:
            files["spec.json"]["spec"] |= {"method": "delta"}
        if files.get("metrics.json"):
            files["metrics.json"]["pruned"]["loss"] = 1.5
        if "matrices.parquet" in files:
            assert isinstance(files["matrices.parquet"], pd.DataFrame)
            files["matrices.parquet"]["reason"] = "migrated"
        files["record.json"]["created"] = "2027-01-01T00:00:00.000+00:00"

    first = schema.SCHEMAS["run"].migrations[1]
    monkeypatch.setitem(schema.SCHEMAS, "run", Schema(current=3, migrations={1: first, 2: rename}))
    run = open_run(KEN)
    assert (run.spec.method, run.metrics["pruned"]["loss"], set(run.matrices["reason"])) == ("delta", 1.5, {"migrated"})
    assert run.record["version"] == 3
    [listed] = [found for found in list_runs() if found.id == KEN]
    assert (listed.label, listed.created[:4]) == ("encoder/tuned · delta 50 %", "2027")
    assert list(open_sweep(SWEEP).points["loss"]) == [1.5, 1.5]


def test_a_migration_that_fails_leaves_the_run_as_it_was(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(files: dict[str, Any]) -> None:
        files["spec.json"].clear()
        raise RuntimeError("half way")

    before, totals = hashes(store), open_run(KEN).totals
    with monkeypatch.context() as newer:
        first = schema.SCHEMAS["run"].migrations[1]
        newer.setitem(schema.SCHEMAS, "run", Schema(current=3, migrations={1: first, 2: fails}))
        with pytest.raises(RuntimeError, match="half way"):
            open_run(KEN)
    assert hashes(store) == before
    assert open_run(KEN).totals == totals


def test_what_old_runs_lost_is_known_where_kept_values_are_the_tuned_ones(store: Path) -> None:
    for run in (KEN, NEUROAL):
        table = open_run(run).matrices
        assert table["diff_lost"].notna().any()
        pd.testing.assert_series_equal(table["diff_lost"], 1 - table["diff_share_kept"], check_names=False)
    assert open_run(TUNED).matrices["diff_lost"].isna().all()


# --- sweeps -----------------------------------------------------------------------------------


def test_a_newer_sweep_is_refused_and_listed_with_the_reason(store: Path) -> None:
    edit(store / "sweeps" / SWEEP / "sweep.json", version=7)
    with pytest.raises(SchemaError, match=f"^sweep {SWEEP}: {NEWER}"):
        open_sweep(SWEEP)
    [listed] = list_sweeps()
    assert listed.problem is not None
    assert listed.problem.startswith("schema 7, made by a newer KEN_viz")
    delete_sweep(SWEEP)
    assert list_sweeps() == []


def test_a_newer_point_is_refused_where_it_is_read(store: Path) -> None:
    edit(store / "runs" / POINT / "record.json", version=7)
    assert [sweep.problem for sweep in list_sweeps()] == [None]
    with pytest.raises(SchemaError, match=f"^run {POINT}: {NEWER}"):
        _ = open_sweep(SWEEP).points


def test_an_older_sweep_is_migrated_in_memory(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_less(data: dict[str, Any]) -> None:
        data["spec"]["keeps"] = [0.25]

    before = hashes(store / "sweeps")
    monkeypatch.setitem(schema.SCHEMAS, "sweep", Schema(current=2, migrations={1: keep_less}))
    sweep = open_sweep(SWEEP)
    assert (sweep.spec.keeps, sweep.asked["version"]) == ((0.25,), 2)
    assert hashes(store / "sweeps") == before


# --- the command line -------------------------------------------------------------------------


def test_the_command_line_says_it_in_one_message(store: Path) -> None:
    edit(store / "runs" / KEN / "record.json", version=7)
    edit(store / "sweeps" / SWEEP / "sweep.json", version=7)
    for command in ("runs", "sweeps"):
        listed = CliRunner().invoke(app, [command])
        assert listed.exit_code == 0
        assert "schema 7, made by a newer KEN_viz" in listed.stdout
    said = CliRunner().invoke(app, ["report", KEN, "--json"])
    assert said.exit_code == 1
    error = json.loads(said.stdout)["error"]
    assert (error["type"], error["subject"]) == ("SchemaError", f"run {KEN}")
    assert error["got"] == "schema 7, made by a newer KEN_viz"


# --- the job store ----------------------------------------------------------------------------


def user_version() -> int:
    """What the file itself says."""
    connection = sqlite3.connect(database_path())
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def columns() -> list[str]:
    """The columns of the table of jobs."""
    connection = sqlite3.connect(database_path())
    try:
        return [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
    finally:
        connection.close()


def add_a_column(connection: sqlite3.Connection) -> None:
    """A migration that fails the second time."""
    connection.execute("ALTER TABLE jobs ADD COLUMN note TEXT NOT NULL DEFAULT 'none'")
    connection.execute("UPDATE jobs SET note = kind")


def jobs_schema(step: Callable[[sqlite3.Connection], None]) -> Schema:
    """The schema of the job store after one more version."""
    now = schema.current("jobs")
    return Schema(current=now + 1, migrations={**schema.SCHEMAS["jobs"].migrations, now: step})


def test_a_newer_job_store_is_refused_and_left_alone() -> None:
    connection = sqlite3.connect(database_path())
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    before = database_path().read_bytes()
    calls: list[Callable[[], object]] = [
        jobs.list_jobs,
        lambda: jobs.status("20261128-221518-pcjbtv"),
        lambda: jobs.submit("report", {"run": KEN}),
        jobs.warm,
    ]
    for call in calls:
        with pytest.raises(SchemaError, match=f"^The job store .*jobs.sqlite3: {NEWER}"):
            call()
    assert database_path().read_bytes() == before


def test_an_older_job_store_is_migrated_once_and_keeps_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = jobs.list_jobs()
    newer = jobs_schema(add_a_column)
    with monkeypatch.context() as patched:
        patched.setitem(schema.SCHEMAS, "jobs", newer)
        assert jobs.list_jobs() == before
        assert jobs.list_jobs() == before  # a second migration would fail
        with connected() as connection:
            notes = [row["note"] for row in connection.execute("SELECT note FROM jobs ORDER BY seq DESC")]
        assert notes == [job.kind for job in before]
    assert user_version() == newer.current
    with pytest.raises(SchemaError, match=r"made by a newer KEN_viz"):
        jobs.list_jobs()


def test_a_migration_that_fails_leaves_the_job_store_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        add_a_column(connection)
        connection.execute("DROP TABLE events")
        raise RuntimeError("half way")

    before, version = jobs.list_jobs(), user_version()
    with monkeypatch.context() as patched:
        patched.setitem(schema.SCHEMAS, "jobs", jobs_schema(fails))
        with pytest.raises(RuntimeError, match="half way"):
            jobs.list_jobs()
    assert (user_version(), "note" in columns()) == (version, False)
    assert jobs.list_jobs() == before
    assert len(jobs.events(before[0].id)) > 1


MIGRATES = """
import os, sys, time
from pathlib import Path
from kencore import jobs
from kencore.system import schema
from tests.recorded.test_schema import add_a_column, jobs_schema

def step(connection):
    add_a_column(connection)
    if sys.argv[1] == "dies":
        os._exit(9)
    time.sleep(0.5)
    connection.execute("INSERT INTO notes VALUES ('migrated', '1')")

schema.SCHEMAS["jobs"] = jobs_schema(step)
print("ready", flush=True)
while not Path("go").exists():
    time.sleep(0.01)
print(len(jobs.list_jobs()))
"""


def migrating(folder: Path, how: str) -> subprocess.Popen[str]:
    """A process that will migrate the job store as soon as there is a file ``go`` in the folder."""
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", MIGRATES, how],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_process_that_dies_in_a_migration_leaves_the_job_store_as_it_was(tmp_path: Path) -> None:
    before, version = jobs.list_jobs(), user_version()
    (tmp_path / "go").touch()
    process = migrating(tmp_path, "dies")
    assert process.wait(60) == 9
    assert (user_version(), "note" in columns()) == (version, False)
    assert jobs.list_jobs() == before
    process = migrating(tmp_path, "lives")  # the next one does it
    assert process.communicate(timeout=60)[0] == f"{JOBS}\n"
    assert (user_version(), "note" in columns()) == (version + 1, True)


def test_two_processes_migrate_at_once(tmp_path: Path) -> None:
    version = user_version()
    both = [migrating(tmp_path, "lives") for _ in range(2)]
    began = time.monotonic()
    (tmp_path / "go").touch()
    assert [process.communicate(timeout=60)[0] for process in both] == [f"{JOBS}\n"] * 2
    assert time.monotonic() - began >= 0.5
    assert [process.returncode for process in both] == [0, 0]
    assert (user_version(), columns().count("note")) == (version + 1, 1)
