"""The store of runs: list them, find one, delete one. A broken folder never hides the others."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kencore.allocate.table import UNIFORM
from kencore.errors import NotAllowedError, RunNotFoundError, StoreNotWritableError
from kencore.runs import index, labels
from kencore.runs.naming import Called, told_apart
from kencore.runs.summary import RunSummary as RunSummary
from kencore.runs.summary import summarise as summarise
from kencore.settings.demo import SHIPPED, place
from kencore.system import people
from kencore.system.places import assets_folder, folders_in, gallery_folder, runs_folder

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

POINT = re.compile(r"sweep-[0-9a-f]{12}-")
"""How the id of a point of a sweep begins."""
MOST_LISTS = 16
_told_apart: dict[tuple[str | None, bool], tuple[list[RunSummary], list[RunSummary]]] = {}  # as found, as listed


def is_shipped(folder: Path) -> bool:
    """Whether a run folder is one of those that ship with the project."""
    above = folder.resolve().parents
    return any(place.resolve() in above for place in (assets_folder(), gallery_folder()))


def shipped_folder(run: str) -> Path | None:
    """The folder of a run that ships with the project, by its id; ``None``: there is none of that name."""
    folder = place(SHIPPED[run]) if run in SHIPPED else gallery_folder() / "runs" / run
    plain = Path(run).name == run and run not in ("", ".", "..")
    return folder if plain and _is_folder(folder) else None


def gallery_ids(*, points: bool = False) -> list[str]:
    """Ids of the runs that ship beside the demos', by name; with ``points`` those of a sweep too."""
    folder = gallery_folder() / "runs"
    names = sorted(path.name for path in folders_in(folder))
    return [name for name in names if points or not POINT.match(name)]


def find_run(run: str) -> Path:
    """The folder of a run, by id or by path.

    Raises:
        RunNotFoundError: neither a run of the store nor a run folder; on a server, not one of who looks.
    """
    if people.viewer() is not None:
        return find_stored_run(run)
    if run in SHIPPED and (shipped := shipped_folder(run)):
        return shipped
    in_store = run not in ("", ".", "..") and Path(run).name == run and not run.startswith(".")
    if in_store and _is_folder(folder := runs_folder(make=False) / run):
        return _inside(folder)
    for other in (shipped_folder(run), Path(run)):
        if other is not None and _is_folder(other):
            return other
    raise RunNotFoundError(
        repr(run),
        got="no such run in the store",
        wanted="the id of a finished run or its folder",
        remedy=f"{nearest(run)}List the runs with `python -m kencore runs`.",
    )


def nearest(run: str) -> str:
    """The ids of runs that a mistyped one may mean, as a question; "" where none is like it."""
    own = [] if people.viewer() is not None else folders_in(runs_folder(make=False))  # ids of others are not told
    names = [*SHIPPED, *gallery_ids(), *(folder.name for folder in own if not folder.name.startswith("."))]
    near = difflib.get_close_matches(run, names, n=3)
    begins = [name for name in names if run and name.startswith(run)][:3]
    found = list(dict.fromkeys([*near, *begins]))[:3]
    return f"Did you mean {' or '.join(found)}? " if found else ""


def find_stored_run(run: str) -> Path:
    """The folder of a run of the store or of one that ships, by id only: for ids that come from a link.

    One of the store stands before one that ships under its name, unless that is a demo. Where people are told apart,
    what somebody else did not share is not there.

    Raises:
        RunNotFoundError: there is none.
    """
    if run not in SHIPPED and (Path(run).name != run or run.startswith(".") or not run):
        raise RunNotFoundError(
            repr(run),
            got="not the id of a run",
            wanted="an id from the list of runs",
            remedy="Choose a run from the list.",
        )
    folder = place(SHIPPED[run]) if run in SHIPPED else runs_folder(make=False) / run
    if not _is_folder(folder) and (shipped := shipped_folder(run)):
        return shipped
    if run in SHIPPED and _is_folder(folder):
        return folder
    if not _is_folder(folder) or (people.viewer() is not None and not summarise(folder).visible):
        raise RunNotFoundError(
            f"run {run}",
            got="no such run in the store",
            wanted="an id from the list of runs",
            remedy="It may have been deleted. Choose another run from the list.",
        )
    return _inside(folder)


def _inside(folder: Path) -> Path:
    """The folder of a run in the store.

    Raises:
        RunNotFoundError: it, or a file in it, is a link: an id never leads out of the store.
    """
    try:
        with os.scandir(folder) as entries:
            linked = folder.is_symlink() or any(entry.is_symlink() for entry in entries)
    except OSError:
        linked = False  # reading it says what is wrong
    if linked:
        raise RunNotFoundError(
            f"run {folder.name}",
            got="a link to a place outside the store",
            wanted="a run in the store",
            remedy="Give the path of the folder instead, or move the run into the store.",
        )
    return folder


