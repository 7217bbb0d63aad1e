"""Where a job's files are: its result, the temporary folder beside it, its log.

An attempt writes into ``.<job>.<attempt>.part/out``. What it needs beside that while it works
goes into the ``.part`` folder too, so that one removal leaves nothing of it. What pieces of a job leave for each other
is in ``.<job>.shared``, which outlives an attempt and goes with the job's end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from kencore.errors import CorruptRunError, StoreNotWritableError
from kencore.jobs.kinds import KINDS, known_kind
from kencore.system import whole
from kencore.system.places import PRIVATE, home, jobs_folder, private_folder
from kencore.system.plain_json import read_json_object

SUFFIX, SHARED = ".part", ".shared"


def result_folder(job: str, kind: str) -> Path:
    """Where the finished result of a job is or will be; nothing is made."""
    return home() / _shelf(kind) / job


def part_folder(job: str, kind: str, attempt: int) -> Path:
    """The temporary folder of one attempt, on the disk of its result; nothing is made."""
    return result_folder(job, kind).with_name(f".{job}.{attempt}{SUFFIX}")


def shared_folder(job: str, kind: str) -> Path:
    """What pieces of a job leave for each other, on the disk of its result; nothing is made."""
    return result_folder(job, kind).with_name(f".{job}{SHARED}")


def log_file(job: str) -> Path:
    """The job's log; nothing is made."""
    return home() / "jobs" / "logs" / f"{job}.log"


def open_log(job: str) -> int:
    """Open the job's log for appending; where that is impossible, what is written is lost."""
    try:
        private_folder(jobs_folder() / "logs")
        return os.open(log_file(job), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except (OSError, StoreNotWritableError):
        return os.open(os.devnull, os.O_WRONLY)  # the job itself will say what is wrong


def make_part(part: Path) -> Path:
    """Make the temporary folder of an attempt, and the empty folder in it that is returned.

    Raises:
        StoreNotWritableError, OSError: it cannot be made.
    """
    private_folder(part.parent)
    remove(part)
    out = part / "out"
    for folder in (part, out):
        folder.mkdir(mode=PRIVATE)
    return out


def publish(part: Path, result: Path) -> None:
    """Turn a complete temporary folder into the result, so that a power cut leaves all or nothing.

    Raises:
        OSError: the disk is full, or the result is there already.
    """
    whole.publish(part / "out", result)
    remove(part)


def answer_in(folder: Path) -> dict[str, Any]:
    """What a finished job said, of its folder: the object in ``result.json``.

    Raises:
        CorruptRunError: there is none that can be read.
    """
    try:
        return read_json_object(folder / "result.json", ours=True)
    except (OSError, ValueError) as error:
        raise CorruptRunError(
            f"result of job {folder.name}",
            got=f"result.json cannot be read ({error})",
            wanted="what the job said",
            remedy="Start it again.",
        ) from error


def remove(folder: Path) -> None:
    """Remove a folder with its content, where it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def parts() -> Iterator[tuple[Path, str, int]]:
    """Temporary folders in the store: path, job, attempt."""
    for shelf in sorted({kind.shelf for kind in KINDS.values()}):
        for folder in (home() / shelf).glob(f".*{SUFFIX}"):
            job, _, attempt = folder.name[1 : -len(SUFFIX)].rpartition(".")
            if job and attempt.isdigit():
                yield folder, job, int(attempt)


def shared_parts() -> Iterator[tuple[Path, str]]:
    """Folders in the store that pieces of a job share: folder, job."""
    for shelf in sorted({kind.shelf for kind in KINDS.values()}):
        for folder in (home() / shelf).glob(f".*{SHARED}"):
            yield folder, folder.name[1 : -len(SHARED)]


def shorten_log(job: str, most: int) -> None:
    """Keep the last half of ``most`` bytes of a log that grew longer, while it is being written."""
    with suppress(OSError), log_file(job).open("r+b") as file:
        if file.seek(0, os.SEEK_END) <= most:
            return
        file.seek(-most // 2, os.SEEK_END)
        tail = file.read()
        # writers append: after the cut they go on behind what is kept
        file.seek(0)
        file.truncate()
        file.write(b"... (earlier lines were removed)\n" + tail.partition(b"\n")[2])


def _shelf(kind: str) -> str:
    # a store may hold jobs of a version that had other kinds
    known = known_kind(kind)
    return known.shelf if known else "results"
