"""What a failed job tells: plain fields, whatever it was that failed."""

from __future__ import annotations

import errno
import signal
import sqlite3

from kencore.errors import KencoreError, NotEnoughMemoryError, StoreNotWritableError, WorkerDiedError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
FULL_WORDS = ("No space left on device", "StorageFull", "disk is full", "Os { code: 28,")
LONGEST = 300


def to_error(error: BaseException) -> dict[str, str]:
    """The fields ``type``, ``message``, ``subject``, ``got``, ``wanted`` and ``remedy``.

    An error a person can mend keeps its own; a full disk and a full memory get theirs wherever
    they came from; anything else is a fault of the program, told in one line.
    """
    if isinstance(error, KencoreError):
        return error.to_json()
    if reason := _full_disk(error):
        return full_disk(reason)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return NotEnoughMemoryError(
            "The job",
            got="no memory left on the device",
            wanted="memory for the model and what is computed from it",
            remedy="Close other programs, take a smaller model, or run it on another device.",
        ).to_json()
    first_line = (str(error).strip().splitlines() or [""])[0]
    return {
        "type": type(error).__name__,
        "message": first_line[:LONGEST] or type(error).__name__,
        "subject": "The job",
        "got": "a fault in the program",
        "wanted": "",
        "remedy": "Its log holds the details: please report it with them.",
    }


def full_disk(reason: str) -> dict[str, str]:
    """The fields for a result that could not be written."""
    return StoreNotWritableError(
        "The result of the job",
        got=reason[:1].lower() + reason[1:],
        wanted="a folder that can be written and has free space",
        remedy="Free some space, or set KENVIZ_HOME to another disk, and start it again.",
    ).to_json()


def died(code: int | None, attempts: str = "two attempts") -> dict[str, str]:
    """The fields for a job whose process ended without a word, as often as may be.

    ``code`` is the exit code, negative for a signal; None where nobody saw it.
    """
    what = "ended without a word"
    if code is not None and code < 0:
        what = f"was killed (signal {-code})"
        if -code == getattr(signal, "SIGKILL", 9):
            what += ", perhaps out of memory"
    return WorkerDiedError(
        f"The worker {what}",
        got=f"{attempts} that ended so",
        wanted="one that finishes",
        remedy="Take a smaller model or free some memory, then start it again.",
    ).to_json()


def broke_off(code: int) -> dict[str, str]:
    """The fields for a job whose process left with ``code`` before it could tell why."""
    return WorkerDiedError(
        "The worker stopped by itself",
        got=f"exit code {code}",
        wanted="a worker that finishes its job",
        remedy="Its log may hold the reason.",
    ).to_json()


def _full_disk(error: BaseException) -> str:
    """Why nothing more can be written, if that is what lies beneath ``error``; else empty."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            break
        if isinstance(seen, OSError) and seen.errno in FULL:
            return seen.strerror or str(seen)
        if any(word in str(seen) for word in FULL_WORDS):
            # libraries in Rust and C++ wrap the system's error in one of their own
            return "no space left on device"
        if isinstance(seen, sqlite3.OperationalError) and "readonly" in str(seen):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return ""
