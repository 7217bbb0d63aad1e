"""The supervisor's end of the process that has torch loaded."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from contextlib import suppress

from kencore.jobs.worker.interpreter import command, environment
from kencore.jobs.worker.launch import Attempt

Name = tuple[str, int]


class Zygote:
    """Asks a `kencore.jobs.worker.zygote` process to fork, and hears of its children's ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input, self._output = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._pending = b""
        self._asked: dict[Name, Attempt] = {}
        self._forked: set[Name] = set()
        self.ready = False
        self.dead = False

    @classmethod
    def start(cls, modules: tuple[str, ...]) -> Zygote:
        """Start the process; it loads ``modules`` while requests may already be made."""
        return cls(
            subprocess.Popen(
                command("kencore.jobs.worker.zygote", *modules),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sys.stderr,
                env=environment(),
                start_new_session=True,
            )
        )

    def fork(self, attempt: Attempt) -> bool:
        """Ask for a process for the attempt; False when the zygote is dead."""
        request = json.dumps([attempt.job, attempt.number, attempt.threads]).encode() + b"\n"
        try:
            os.write(self._input, request)
        except OSError:
            return False
        self._asked[attempt.job, attempt.number] = attempt
        return True

    def exits(self) -> dict[Name, int | None]:
        """Attempts that ended since the last call, with their exit codes."""
        found: dict[Name, int | None] = {}
        for line in self._lines():
            message = json.loads(line)
            self.ready = self.ready or "ready" in message
            job, number, value = message.get("forked") or message.get("exited") or ("", 0, 0)
            if not job:
                continue
            self._asked.pop((job, number), None)
            if "forked" in message:
                self._forked.add((job, number))
            else:
                self._forked.discard((job, number))
                found[job, number] = value
        return found

    def watches(self, name: Name) -> bool:
        """Whether `exits` will report this attempt."""
        return not self.dead and (name in self._asked or name in self._forked)

    def not_forked(self) -> list[Attempt]:
        """Attempts that were asked for and, as far as is known, not forked."""
        return list(self._asked.values())

    def wait(self, seconds: float) -> None:
        """Sleep until the zygote has something to say, at most so long."""
        select.select([self._output], [], [], seconds)

    def close(self) -> None:
        """End the zygote; its children go on."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()  # it may be loading still
            self._process.wait()
        self.dead = True

    def _lines(self) -> list[bytes]:
        while not self.dead:
            try:
                read = os.read(self._output, 65536)
            except BlockingIOError:
                break
            if not read:
                self.dead = True
            self._pending += read
        *lines, self._pending = self._pending.split(b"\n")
        return lines
