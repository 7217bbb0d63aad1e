"""Attempts as processes of this machine, each in a session of its own.

Heavy attempts are forked from a process that has torch loaded (`kencore.jobs.worker.zygote`); others,
and all of them where that is off or fails, are new processes.
"""

from __future__ import annotations

import subprocess
import time

from kencore.jobs.diary import tell
from kencore.jobs.worker import processes
from kencore.jobs.worker.interpreter import changed_since, start
from kencore.jobs.worker.launch import Attempt
from kencore.jobs.worker.zygote_client import Zygote

Name = tuple[str, int]


class LocalLauncher:
    """Starts attempts here; see `kencore.jobs.worker.launch.Launcher` for the methods."""

    def __init__(self, preload: tuple[str, ...]) -> None:
        self._processes: dict[Name, subprocess.Popen[bytes]] = {}
        self._zygote: Zygote | None = None
        self._born = time.time()
        if preload:
            try:
                self._zygote = Zygote.start(preload)
            except OSError as error:
                tell(f"no process to hold torch: {error}")

    def start(self, attempt: Attempt) -> None:
        if not self._fork(attempt):
            self._start_new(attempt)

    def exits(self) -> dict[Name, int | None]:
        found: dict[Name, int | None] = {}
        for name, process in list(self._processes.items()):
            if process.poll() is not None:
                del self._processes[name]
                found[name] = process.returncode
        if self._zygote is not None:
            found |= self._zygote.exits()
            if self._zygote.dead:
                self._do_without_zygote()
        return found

    def watches(self, job: str, number: int) -> bool:
        name = (job, number)
        return name in self._processes or (self._zygote is not None and self._zygote.watches(name))

    def is_alive(self, handle: str) -> bool:
        return processes.is_alive(handle)

    def end(self, handle: str, *, kill: bool) -> None:
        processes.end(handle, kill=kill)

    def wait(self, seconds: float) -> None:
        if self._zygote is not None and not self._zygote.dead:
            self._zygote.wait(seconds)
        else:
            time.sleep(seconds)

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def _fork(self, attempt: Attempt) -> bool:
        zygote = self._zygote
        if zygote is None or not (attempt.heavy or zygote.ready):
            return False  # what needs no torch does not wait for it to be loaded
        if changed_since(self._born):
            return False  # it would run the code from before an update
        return zygote.fork(attempt)

    def _do_without_zygote(self) -> None:
        """Start anew what the zygote had not forked; what it had is watched by its handle."""
        assert self._zygote is not None
        tell("the process with torch loaded died: continuing without it")
        waiting = self._zygote.not_forked()
        self.close()
        for attempt in waiting:
            self._start_new(attempt)

    def _start_new(self, attempt: Attempt) -> None:
        self._processes[attempt.job, attempt.number] = start(
            attempt.job, "kencore.jobs.worker.child", attempt.job, str(attempt.number), str(attempt.threads)
        )
