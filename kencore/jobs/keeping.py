"""A pruning that was made to be looked at becomes a run of the store."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from kencore.errors import StoreNotWritableError
from kencore.jobs.api import result, status
from kencore.runs.run import Run
from kencore.system.places import runs_folder

PREFIX = "tuned"


def made_run(job: str) -> Path:
    """The folder of the run that a ``retune`` job made.

    Raises:
        JobNotFoundError: no such job.
        RunNotFoundError: it has not succeeded, or its result was removed.
    """
    return result(job) / "run"


def keep_run(job: str) -> str:
    """Put the run of a ``retune`` job into the store; its id. The second time nothing happens.

    Raises:
        JobNotFoundError, RunNotFoundError: as `made_run`.
        CorruptRunError: what the job left is not whole.
        StoreNotWritableError: the store cannot be written.
    """
    spec = status(job).params
    budget = f"k{spec['k']}" if spec.get("k") is not None else f"{float(spec['keep']):g}"
    name = f"{spec.get('method', 'ken')}-{budget}-{PREFIX}-{job.rsplit('-', 1)[-1]}"
    place = runs_folder() / name
    if place.is_dir():
        return name
    made = made_run(job)
    Run(made)  # whole, or nothing is copied
    part = place.with_name(f".{name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(made, part)
        with suppress(FileExistsError):
            part.rename(place)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if place.is_dir():  # another click was first
            return name
        raise StoreNotWritableError(
            f"run {name}",
            got=f"it cannot be written ({error})",
            wanted="a store to write to",
            remedy="Free some space, or check the permissions of the folder.",
        ) from error
    return name
