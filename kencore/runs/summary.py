"""What the list of runs says of one, read from a few small files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from kencore.errors import CorruptRunError, SchemaError
from kencore.runs import CELLS, FILES, labels, missing_files
from kencore.runs.naming import describe
from kencore.runs.reading import read_files
from kencore.system import people

MOST_HELD: Final = 20_000  # summaries


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of the list of runs.

    Attributes:
        label: its name where a person gave it one, else what was asked for.
        created: ISO time.
        problem: why the folder cannot be opened.
        sweep: the id of the sweep that the run is a point of.
        name, tags: what a person called it, see `kencore.runs.labels`.
        spec: what was asked for, as it is stored; empty where it cannot be read.
        tuned_from: the id of the run that it was recovered from.
        owner: whose it is on a server, ``None``: everybody's; see `kencore.system.people`.
        shared: its owner lets all people of the server see it.
        bytes: of all its files.
    """

    id: str
    path: Path
    label: str
    created: str
    problem: str | None = None
    sweep: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    tuned_from: str | None = None
    owner: str | None = None
    shared: bool = False
    bytes: int = 0

    @property
    def visible(self) -> bool:
        """Whether who looks may see it."""
        return people.may_see(self.owner, shared=self.shared)


def summarise(folder: Path, name: str | None = None) -> RunSummary:
    """Read a few small files of a run; what did not change since is not read again."""
    return _summary(folder, name or folder.name, stamp(folder, *FILES, CELLS, labels.FILE))


def stamp(folder: Path, *names: str) -> tuple[Any, ...]:
    """Says of files in a folder whether one of them appeared, went away or was written anew."""
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat() for entry in entries if entry.name in names}
    except OSError:
        found = {}
    return tuple(
        (info.st_mtime_ns, info.st_size, info.st_ino) if (info := found.get(name)) is not None else None
        for name in names
    )


@lru_cache(maxsize=MOST_HELD)
def _summary(folder: Path, name: str, stamped: tuple[Any, ...]) -> RunSummary:
    called = labels.read_label(folder)
    label, created, sweep, spec, tuned = name, "", None, {}, None
    owner: str | None = people.NOBODY  # nobody's, until the record says whose
    missing = missing_files(folder)
    problem = f"no {', '.join(missing)}" if missing else None
    try:
        record = read_files(folder)["record.json"]
        owner = record.get("owner")
        spec = read_files(folder, "spec.json")["spec.json"]["spec"]
        created, sweep = str(record["created"]), record.get("sweep")
        label = describe(spec) + _tuned(record.get("tuned"))
        tuned = (record.get("tuned") or {}).get("from")
    except SchemaError as error:
        problem = error.reason
    except CorruptRunError as error:
        problem = problem or error.got
    except Exception as error:  # noqa: BLE001 - whatever a folder holds, it never hides the others
        problem = problem or f"spec.json or record.json cannot be read ({type(error).__name__}: {error})"
    return RunSummary(
        id=name,
        path=folder,
        label=called.name or label,
        created=created,
        problem=problem,
        sweep=sweep,
        name=called.name,
        tags=called.tags,
        spec=spec,
        tuned_from=tuned,
        owner=owner,
        shared=called.shared,
        bytes=_bytes(folder),
    )


def _bytes(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:
        return 0


def _tuned(tuned: dict[str, int] | None) -> str:
    """What a run's label says of recovery after pruning."""
    return "" if tuned is None else f" · {tuned['steps']:,} steps of recovery"
