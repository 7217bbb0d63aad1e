"""Processes named so that a number used again is never taken for the old process, and their end.

A handle is ``pid:mark``. The mark is the kernel's start tick with the boot it belongs to
(Linux), or the start time (elsewhere): unlike wall-clock times, ticks do not move when the
clock is set.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def own_handle() -> str:
    """The handle of this process."""
    return f"{os.getpid()}:{_mark(os.getpid())}"


def is_alive(handle: str) -> bool:
    """Whether the very process that ``handle`` names is running (a zombie is not)."""
    pid, mark = _parts(handle)
    return _mark(pid) == mark


def end(handle: str, *, kill: bool) -> None:
    """Signal the process, its session and its descendants: SIGTERM, or SIGKILL for ``kill``.

    Does nothing when the number belongs to somebody else by now.
    """
    pid, mark = _parts(handle)
    if _mark(pid) not in (mark, None) or mark.split("-")[0] != _boot():
        return
    # again, since what is killed may be about to fork
    for _ in range(3 if kill else 1):
        targets = family(pid)
        for target in targets:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(target, KILL if kill else signal.SIGTERM)
        if not targets:
            break


def end_own_family() -> None:
    """Kill what this process started, so that nothing of it stays when it leaves."""
    for target in family(os.getpid()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(target, KILL)


def family(pid: int) -> list[int]:
    """Living processes of the session that ``pid`` leads, and its descendants in any session.

    Without the caller itself.
    """
    import psutil

    found: set[int] = set()
    with suppress(psutil.Error):
        found.update(child.pid for child in psutil.Process(pid).children(recursive=True))
    # never the session that this process is a mere member of
    if hasattr(os, "getsid") and (os.getsid(0) != pid or os.getpid() == pid):
        found.update(other for other in psutil.pids() if _session(other) == pid)
    found.add(pid)
    return sorted(other for other in found - {os.getpid()} if _mark(other) is not None)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _parts(handle: str) -> tuple[int, str]:
    pid, _, mark = handle.partition(":")
    return int(pid), mark


def _mark(pid: int) -> str | None:
    """What tells this process from another of its number; None for a dead one or a zombie."""
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # the name, in brackets, may hold anything: count the fields from its end
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{_boot()}-{fields[19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return None if dead else f"{_boot()}-{process.create_time():.2f}"
    except psutil.Error:
        return None


@cache
def _boot() -> str:
    """A short name of the running boot; empty where the system has none."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""
    return text.replace("-", "")[:8]
