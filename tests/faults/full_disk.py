"""A disk that is full: at every write of a piece of work, one after the other, and above every size of a file.

The first is of what Python opens, makes, renames and brings to the disk; the second, which the kernel refuses
(`RLIMIT_FSIZE`), also of what pyarrow and safetensors write by themselves. Its limits are the sizes of the files that
the work makes when nothing is in its way, less one byte, half of them, and none at all.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kencore.errors import KencoreError, StoreNotWritableError

EVENTS = ("os.mkdir", "os.rename", "os.link", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_below: str = ""  # the folder whose writes count; "": none
_seen = 0
_full_at = -1
_hooked = False


@dataclass(frozen=True, kw_only=True)
class Work:
    """A piece of work that writes below a store.

    Args:
        write: does it.
        whole: raises where something that is there is not whole.
        keeps: what was finished when the disk was full may stay.
    """

    write: Callable[[Path], object]
    whole: Callable[[Path], None]
    keeps: bool = False


@dataclass
class Told:
    """What came of a piece of work on full disks."""

    tries: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


def everywhere(work: Work, store: Path, *, most: int | None = None) -> Told:
    """Do the work on every full disk: it says so and leaves what was there, or is done all the same and whole.

    Args:
        store: holds what the work needs, and after it the same again.
        most: so many points and so many sizes at most, spread evenly.
    """
    told, before = Told(), held(store)
    with full_at(store, -1) as count:
        work.write(store)
        number = count()
    sizes = {len(content) for path, content in held(store).items() if before.get(path) != content and content}
    undo(store, before)
    if not sizes:
        told.wrong.append("wrote nothing")
    disks: dict[str, Callable[[], AbstractContextManager[Any]]] = {}
    for at in spread(list(range(1, number + 1)), most):
        disks[f"full at write {at} of {number}"] = lambda at=at: full_at(store, at)
    for size in spread(sorted({0} | {size - 1 for size in sizes} | {size // 2 for size in sizes}), most):
        disks[f"no file above {size:,} bytes"] = lambda size=size: smallest(size)
    for name, disk in disks.items():
        _tried(work, store, before, told, name, disk())
        undo(store, before)
    return told


def _tried(
    work: Work, store: Path, before: dict[str, bytes], told: Told, name: str, disk: AbstractContextManager[Any]
) -> None:
    told.tries += 1
    refused = False
    try:
        with disk:
            work.write(store)
    except StoreNotWritableError:
        refused = True
        told.refused += 1
    except KencoreError as error:
        told.wrong.append(f"{name}: {type(error).__name__}, which says nothing of the disk: {str(error)[:200]}")
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
        told.wrong.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
    after = held(store)
    changed = sorted({path for path in after.keys() | before.keys() if after.get(path) != before.get(path)})
    hidden = [path for path in changed if any(part.startswith(".") for part in Path(path).parts)]
    if left := hidden or (changed if refused and not work.keeps else []):
        told.wrong.append(f"{name}: left {', '.join(left[:5])}")
    try:
        work.whole(store)
    except BaseException as error:  # noqa: BLE001
        told.wrong.append(f"{name}: not whole: {type(error).__name__}: {str(error)[:200]}")


def spread(values: list[int], most: int | None) -> list[int]:
    """At most so many values, the first and the last among them."""
    if most is None or len(values) <= most:
        return values
    return sorted({values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)})


# --- disks that are full ------------------------------------------------------------------------


@contextmanager
def full_at(below: Path, number: int) -> Iterator[Callable[[], int]]:
    """The write of that number below a folder finds the disk full, -1: none does. Gives how many there were."""
    global _below, _seen, _full_at, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    fsync = os.fsync

    def brought(descriptor: int) -> None:
        _count(f"descriptor {descriptor}")
        fsync(descriptor)

    _below, _seen, _full_at, os.fsync = str(below), 0, number, brought
    try:
        yield lambda: _seen
    finally:
        _below, os.fsync = "", fsync


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
def smallest(size: int) -> Iterator[None]:
    """No file may grow above so many bytes: with an error, as where the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- what a store holds -------------------------------------------------------------------------


def held(store: Path) -> dict[str, bytes]:
    """Every file below a folder with what is in it, and every folder but the outermost; locks left out."""
    found = {}
    for path in store.rglob("*"):
        name = str(path.relative_to(store))
        if path.is_dir():
            found |= {f"{name}/": b""} if "/" in name else {}
        elif path.suffix != ".lock":
            found[name] = path.read_bytes()
    return found


def undo(store: Path, before: dict[str, bytes]) -> None:
    """Bring a folder back to what it held."""
    for path in sorted(store.rglob("*"), reverse=True):
        name = str(path.relative_to(store))
        if path.is_dir() and not path.is_symlink():
            if f"{name}/" not in before and "/" in name and not any(path.iterdir()):
                path.rmdir()
        elif name not in before:
            path.unlink()
    for name, content in before.items():
        path = store / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        elif not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
