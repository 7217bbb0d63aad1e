"""A job kind of another package: needs no model, shows that the worker works, and behaves badly where it is asked to.

The folder is what an installed package looks like: ``entry_points.txt`` names the kind in the group ``kencore.jobs``.

The steps are taken in this order, each only if its parameter is given.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from kencore.errors import JobKindError, SpecError
from kencore.jobs.context import Context
from kencore.jobs.kinds import Kind
from kencore.jobs.pieces import Share, whole

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

FIELDS = {
    "memory_bytes",  # hold so much memory to the end
    "write",  # {file name: bytes}: files written into the result
    "grandchild",  # start a process that ignores SIGTERM and outlives its parent
    "steps",  # number of progress steps
    "sleep",  # seconds slept in each step
    "print_bytes",  # so much text goes to the log
    "long_call",  # one C call that never returns and never lets another thread run
    "die",  # SIGKILL to itself in the first so many attempts
    "die_first",  # SIGKILL to itself the first time that a piece is tried
    "sleep_until",  # wait for a file of that name in the folder that pieces share
    "pieces",  # [parameters]: pieces of the job; nothing else is read then but
    "last",  # parameters of the piece that begins when all others are done
    "exit",  # leave with this exit code without a word
    "error",  # raise a KencoreError with this text
    "bug",  # raise a ValueError with this text
    "disk_full",  # raise the system's error for a full disk
}


def check(params: dict[str, Any]) -> None:
    """Raise `JobKindError` for a step that the self-test does not know."""
    unknown = sorted(set(params) - FIELDS)
    if unknown:
        raise JobKindError(
            "Parameters of the job selftest",
            got=f"unknown {', '.join(unknown)}",
            wanted=f"fields among {', '.join(sorted(FIELDS))}",
            remedy="Check the spelling.",
        )


def pieces(params: dict[str, Any], most: int, folder: str) -> list[Share]:
    """The pieces that the parameters name; one where they name none."""
    if "pieces" not in params:
        return whole(params)
    return [*(Share(one, 1.0) for one in params["pieces"]), Share(params["last"], 1.0, last=True)]


KIND = Kind(function="selftest_job:run", shelf="results", check=check, heavy=False, pieces="selftest_job:pieces")


def run(params: dict[str, Any], context: Context) -> None:
    """Do what ``params`` say (see `FIELDS`), then write ``result.json``."""
    held = bytearray(params.get("memory_bytes", 0))
    held[::4096] = b"1" * len(held[::4096])  # touched, so that the memory is really taken
    context.event("process", {"pid": os.getpid(), "parent": os.getppid()})
    while "sleep_until" in params and not (context.shared / params["sleep_until"]).exists():
        time.sleep(0.02)
    for name, size in params.get("write", {}).items():
        _write(context, name, size)
    if params.get("grandchild"):
        process = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=False)
        context.event("grandchild", {"pid": process.pid})
    steps = int(params.get("steps", 3))
    for step in range(steps):
        context.progress(step, steps, f"Step {step + 1} of {steps}")
        time.sleep(float(params.get("sleep", 0.0)))
    context.progress(steps, steps, "All steps done")
    for _ in range(int(params.get("print_bytes", 0)) // 100):
        print("x" * 99)
    _misbehave(params, context)
    result = {"steps": steps, "attempt": context.attempt, "threads": context.threads}
    (context.out / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _write(context: Context, name: str, size: int) -> None:
    with (context.out / name).open("wb") as file:
        for _ in range(size // 2**16):
            file.write(bytes(2**16))
        file.write(bytes(size % 2**16))


def _misbehave(params: dict[str, Any], context: Context) -> None:
    if params.get("long_call"):
        context.event("long call", {})
        sum(itertools.repeat(0))
    if context.attempt <= int(params.get("die", 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    if params.get("die_first") and not (context.shared / "died").exists():
        (context.shared / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in params:
        os._exit(int(params["exit"]))
    if "error" in params:
        raise SpecError("selftest", got=params["error"], wanted="no error", remedy="Leave it out.")
    if "bug" in params:
        raise ValueError(params["bug"])
    if params.get("disk_full"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
