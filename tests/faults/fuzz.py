"""Damaged input for one reader: only errors of ours, within bounds of memory and of time."""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kencore.errors import KencoreError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MOST_SECONDS = 2.0  # of the processor, for one input
MOST_MEMORY = 256 * 2**20  # bytes above what the process had, beside the input itself
MOST_AT_ALL = 4 * 2**30  # further bytes of addresses


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One thing that is read.

    Args:
        make: puts a good input into an empty folder, and returns the files that are to be damaged.
        read: reads what lies in the folder.
        damage: what is done to the content of a file.
        own: further errors that are ours to raise (of pure functions whose callers tell them).
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    damage: Callable[[bytes, random.Random], bytes]
    own: tuple[type[Exception], ...] = ()


@dataclass
class Told:
    """What came of a reader's inputs."""

    name: str
    inputs: int = 0
    refused: int = 0
    slowest: float = 0.0
    most: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """The figures in one line."""
        return (
            f"{self.name}: {self.inputs:,} inputs, {self.refused:,} refused, slowest {self.slowest:.2f} s of CPU, "
            f"{self.most / 2**20:.0f} MB more at most, {sum(self.faults.values())} faults"
        )


def fuzz(name: str, reader: Reader, inputs: int, seed: int, folder: Path) -> Told:
    """Damage one file at a time, read, and put it back."""
    rng, told = random.Random(f"{seed} {name}"), Told(name)
    folder.mkdir(parents=True, exist_ok=True)
    files = reader.make(folder)
    good = {path: path.read_bytes() for path in files}
    reader.read(folder)  # what is not damaged is read, and all is imported
    with _bounded():
        for _ in range(inputs):
            path = rng.choice(files)
            path.write_bytes(reader.damage(good[path], rng))
            _one(reader, folder, told)
            path.write_bytes(good[path])
    return told


@contextmanager
def _bounded() -> Iterator[None]:
    """What asks for all memory gets an error, and takes the machine from nobody."""
    if resource is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + MOST_AT_ALL, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _one(reader: Reader, folder: Path, told: Told) -> None:
    told.inputs += 1
    _forget_peak()
    before, began = _memory("VmRSS"), time.process_time()
    try:
        reader.read(folder)
    except (KencoreError, *reader.own):
        told.refused += 1
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        where = next((f for f in reversed(traceback.extract_tb(error.__traceback__)) if "kencore" in f.filename), None)
        place = f"{Path(where.filename).name}:{where.lineno}" if where else "?"
        told.faults[f"{type(error).__name__} at {place}: {str(error)[:80]!r}"] += 1
    seconds, more = time.process_time() - began, _memory("VmHWM") - before
    told.slowest, told.most = max(told.slowest, seconds), max(told.most, more)
    if seconds > MOST_SECONDS:
        told.faults[f"more than {MOST_SECONDS} s"] += 1
    if more > MOST_MEMORY:
        told.faults[f"more than {MOST_MEMORY / 2**20:.0f} MB"] += 1


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    except OSError:
        return


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0
