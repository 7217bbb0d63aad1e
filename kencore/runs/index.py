"""What the list of runs shows, held and kept in one file: ten thousand runs open about as fast as ten.

A run's folder is read again when its time of change is another one: files are put into it and replaced by renaming,
which changes that time. A time that is not past for a while says nothing yet, since two changes may share it; broken
folders are looked at each time. The file (``runs.jsonl`` beside the folder ``runs``, one line per run) is a memory and
nothing else: where it is missing, damaged or of another version, the folders are read.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from kencore.errors import StoreNotWritableError
from kencore.runs.summary import RunSummary, summarise
from kencore.system.places import home, not_writable, runs_folder
from kencore.system.whole import whole_file

VERSION: Final = 1
FILE: Final = "runs.jsonl"
SETTLED: Final = 2.0  # seconds after which a time of change is past
WORTH: Final = 32  # runs that were read for which the file is written anew
MOST_BYTES: Final = 1 << 28
_FIELDS: Final = [one.name for one in fields(RunSummary) if one.name not in ("id", "path", "problem", "spec")]

Held = dict[str, tuple[int, RunSummary]]  # name: time of change in nanoseconds, summary
_lock = threading.Lock()
_held: dict[Path, Held] = {}


class Kept(Mapping[str, Any]):
    """Settings of a run as text, which is read when somebody looks into it: a list of many runs rarely does."""

    __slots__ = ("_found", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, Any] | None = None

    def __str__(self) -> str:
        return self._text

    def __getitem__(self, name: str) -> Any:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Any]:
        if self._found is None:
            self._found = json.loads(self._text)
        return self._found


def summaries(wanted: Callable[[str], bool]) -> list[RunSummary]:
    """The runs of the store whose folder's name is ``wanted``, broken ones with their problem, in no order.

    Raises:
        StoreNotWritableError: the folder of runs is there and cannot be looked at.
    """
    store = runs_folder(make=False)
    there = _there(store, wanted)
    with _lock:
        if store not in _held:
            _held.clear()  # one store at a time
            _held[store] = _load(store)
        known = _held[store]
        past, found, read = time.time_ns() - int(SETTLED * 1e9), [], 0
        for name, changed in there.items():
            held = known.get(name)
            if held is not None and held[0] == changed:
                found.append(held[1])
                continue
            found.append(summary := summarise(store / name))
            known.pop(name, None)
            if summary.problem is None and changed < past:
                known[name] = changed, summary
                read += 1
        gone = [name for name in known if name not in there and wanted(name)]
        for name in gone:
            del known[name]
        if read + len(gone) >= max(WORTH, len(known) // 50):
            _save(known)
    return found


def forget() -> None:
    """Read the file anew at the next call, as a new process does."""
    with _lock:
        _held.clear()


def _there(store: Path, wanted: Callable[[str], bool]) -> dict[str, int]:
    """The folders of runs and when each was changed, links left out."""
    try:
        with os.scandir(store) as entries:
            return {
                entry.name: entry.stat(follow_symlinks=False).st_mtime_ns
                for entry in entries
                if wanted(entry.name) and entry.is_dir(follow_symlinks=False)
            }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise not_writable(store, error) from error


def _load(store: Path) -> Held:
    """What the file says; nothing where it says nothing that can be used."""
    path = home() / FILE
    try:
        raw = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
    except OSError:
        return {}
    head, _, body = raw.partition(b"\n")
    if head != _head(store, body):
        return {}
    try:
        return _read(store, body)
    except (ValueError, TypeError, RecursionError):
        return {}


def _read(store: Path, body: bytes) -> Held:
    found: Held = {}
    tags = _FIELDS.index("tags")
    for name, changed, spec, values in json.loads(b"[" + body[:-1].replace(b"\n", b",") + b"]"):  # lines at once
        values[tags] = tuple(values[tags])
        said = dict(zip(_FIELDS, values, strict=True))
        found[name] = changed, RunSummary(id=name, path=store / name, spec=Kept(spec), **said)
    return found


def _save(known: Held) -> None:
    """Write the file anew, whole or not at all; a store that cannot be written does without."""
    lines = []
    for name, (changed, summary) in known.items():
        values = [getattr(summary, field) for field in _FIELDS]
        spec = str(summary.spec) if isinstance(summary.spec, Kept) else _dumped(dict(summary.spec))
        lines.append(_dumped([name, changed, spec, values]))
    body = "".join(f"{line}\n" for line in lines).encode("ascii")
    with suppress(StoreNotWritableError, OSError):
        with whole_file(home() / FILE, force=True) as path:
            path.write_bytes(_head(runs_folder(make=False), body) + b"\n" + body)
        (home() / FILE).chmod(0o600)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))  # no end of line is in it


def _head(store: Path, body: bytes) -> bytes:
    """The first line: what the rest is, and its hash, so that a damaged file says nothing at all."""
    said = {"version": VERSION, "store": str(store), "fields": _FIELDS, "sha256": hashlib.sha256(body).hexdigest()}
    return _dumped(said).encode("ascii")
