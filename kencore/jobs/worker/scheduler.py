"""One step of the supervisor: end what is to end, settle what has ended, start what can start."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter

from kencore.errors import DeviceNotFoundError, KencoreError
from kencore.jobs import folders
from kencore.jobs.diary import tell
from kencore.jobs.kinds import is_question, known_kind
from kencore.jobs.limits import Limits
from kencore.jobs.settings import WorkerSettings
from kencore.jobs.store import changes, queries
from kencore.jobs.worker import failures
from kencore.jobs.worker.conduct import UNTOLD
from kencore.jobs.worker.launch import Attempt, Launcher
from kencore.system import people
from kencore.system.devices import usable_threads

ASK_SECONDS = 0.4  # a cancelled job may end by itself so long, then it gets SIGTERM
TERMINATE_SECONDS = 0.8  # then SIGKILL
LEAVE_SECONDS = 2.0  # a job whose end is told may take so long to be gone
APPEAR_SECONDS = 15.0  # an attempt that nobody watches must be taken by a process in that time
MOST_DEATHS = 2
ROUNDING = 1e-9  # ten tenths of a card are one card

Name = tuple[str, int]


class Scheduler:
    """Decides over attempts; keeps what it saw of them, so that nothing they started stays."""

    def __init__(self, connection: sqlite3.Connection, launcher: Launcher, settings: WorkerSettings) -> None:
        self._connection, self._launcher, self._settings = connection, launcher, settings
        self._most_each = Limits.from_environment().running
        self._kinds: dict[Name, str] = {}  # of attempts that may have processes
        self._since: dict[tuple[str, Name], float] = {}  # when something was first seen
        self._terminated: set[Name] = set()

    def take_over(self) -> None:
        """Put back what a former supervisor claimed and no process took."""
        for row in queries.running(self._connection):
            if row["handle"] is None:
                changes.queue_again(self._connection, row["id"], row["attempt"], died=False)

    def step(self) -> int:
        """Do what is to be done now; the number of jobs that are still to end."""
        exits = self._launcher.exits()
        running = {(row["id"], row["attempt"]): row for row in queries.running(self._connection)}
        for name, row in running.items():
            self._kinds[name] = row["kind"]
            if name in exits and not self._has_process(row):
                self._settle(row, exits[name])
            elif self._is_lost(name, row):
                self._settle(row, None)
            elif row["cancel_asked"] is not None:
                self._press(name, row)
        for name in set(self._kinds) - set(running):
            self._clear(name, gone=name in exits)
        self._start_some()
        return queries.count_live(self._connection)

    def _has_process(self, row: sqlite3.Row) -> bool:
        # of two processes for one attempt the second leaves: its exit is not the job's end
        return row["handle"] is not None and self._launcher.is_alive(row["handle"])

    def _is_lost(self, name: Name, row: sqlite3.Row) -> bool:
        """Whether its process died unseen: it belonged to a former supervisor or zygote."""
        if self._launcher.watches(*name):
            return False
        if row["handle"] is None:
            return self._seconds("unwatched", name) > APPEAR_SECONDS
        return not self._has_process(row)

    def _press(self, name: Name, row: sqlite3.Row) -> None:
        """Make a cancelled attempt end, harder as time goes by."""
        waited = self._seconds("cancelling", name)
        if row["handle"] is None:
            # its process, if there will be one, finds the attempt over and leaves
            changes.settle(self._connection, *name, "cancelled")
        elif waited > TERMINATE_SECONDS:
            self._launcher.end(row["handle"], kill=True)
        elif waited > ASK_SECONDS and name not in self._terminated:
            self._terminated.add(name)
            self._launcher.end(row["handle"], kill=False)

    def _settle(self, row: sqlite3.Row, code: int | None) -> None:
        """Write the end of an attempt whose process is gone and did not tell."""
        job, attempt = row["id"], row["attempt"]
        if row["handle"]:
            self._launcher.end(row["handle"], kill=True)
        folders.remove(folders.part_folder(job, row["kind"], attempt))
        settle = changes.settle
        if folders.result_folder(job, row["kind"]).exists():
            # it died between its last two acts: the result was put in place complete
            settle(self._connection, job, attempt, "succeeded")
        elif row["cancel_asked"] is not None:
            settle(self._connection, job, attempt, "cancelled")
        elif code == UNTOLD:
            error = failures.full_disk("the end of the job could not be written")
            settle(self._connection, job, attempt, "failed", error)
        elif code is not None and code >= 0:
            settle(self._connection, job, attempt, "failed", failures.broke_off(code))
        elif row["deaths"] + 1 < MOST_DEATHS:
            changes.queue_again(self._connection, job, attempt, died=True)
        else:
            settle(self._connection, job, attempt, "failed", failures.died(code))

    def _clear(self, name: Name, *, gone: bool) -> None:
        """End what an attempt whose end is told left behind."""
        handle = queries.handle_of(self._connection, *name)
        leaving = handle and not gone and self._launcher.is_alive(handle)
        if leaving and self._seconds("leaving", name) < LEAVE_SECONDS:
            return
        if handle:
            self._launcher.end(handle, kill=True)
        kind = self._kinds.pop(name)
        folders.remove(folders.part_folder(name[0], kind, name[1]))
        if name[0] not in queries.live_ids(self._connection):
            folders.remove(folders.shared_folder(name[0], kind))
        self._terminated.discard(name)
        self._since = {key: since for key, since in self._since.items() if key[1] != name}

    def _seconds(self, what: str, name: Name) -> float:
        """Seconds since ``what`` was first asked of this attempt."""
        now = time.monotonic()
        return now - self._since.setdefault((what, name), now)

    def _start_some(self) -> None:
        """Start queued jobs in fair order while there are workers, and cards for those that ask.

        A job that waits for a card lets others pass that need none, and none that needs one. Beside the workers there
        is one slot for a question; further ones take a worker.
        """
        running = queries.running(self._connection)
        while (row := self._next(running)) is not None:
            self._start(row, busy=len(running))
            running.append(row)

    def _next(self, running: list[sqlite3.Row]) -> sqlite3.Row | None:
        """The job to start beside those that run; ``None``: none can."""
        asked = sum(is_question(row["kind"]) for row in running)
        work = len(running) - asked + max(0, asked - 1)  # workers that are taken
        gpus = self._settings.gpus - sum(row["gpus"] for row in running)
        each = Counter(row["user"] for row in running)
        for row in queries.in_fair_order(self._connection):
            if row["gpus"] > self._settings.gpus + ROUNDING:
                return row  # it would wait for ever: starting it says so
            if self._most_each is not None and row["user"] != people.LOCAL and each[row["user"]] >= self._most_each:
                continue  # as many of theirs run as may
            free = work < self._settings.workers or (is_question(row["kind"]) and not asked)
            if free and row["gpus"] <= max(0.0, gpus) + ROUNDING:
                return row
            if free:
                gpus = 0.0  # it waits for a card: none that needs one passes it
        return None

    def _start(self, row: sqlite3.Row, *, busy: int) -> None:
        job, kind, gpus = row["id"], row["kind"], float(row["gpus"])
        number = changes.claim(self._connection, job)
        if number is None:
            return
        self._kinds[job, number] = kind
        known = known_kind(kind)
        heavy = known.heavy if known else False
        threads = max(1, usable_threads() // (busy + 1))
        try:
            if gpus > self._settings.gpus + ROUNDING:
                raise no_such_cards(gpus, self._settings.gpus)
            self._launcher.start(Attempt(job=job, number=number, heavy=heavy, threads=threads, gpus=gpus))
        except (OSError, KencoreError) as error:
            tell(f"no process for {job}: {error}")
            error_fields = failures.to_error(error)
            changes.settle(self._connection, job, number, "failed", error_fields)


def no_such_cards(wanted: float, there: float) -> DeviceNotFoundError:
    """The error for a job that asks for more cards than there are for jobs."""
    return DeviceNotFoundError(
        "gpus",
        got=f"{there:g} CUDA cards for jobs",
        wanted=f"{wanted:g}",
        remedy="Ask for fewer, or set KENVIZ_GPUS if there are more.",
    )
