"""A process that has the heavy modules loaded and forks one process for each job.

Reads lines of JSON from standard input and writes lines of JSON to standard output; ends when
its input does. It never runs a tensor operation itself: threads and CUDA do not survive a fork.

    in   [job, attempt, threads]
    out  {"ready": true} | {"forked": [job, attempt, pid]} | {"exited": [job, attempt, code]}
"""

from __future__ import annotations

import gc
import json
import os
import random
import select
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from kencore.jobs import folders
from kencore.jobs.diary import tell_traceback
from kencore.jobs.worker.child import main
from kencore.jobs.worker.conduct import UNTOLD, leave


class Zygote:
    """The loop around `os.fork`, and the children it has."""

    def __init__(self) -> None:
        # what an imported module prints must not come between the messages
        self._channel = os.dup(1)
        os.dup2(2, 1)
        self._ended, self._waker = os.pipe()
        self._children: dict[int, tuple[str, int]] = {}

    def serve(self, modules: list[str]) -> None:
        """Load ``modules``, then fork on request until the input ends."""
        _load(modules)
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._say({"ready": True})
        pending = b""
        while True:
            readable, _, _ = select.select([0, self._ended], [], [])
            if self._ended in readable:
                os.read(self._ended, 4096)
                self._reap()
            if 0 in readable:
                read = os.read(0, 65536)
                if not read:
                    return
                *lines, pending = (pending + read).split(b"\n")
                for line in lines:
                    self._fork(*json.loads(line))

    def _fork(self, job: str, attempt: int, threads: int) -> None:
        log = folders.open_log(job)
        try:
            pid = os.fork()
        except OSError:  # no memory, or too many processes
            tell_traceback()
            os.close(log)
            self._say({"exited": [job, attempt, None]})
            return
        if pid == 0:
            self._become(job, attempt, threads, log)
        os.close(log)
        self._children[pid] = (job, attempt)
        self._say({"forked": [job, attempt, pid]})

    def _become(self, job: str, attempt: int, threads: int, log: int) -> NoReturn:
        """Be the process of the job, with nothing left of the zygote but what it loaded."""
        code = UNTOLD
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            # the channel too: it must end when the zygote ends
            for descriptor in (nothing, log, self._channel, self._ended, self._waker):
                os.close(descriptor)
            random.seed()
            code = main(job, attempt, threads)
        finally:
            leave(code)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid in self._children:
                job, attempt = self._children.pop(pid)
                self._say({"exited": [job, attempt, os.waitstatus_to_exitcode(status)]})

    def _say(self, message: dict[str, Any]) -> None:
        os.write(self._channel, json.dumps(message).encode() + b"\n")


def _load(modules: list[str]) -> None:
    for module in modules:
        try:
            import_module(module)
        except Exception:  # noqa: BLE001 - the job that needs it will say what is wrong
            tell_traceback()
    gc.collect()
    gc.freeze()  # so that a child's collection does not copy every page


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # the supervisor is gone: so is the need for this process
        Zygote().serve(sys.argv[1:])
