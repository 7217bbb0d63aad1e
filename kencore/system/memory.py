"""How much memory a job may use, and memory that nobody uses any more back to the system."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from kencore.errors import NotEnoughMemoryError, SpecError

VARIABLE: Final = "KENVIZ_MEMORY"
SHARE: Final = 4  # by default a quarter of what is free
_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_TEXT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(i?)[bB]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Memory that this process may hold, libraries and pages of mapped files included.

    Args:
        most: bytes.
        asked: somebody asked for it, so that it is kept or refused; otherwise it is what the machine has.
    """

    most: int
    asked: bool

    def at_once(self, each: int, *, most: int, least: int) -> int:
        """How many things of ``each`` bytes may be held at once beside what is there now: ``least`` to ``most``.

        It is ``least`` where not even those fit: work that began is not given up for it.
        """
        return min(most, max(least, (self.most - resident()) // each))

    def holds(self, count: int) -> bool:
        """Whether so many bytes more fit: into a budget that was asked for, else into half of what is free."""
        return resident() + count <= self.most if self.asked else count <= free() // 2

    def need(self, count: int) -> None:
        """Raise `NotEnoughMemoryError` unless so many bytes more fit into a budget that was asked for."""
        there = resident()
        if self.asked and there + count > self.most:
            raise NotEnoughMemoryError(
                "memory",
                got=in_units(self.most),
                wanted=f"{in_units(there + count)} or more: {in_units(there)} are in use by Python and its libraries",
                remedy="Give it more, or leave it out: then it is a quarter of what is free.",
            )


ANY: Final = Budget(most=1 << 62, asked=True)


def budget(memory: str | int | None = None, environment: Mapping[str, str] = os.environ) -> Budget:
    """The memory that is asked for; else what ``KENVIZ_MEMORY`` says; else a quarter of what is free.

    Raises:
        SpecError: no such size.
    """
    asked = environment.get(VARIABLE, "").strip() or None if memory is None else memory
    if asked is None:
        return Budget(most=free() // SHARE + resident(), asked=False)
    return Budget(most=size_in_bytes(asked, "memory" if memory is not None else VARIABLE), asked=True)


def size_in_bytes(size: str | int, name: str = "memory") -> int:
    """Bytes that a text such as ``2GB``, ``1.5 GiB`` or ``500M`` says; GB are 10**9 and GiB 2**30 bytes.

    Raises:
        SpecError: no such size.
    """
    match = _TEXT.fullmatch(str(size).strip())
    found = int(float(match[1]) * (_BINARY if match[3] else _UNITS)[match[2].upper()]) if match else 0
    if found < 1:
        raise SpecError(
            name, got=repr(size), wanted="a size such as 2GB or 500MB", remedy="Write a number and KB, MB, GB or TB."
        )
    return found


def in_units(count: int) -> str:
    """Bytes as people write them."""
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count:,} bytes"


def resident() -> int:
    """Bytes that this process holds in memory now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def free() -> int:
    """Bytes that can be had without swapping: of the machine, or of the container where that is less."""
    import psutil

    there = int(psutil.virtual_memory().available)
    try:
        most, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text("ascii")) for name in ("max", "current"))
    except (OSError, ValueError):  # no container, or one without a limit
        return there
    return max(0, min(there, most - used))


def give_back() -> None:
    """Let the C library return the free memory that it keeps, where it is one that does (glibc).

    What tensors of a few megabytes leave behind lies between things that live on, so that a job with thousands of
    them would grow by half of what it works on.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


def let_go(*spans: tuple[int, int]) -> int:
    """Give back the whole pages of mapped files; what was written to a private map of one is lost.

    Args:
        spans: (address, bytes) each.

    Returns:
        How many of them were given back: on Linux those in memory that is a file's and nothing else's.
    """
    if not sys.platform.startswith("linux"):
        return 0
    whole = [
        (-(-address // mmap.PAGESIZE) * mmap.PAGESIZE, (address + size) // mmap.PAGESIZE * mmap.PAGESIZE)
        for address, size in spans
    ]
    pages = [(first, last) for first, last in whole if last > first]
    return sum(drop(first, last - first) for first, last in _of_files(pages))


def drop(address: int, size: int) -> bool:
    """`let_go` of whole pages that the caller knows to be those of a file, mapped so that what was written is kept."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(_library().madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), mmap.MADV_DONTNEED) == 0)


def _of_files(pages: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of the spans (first, last) that lie in one map of a file: giving back any other memory would lose it.

    Read anew for every call, since maps come and go; once for all spans, since a process has a thousand of them.
    """
    if not pages:
        return []
    starts, ends = [], []
    for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():  # in the order of addresses
        place, _, _, _, inode = line.split(maxsplit=5)[:5]
        if inode != "0":
            start, end = place.split("-")
            starts.append(int(start, 16))
            ends.append(int(end, 16))

    def inside(first: int, last: int) -> bool:
        at = bisect_right(starts, first) - 1
        return at >= 0 and last <= ends[at]

    return [page for page in pages if inside(*page)]


@cache
def _library() -> Any:
    return ctypes.CDLL(None)


@cache
def _trim() -> Any:
    return getattr(_library(), "malloc_trim", None) if sys.platform.startswith("linux") else None
