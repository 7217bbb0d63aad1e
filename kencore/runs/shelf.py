"""The store of runs: list them, find one, delete one. A broken folder never hides the others."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kencore.allocate.table import UNIFORM
from kencore.errors import CorruptRunError, RunNotFoundError, SchemaError, StoreNotWritableError
from kencore.runs import CELLS, FILES, labels, missing_files
from kencore.runs.naming import Called, describe, told_apart
from kencore.runs.reading import read_files
from kencore.settings.demo import SHIPPED, place
from kencore.system.places import assets_folder, folders_in, gallery_folder, runs_folder

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

POINT = re.compile(r"sweep-[0-9a-f]{12}-")
"""How the id of a point of a sweep begins."""
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
        RunNotFoundError: neither a run of the store nor a run folder.
    """
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
    names = [
        *SHIPPED,
        *gallery_ids(),
        *(folder.name for folder in folders_in(runs_folder(make=False)) if not folder.name.startswith(".")),
    ]
    near = difflib.get_close_matches(run, names, n=3)
    begins = [name for name in names if run and name.startswith(run)][:3]
    found = list(dict.fromkeys([*near, *begins]))[:3]
    return f"Did you mean {' or '.join(found)}? " if found else ""


def find_stored_run(run: str) -> Path:
    """The folder of a run of the store or of one that ships, by id only: for ids that come from a link.

    One of the store stands before one that ships under its name, unless that is a demo.
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
    if not _is_folder(folder):
        raise RunNotFoundError(
            f"run {run}",
            got="no such run in the store",
            wanted="an id from the list of runs",
            remedy="It may have been deleted. Choose another run from the list.",
        )
    return folder if run in SHIPPED else _inside(folder)


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

    Args:
        points: list the points of sweeps too, see `kencore.sweeps.shelf`.
    """
    found = [path for path in folders_in(runs_folder(make=False)) if not path.name.startswith(".")]
    if not points:  # by name, since there may be a thousand; then those that were renamed
        found = [path for path in found if not POINT.match(path.name)]
    summaries = [run for run in map(summarise, found) if points or run.sweep is None]
    summaries.sort(key=lambda run: run.created)
    shipped = {run: place(folder) for run, folder in SHIPPED.items()}
    demos = [summarise(folder, run) for run, folder in shipped.items() if folder.is_dir()]
    own = {run.id for run in summaries}
    gallery = [summarise(gallery_folder() / "runs" / name) for name in gallery_ids(points=points) if name not in own]
    listed = demos + summaries[::-1] + gallery
    apart = told_apart(Called(id=run.id, label=run.label, created=run.created, spec=run.spec) for run in listed)
    return [run if run.label == apart[run.id] else replace(run, label=apart[run.id]) for run in listed]


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
    missing = missing_files(folder)
    problem = f"no {', '.join(missing)}" if missing else None
    try:
        files = read_files(folder, "spec.json")
        spec, record = files["spec.json"]["spec"], files["record.json"]
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
    )


def _tuned(tuned: dict[str, int] | None) -> str:
    """What a run's label says of recovery after pruning."""
    return "" if tuned is None else f" · {tuned['steps']:,} steps of recovery"


def relabel_run(
    run: str, *, name: str | None = None, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> labels.Label:
    """Rename a run of the store and change its tags; returns its label. Its records stay as they are.

    Args:
        name: a name of its own, "" to call it by its settings again, ``None`` to leave it as it is called.
        add, remove: tags.

    Raises:
        RunNotFoundError: no such run, or a shipped one.
        SpecError: a name or a tag that cannot be.
        StoreNotWritableError: the label cannot be written.
    """
    folder = _own(run)
    label = labels.read_label(folder).with_tags(add, remove)
    if name is not None:
        label = replace(label, name=name.strip() or None)
    labels.write_label(folder, label)
    return label


def _own(run: str) -> Path:
    """The folder of a run of the store that is not a shipped one."""
    if run in SHIPPED or is_shipped(find_stored_run(run)):
        raise RunNotFoundError(
            f"the {run} run", got="it ships with the project", wanted="a run of your own", remedy="Choose another run."
        )
    return find_stored_run(run)


def delete_run(run: str) -> None:
    """Delete a run of the store; what ships with the project cannot be deleted.

    Raises:
        RunNotFoundError: no such run, or a shipped one.
        StoreNotWritableError: the folder cannot be removed.
    """
    folder = _own(run)
    gone = folder.with_name(f".deleted-{folder.name}")
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
    short = {"keep": "", "k": "k", "bits": "bits", "bytes": "", "kl": "kl"}
    given = next(name for name in short if getattr(spec, name) is not None)
    budget = f"{short[given]}{getattr(spec, given):.12g}"
    spread = "" if spec.allocation == UNIFORM else f"{spec.allocation}-"
    return f"{spec.method}-{spread}{budget}-{uuid.uuid4().hex[:8]}"
