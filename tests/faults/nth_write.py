"""A disk that is full at the n-th write of a piece of work, for every n; and one on which no file grows above a size.

The first is of what Python opens, makes, renames and brings to the disk; the second also of what pyarrow and
safetensors write by themselves.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kencore.errors import KencoreError

EVENTS = ("os.mkdir", "os.rename", "os.link", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_below: str = ""  # the folder whose writes count; "": none
_seen = 0
_full_at = -1
_hooked = False


@dataclass
class Told:
    """What came of a piece of work on full disks."""

    tries: int = 0
    errors: int = 0
    wrong: list[str] = field(default_factory=list)


def _hook(event: str, args: tuple[object, ...]) -> None:
    if not _below:
        return
    if event == "open":
        path, _, flags = args
        if not isinstance(flags, int) or not flags & WRITING:
            return
    elif event not in EVENTS:
        return
    else:
        path = args[0]
    if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(_below):
        _count(os.fsdecode(path))


def _count(path: str) -> None:
    global _seen
    _seen += 1
    if _seen == _full_at:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


@contextmanager
def writes(below: Path, full_at: int = -1) -> Iterator[Callable[[], int]]:
    """Count writes below a folder; the one of that number finds the disk full. Gives how many there were."""
    global _below, _seen, _full_at, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    fsync = os.fsync

    def brought(descriptor: int) -> None:
        _count(f"descriptor {descriptor}")
        fsync(descriptor)

    _below, _seen, _full_at, os.fsync = str(below), 0, full_at, brought
    try:
        yield lambda: _seen
    finally:
        _below, os.fsync = "", fsync


@contextmanager
def smallest(size: int) -> Iterator[None]:
    """No file may grow above so many bytes: with an error, as where the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder: Path) -> set[str]:
    """All files and folders below a folder, locks left out."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix != ".lock"}


def everywhere(
    work: Callable[[Path], None], check: Callable[[Path], None], home: Path, *, most: int | None = None
) -> Told:
    """Do the work at each point where the disk can be full; whatever came of it is whole, or not there.

    Args:
        work: writes below the folder that it is given.
        check: raises where something that is there is not whole.
        most: of the points, so many at most, spread evenly.
    """
    told = Told()
    with writes(home) as count:
        work(home / "good")
        number = count()
    sizes = sorted({path.stat().st_size for path in home.rglob("*") if path.is_file()})
    points = spread(list(range(1, number + 1)), most)
    for at in points:
        place = home / f"n{at}"
        with writes(home, at):
            _tried(work, place, told, f"full at write {at} of {number}")
        _left(place, check, told, f"after write {at} of {number}")
    for size in spread([size - 1 for size in sizes if size], most):
        place = home / f"s{size}"
        with smallest(size):
            _tried(work, place, told, f"no file above {size} bytes")
        _left(place, check, told, f"after files of {size} bytes")
    return told


def spread(values: list[int], most: int | None) -> list[int]:
    if most is None or len(values) <= most:
        return values
    return sorted({values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)})


def _tried(work: Callable[[Path], None], place: Path, told: Told, what: str) -> None:
    told.tries += 1
    try:
        work(place)
    except KencoreError:
        told.errors += 1
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
        told.wrong.append(f"{what}: {type(error).__name__}: {error}")


def _left(place: Path, check: Callable[[Path], None], told: Told, what: str) -> None:
    """Nothing hidden is left over, and what is there is whole."""
    left = [str(path.relative_to(place)) for path in place.rglob(".*") if path.suffix != ".lock"]
    if left:
        told.wrong.append(f"{what}: left over: {', '.join(sorted(left)[:3])}")
    try:
        check(place)
    except BaseException as error:  # noqa: BLE001
        told.wrong.append(f"{what}: not whole: {type(error).__name__}: {error}")
