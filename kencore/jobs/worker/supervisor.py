"""The process behind the job store: exactly one per store, started on demand, gone when idle.

It holds a file lock for as long as it lives and is noted in the store. It leaves in one
transaction with the check that no job is there, so that a job submitted at that moment is either
seen or finds no supervisor noted and starts the next one.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from dataclasses import replace

from kencore.errors import KencoreError
from kencore.jobs import folders
from kencore.jobs.diary import tell_traceback
from kencore.jobs.settings import WorkerSettings
from kencore.jobs.store import changes, queries, retention
from kencore.jobs.store.database import connected, transaction
from kencore.jobs.worker.interpreter import changed_since
from kencore.jobs.worker.launch import Launcher
from kencore.jobs.worker.local import LocalLauncher
from kencore.jobs.worker.processes import is_alive, own_handle
from kencore.jobs.worker.scheduler import Scheduler
from kencore.system.locks import FileLock
from kencore.system.places import jobs_folder

BUSY_SLEEP, IDLE_SLEEP, TROUBLE_SLEEP = 0.05, 0.1, 1.0
LOCK_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 5.0
PRUNING_SECONDS = 3600.0
LOCK_NAME = "supervisor.lock"


class Supervisor:
    """The loop around `Scheduler.step`."""

    def __init__(
        self, connection: sqlite3.Connection, launcher: Launcher, settings: WorkerSettings, lock: FileLock
    ) -> None:
        self._lock = lock
        self._connection, self._launcher, self._settings = connection, launcher, settings
        self._scheduler = Scheduler(connection, launcher, settings)
        self._busy_at, self._born, self._outdated = time.monotonic(), time.time(), False
        self._cleaned_at = self._pruned_at = float("-inf")

    def run(self) -> None:
        """Serve until nothing was to do for the idle time, or until told to stop."""
        with transaction(self._connection):
            changes.set_note(self._connection, "supervisor", own_handle())
            changes.set_note(self._connection, "starting", None)
            changes.set_note(self._connection, "stop", None)
        self._scheduler.take_over()
        while True:
            try:
                jobs = self._scheduler.step()
                if jobs:
                    self._busy_at = time.monotonic()
                if self._may_leave(jobs):
                    return
                self._keep_house()
                pause = BUSY_SLEEP if jobs else IDLE_SLEEP
            except (sqlite3.OperationalError, OSError):
                # a full disk or a busy store: jobs go on, and so must this
                tell_traceback()
                pause = TROUBLE_SLEEP
            self._launcher.wait(pause)

    def _may_leave(self, jobs: int) -> bool:
        stop = queries.note(self._connection, "stop") is not None
        idle = self._outdated or (time.monotonic() - self._busy_at >= self._settings.idle_seconds)
        if not stop and (jobs or not idle):
            return False
        with transaction(self._connection):
            if not stop and queries.count_live(self._connection):
                return False
            changes.set_note(self._connection, "supervisor", None)
            changes.set_note(self._connection, "stop", None)
        return True

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now - self._cleaned_at >= HOUSEKEEPING_SECONDS:
            self._cleaned_at = now
            if not self._lock.is_in_place():
                raise SystemExit("the store was removed")
            self._outdated = changed_since(self._born)
            for row in queries.running(self._connection):
                folders.shorten_log(row["id"], retention.LOG_BYTES)
        if now - self._pruned_at >= PRUNING_SECONDS:
            self._pruned_at = now
            retention.prune(self._connection, results_kept=self._settings.results_kept)


def main() -> None:
    """Become the supervisor of the store, unless there is one."""
    settings = WorkerSettings.from_environment()
    os.chdir(jobs_folder())  # not to hold the folder that it was started from
    lock = FileLock(jobs_folder() / LOCK_NAME)
    with connected(make=True) as connection:
        if not _take(lock, connection):
            return
        try:
            launcher, settings = _launcher(settings)
        except BaseException:
            lock.release()
            raise
        try:
            Supervisor(connection, launcher, settings, lock).run()
        finally:
            launcher.close()
            lock.release()


def _launcher(settings: WorkerSettings) -> tuple[Launcher, WorkerSettings]:
    """What starts jobs: this machine, or a cluster, whose processors and cards then count."""
    if not settings.ray:
        return LocalLauncher(settings.preload), settings
    from kencore.jobs.worker.cluster import RayLauncher

    found = RayLauncher(settings.ray, cpus=settings.ray_cpus)
    given = {name for name in ("KENVIZ_WORKERS", "KENVIZ_GPUS") if os.environ.get(name, "").strip()}
    workers = settings.workers if "KENVIZ_WORKERS" in given else max(1, int(found.cpus // settings.ray_cpus))
    gpus = min(settings.gpus, found.gpus) if "KENVIZ_GPUS" in given else found.gpus
    return found, replace(settings, workers=workers, gpus=gpus)


def _take(lock: FileLock, connection: sqlite3.Connection) -> bool:
    """Take the lock, waiting for a supervisor that is leaving; False when one stays."""
    deadline = time.monotonic() + LOCK_SECONDS
    while not lock.acquire():
        noted = queries.note(connection, "supervisor")
        if (noted and is_alive(noted)) or time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


if __name__ == "__main__":
    try:
        main()
    except KencoreError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