def list_runs(*, points: bool = False) -> list[RunSummary]:
    """All runs: the demos, those of the store (newest first), the gallery; broken ones are listed with their problem.
    Where people are told apart: those that who looks may see.

    Args:
        points: list the points of sweeps too, see `kencore.sweeps.shelf`.
    """
    found = index.summaries(_is_listed if points else _is_no_point)
    summaries = [run for run in found if run.visible and (points or run.sweep is None)]
    summaries.sort(key=lambda run: run.created)
    shipped = {run: place(folder) for run, folder in SHIPPED.items()}
    demos = [summarise(folder, run) for run, folder in shipped.items() if folder.is_dir()]
    own = {run.id for run in summaries}
    gallery = [summarise(gallery_folder() / "runs" / name) for name in gallery_ids(points=points) if name not in own]
    listed = demos + summaries[::-1] + gallery
    if (before := _told_apart.get((people.viewer(), points))) is not None and before[0] == listed:
        return list(before[1])
    apart = told_apart(Called(id=run.id, label=run.label, created=run.created, spec=run.spec) for run in listed)
    named = [run if run.label == apart[run.id] else replace(run, label=apart[run.id]) for run in listed]
    if len(_told_apart) >= MOST_LISTS:
        _told_apart.clear()
    _told_apart[people.viewer(), points] = listed, named
    return list(named)


def _is_listed(name: str) -> bool:
    return not name.startswith(".")


def _is_no_point(name: str) -> bool:
    """By name, since a sweep may have a thousand points; those that were renamed are left out later."""
    return _is_listed(name) and not POINT.match(name)


def bytes_of(owner: str) -> int:
    """Bytes of all runs of a person of a server, points of sweeps included."""
    return sum(run.bytes for run in index.summaries(_is_listed) if run.owner == owner)


def may_change(folder: Path) -> bool:
    """Whether who looks may change or delete a run: it does not ship, and is not somebody else's."""
    return not is_shipped(folder) and (people.viewer() is None or people.may_change(summarise(folder).owner))


def share_run(run: str, shared: bool) -> labels.Label:
    """Let all people of the server see a run, or no longer; returns its label. Raises as `relabel_run`."""
    folder = _own(run)
    label = replace(labels.read_label(folder), shared=shared)
    people.tell("share", run=run, shared=shared)
    labels.write_label(folder, label)
    return label


def relabel_run(
    run: str, *, name: str | None = None, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> labels.Label:
    """Rename a run of the store and change its tags; returns its label. Its records stay as they are.

    Args:
        name: a name of its own, "" to call it by its settings again, ``None`` to leave it as it is called.
        add, remove: tags.

    Raises:
        RunNotFoundError: no such run, or a shipped one.
        NotAllowedError: somebody else's.
        SpecError: a name or a tag that cannot be.
        StoreNotWritableError: the label cannot be written.
    """
    folder = _own(run)
    label = labels.read_label(folder).with_tags(add, remove)
    if name is not None:
        label = replace(label, name=name.strip() or None)
    people.tell("rename", run=run)
    labels.write_label(folder, label)
    return label


def _own(run: str) -> Path:
    """The folder of a run of the store that who looks may change."""
    if run in SHIPPED or is_shipped(find_stored_run(run)):
        raise RunNotFoundError(
            f"the {run} run", got="it ships with the project", wanted="a run of your own", remedy="Choose another run."
        )
    folder = find_stored_run(run)
    if not may_change(folder):
        raise NotAllowedError(
            f"run {run}",
            got="a run that is shared, not yours",
            wanted="a run of your own",
            remedy="Look at it as it is, or ask its owner.",
        )
    return folder


def delete_run(run: str) -> None:
    """Delete a run of the store; what ships with the project cannot be deleted.

    Raises:
        RunNotFoundError: no such run, or a shipped one.
        StoreNotWritableError: the folder cannot be removed.
    """
    folder = _own(run)
    gone = folder.with_name(f".deleted-{folder.name}")
    people.tell("delete", run=run)
    try:
        folder.rename(gone)  # absent at once, even if removing the files takes a while
        shutil.rmtree(gone)
    except OSError as error:
        raise StoreNotWritableError(
            f"run {run}",
            got=f"it cannot be removed ({error})",
            wanted="a store to write to",
            remedy="Check the permissions of the folder.",
        ) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no folder can have
        return False


def sweep_leftovers(older: float = 86_400) -> None:
    """Remove what processes that were killed left in the store, unchanged for ``older`` seconds."""
    for folder in folders_in(runs_folder(make=False)):
        if folder.name.startswith("."):
            with contextlib.suppress(OSError):  # somebody else sweeps, or it is in use
                newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
                if time.time() - newest > older:
                    shutil.rmtree(folder)


def run_folder(spec: PruneSpec, out: str | Path | None) -> Path:
    """Where the run is written: ``out``, or a new folder in the store, which is swept first."""
    if out is not None:
        # a link to an empty folder cannot be replaced by a folder, what it leads to can
        return Path(os.path.realpath(out))
    sweep_leftovers()
    return runs_folder() / new_run_id(spec)


def new_run_id(spec: PruneSpec) -> str:
    """A readable id: method, allocation, budget and eight random letters."""
    short = {"keep": "", "k": "k", "bits": "bits", "bytes": "", "kl": "kl", "same": "same"}
    given = next(name for name in short if getattr(spec, name) is not None)
    budget = f"{short[given]}{getattr(spec, given):.12g}"
    spread = "" if spec.allocation == UNIFORM else f"{spec.allocation}-"
    return f"{spec.method}-{spread}{budget}-{uuid.uuid4().hex[:8]}"
