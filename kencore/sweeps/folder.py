"""The folder of a sweep that is being worked on: its lock, what it began with, what is checked."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.errors import CheckpointChangedError, DataFileError, RunExistsError, StoreNotWritableError
from kencore.runs.lines import PACKAGES
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.places import busy, lock_file, remains, shard_lock
from kencore.sweeps.shelf import Sweep
from kencore.system import people, schema
from kencore.system.locks import FileLock
from kencore.system.places import not_writable, private_folder, sweeps_folder
from kencore.system.plain_json import json_text
from kencore.system.shard import Shard
from kencore.system.whole import whole_file

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.checkpoint.tensors import Tensors
    from kencore.data.examples import Examples
    from kencore.data.lines import Lines
    from kencore.models.language import Windows

TRY_AGAIN = 0.05
WHOLE = Shard()


@contextmanager
def working_on(spec: SweepSpec, patience: float, shard: Shard = WHOLE) -> Iterator[None]:
    """Be the only process that works on a sweep, or on a shard of it.

    Shards hold the sweep's lock together, so that the whole sweep and a shard exclude each other, and each one its own.

    Raises:
        SweepBusyError: another one was at it for ``patience`` seconds.
        StoreNotWritableError: the lock cannot be made.
    """
    locks = [FileLock(_lock_path(spec), shared=not shard.alone)]
    if not shard.alone:
        locks.append(FileLock(shard_lock(spec.id, str(shard).replace("/", "of"))))
    deadline = time.monotonic() + patience
    while not _all_held(locks):
        _release(locks)
        if time.monotonic() >= deadline:
            raise busy(spec.id)
        time.sleep(TRY_AGAIN)
    try:
        yield
    finally:
        _release(locks)


def _all_held(locks: list[FileLock]) -> bool:
    """Whether all of them are held now; one that was deleted took its lock along."""
    try:
        return all(lock.acquire() and lock.is_in_place() for lock in locks)
    except OSError as error:
        _release(locks)
        raise not_writable(locks[0].path, error) from error


def _release(locks: list[FileLock]) -> None:
    for lock in locks:
        lock.release()


def _lock_path(spec: SweepSpec) -> Path:
    sweeps_folder()
    return lock_file(spec.id)


def begin(
    spec: SweepSpec, pairs: Sequence[Pair], data: Examples | Windows | Lines | None, points: Collection[str]
) -> Path:
    """Make the folder of a sweep, or check that the one that is there began with the same.

    What a process that was killed left half written of these points is removed.

    Args:
        points: the runs that are to be made.
        pairs: the checkpoints that its points are made of.
        data: what they are measured on.

    Raises:
        CheckpointChangedError, DataFileError: something is not what the sweep began with.
        SchemaError, CorruptRunError: its ``sweep.json`` cannot be read.
        StoreNotWritableError: the folder cannot be made.
    """
    folder = sweeps_folder() / spec.id
    found = fingerprint(pairs, data)
    for point in points:
        for half in remains(point):
            shutil.rmtree(half, ignore_errors=True)
    if (folder / "sweep.json").is_file():
        _check(Sweep(folder), found)
        return folder
    asked = {
        "version": schema.current("sweep"),
        "spec": asdict(spec),
        "fingerprint": found,
        "versions": {name: version(name) for name in PACKAGES},
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    if (owner := people.owner()) is not None:
        asked["owner"] = owner
    try:
        with whole_file(private_folder(folder) / "sweep.json") as file:
            file.write_text(json_text(asked), "utf-8")
    except StoreNotWritableError:
        with suppress(OSError):  # another shard may be at it
            folder.rmdir()  # a folder without its file would be listed as a broken sweep
        raise
    except RunExistsError:  # another shard was quicker
        _check(Sweep(folder), found)
    return folder


def fingerprint(pairs: Sequence[Pair], data: Examples | Windows | Lines | None) -> dict[str, Any]:
    """Hashes of what the points depend on: of each checkpoint by its folder, and of the data."""
    opened: dict[str, Tensors] = {}
    for pair in pairs:
        for tensors in pair.opened:
            opened.setdefault(str(tensors.folder), tensors)
    return {
        "checkpoints": {folder: _hash(tensors) for folder, tensors in opened.items()},
        "evaluation": None if data is None else data.sha256,
    }


def _hash(tensors: Tensors) -> str:
    """Hash of names, types, shapes and bytes of all tensors."""
    found = hashlib.sha256()
    for name in sorted(tensors.names):
        info = tensors.info(name)
        found.update(f"{name} {info.dtype} {tuple(info.shape)} {tensors.sha256(name)}\n".encode())
        tensors.release()
    return found.hexdigest()


def _check(sweep: Sweep, found: dict[str, Any]) -> None:
    remedy = f"Put it back as it was, or delete sweep {sweep.id} and start it again."
    began = sweep.asked.get("fingerprint") or {}
    before, now = began.get("checkpoints") or {}, found["checkpoints"]
    for folder in now:
        if now[folder] != before.get(folder):
            raise CheckpointChangedError(
                f"checkpoint {folder}",
                got=f"content {now[folder][:12]}",
                wanted=f"{str(before.get(folder))[:12]}, as when sweep {sweep.id} began",
                remedy=remedy,
            )
    if found["evaluation"] != began.get("evaluation"):
        raise DataFileError(
            f"evaluation data {sweep.spec.evaluation}",
            got=f"content {str(found['evaluation'])[:12]}",
            wanted=f"{str(began.get('evaluation'))[:12]}, as when sweep {sweep.id} began",
            remedy=remedy,
        )
