"""How another Python process with this same package is started."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import kencore.system.places
from kencore.jobs import folders

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Threads of a job that wait for each other sleep: spinning takes the cores from the app and from other jobs. Read by
OpenMP when it is loaded."""


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package, wherever the process is started."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's variables, with the package to be found and the store as it is here."""
    given = dict(os.environ)
    known = [given["PYTHONPATH"]] if given.get("PYTHONPATH") else []
    given["PYTHONPATH"] = os.pathsep.join([str(_package().parent), *known])
    given["KENVIZ_HOME"] = str(kencore.system.places.home())
    given["PYTHONUNBUFFERED"] = "1"
    for name, value in PASSIVE.items():
        given.setdefault(name, value)
    return given


def start(job: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a module in a session of its own; what it prints goes to the job's log."""
    log = folders.open_log(job)
    try:
        return subprocess.Popen(
            command(module, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
            start_new_session=True,
        )
    finally:
        with suppress(OSError):
            os.close(log)


def changed_since(moment: float) -> bool:
    """Whether a source file of this package is newer than ``moment`` (seconds since 1970).

    A process that started before has the old code in memory.
    """
    return any(path.stat().st_mtime > moment for path in _package().rglob("*.py"))


def _package() -> Path:
    return Path(kencore.system.places.__file__).absolute().parents[1]
