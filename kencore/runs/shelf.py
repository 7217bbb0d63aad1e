"""The store of runs: list them, find one, delete one. A broken folder never hides the others."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kencore.allocate.table import UNIFORM
from kencore.errors import CorruptRunError, RunNotFoundError, SchemaError, StoreNotWritableError
from kencore.runs import FILES
from kencore.runs.reading import read_files
from kencore.settings.demo import DEMOS, SHIPPED, place
from kencore.system.places import runs_folder

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

POINT = re.compile(r"sweep-[0-9a-f]{12}-")
"""How the id of a point of a sweep begins."""
PLAIN_NAMES = frozenset({"tuned", "model", "final", "best", "finetuned", "fine-tuned", "checkpoint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of the list of runs; ``problem`` says why a folder cannot be opened, ``sweep`` is
    the id of the sweep that the run is a point of.
    """

    id: str
    path: Path
    label: str
    created: str
    problem: str | None = None
    sweep: str | None = None


def is_shipped(folder: Path) -> bool:
    """Whether a run folder is one of those that ship with the project."""
    return any(folder.resolve() == place(shipped).resolve() for shipped in SHIPPED.values())


def find_run(run: str) -> Path:
    """The folder of a run, by id or by path.

    Raises:
        RunNotFoundError: neither a run of the store nor a run folder.
    """
    if run in SHIPPED and (shipped := place(SHIPPED[run])).is_dir():
        return shipped
    in_store = run not in ("", ".", "..") and Path(run).name == run and not run.startswith(".")
    for folder in ((runs_folder() / run,) if in_store else ()) + (Path(run),):
        if _is_folder(folder):
            return folder
    raise RunNotFoundError(
        repr(run),
        got="no such run in the store",
        wanted="the id of a finished run or its folder",
        remedy=f"{nearest(run)}List the runs with `python -m kencore runs`.",
    )


def nearest(run: str) -> str:
    """The ids of runs that a mistyped one may mean, as a question; "" where none is like it."""
    names = [*SHIPPED, *(folder.name for folder in _folders(runs_folder()) if not folder.name.startswith("."))]
    near = difflib.get_close_matches(run, names, n=3)
    begins = [name for name in names if run and name.startswith(run)][:3]
    found = list(dict.fromkeys([*near, *begins]))[:3]
    return f"Did you mean {' or '.join(found)}? " if found else ""


def find_stored_run(run: str) -> Path:
    """The folder of a run of the store or a demo, by id only: for ids that come from a link."""
    if run not in SHIPPED and (Path(run).name != run or run.startswith(".") or not run):
        raise RunNotFoundError(
            repr(run),
            got="not the id of a run",
            wanted="an id from the list of runs",
            remedy="Choose a run from the list.",
        )
    folder = place(SHIPPED[run]) if run in SHIPPED else runs_folder() / run
    if not _is_folder(folder):
        raise RunNotFoundError(
            f"run {run}",
            got="no such run in the store",
            wanted="an id from the list of runs",
            remedy="It may have been deleted. Choose another run from the list.",
        )
    return folder


def list_runs(*, points: bool = False) -> list[RunSummary]:
    """All runs, the demos first, then newest first; broken ones are listed with their problem.

    Args:
        points: list the points of sweeps too, see `kencore.sweeps.shelf`.
    """
    found = [path for path in _folders(runs_folder()) if not path.name.startswith(".")]
    if not points:  # by name, since there may be a thousand; then those that were renamed
        found = [path for path in found if not POINT.match(path.name)]
    summaries = [run for run in map(summarise, found) if points or run.sweep is None]
    summaries.sort(key=lambda run: run.created)
    shipped = {run: place(folder) for run, folder in SHIPPED.items()}
    demos = [summarise(folder, run) for run, folder in shipped.items() if folder.is_dir()]
    return demos + summaries[::-1]


def summarise(folder: Path, name: str | None = None) -> RunSummary:
    """Read two small files of a run: quick enough for a list."""
    name = name or folder.name
    label, created, sweep = name, "", None
    missing = [file for file in FILES if not (folder / file).is_file()]
    problem = f"no {', '.join(missing)}" if missing else None
    try:
        files = read_files(folder, "spec.json")
        spec, record = files["spec.json"]["spec"], files["record.json"]
        created, sweep = str(record["created"]), record.get("sweep")
        label = describe(spec) + _tuned(record.get("tuned"))
    except SchemaError as error:
        problem = error.reason
    except (CorruptRunError, OSError, ValueError, KeyError, TypeError) as error:
        problem = problem or f"spec.json or record.json cannot be read ({error})"
    return RunSummary(id=name, path=folder, label=label, created=created, problem=problem, sweep=sweep)


def describe(spec: dict[str, object]) -> str:
    """One line for a person: model, method, allocation if not uniform, and budget."""
    short = short_name(str(spec["model"]))
    keep = spec.get("keep")
    budget = f"k = {spec['k']}" if keep is None else f"{float(str(keep)) * 100:.4g} %"
    if keep is not None and "base" in spec and spec["base"] is None:  # the rest becomes zero
        budget = f"{100 - float(str(keep)) * 100:.4g} % sparse"
    scope = spec.get("scope") or ["all"]
    where = "" if list(scope) == ["all"] else f" · {' + '.join(map(str, scope))}"  # type: ignore[call-overload]
    words = [spec["method"], spec.get("allocation", "uniform"), spec.get("refine", "none")]
    rescale = spec.get("rescale", "none")
    words += ["none" if rescale == "none" else f"rescaled by {rescale}"]
    method = " + ".join(str(word) for word in words if word not in ("uniform", "none"))
    balance = "".join(f" · {factor}" for factor in spec.get("balance") or ())  # type: ignore[attr-defined]
    return f"{short} · {method} {budget}{where}{balance}"


def _tuned(tuned: dict[str, int] | None) -> str:
    """What a run's label says of recovery after pruning."""
    return "" if tuned is None else f" · tuned {tuned['steps']:,} steps"


def short_name(model: str) -> str:
    """A model in a few letters, by what the person wrote."""
    if model in DEMOS:
        return DEMOS[model].short
    named = Path(model)
    if named.name.lower() in PLAIN_NAMES and named.parent.name:  # says nothing without its folder
        return f"{named.parent.name}/{named.name}"
    return named.name


def delete_run(run: str) -> None:
    """Delete a run of the store; what ships with the project cannot be deleted.

    Raises:
        RunNotFoundError: no such run, or a shipped one.
        StoreNotWritableError: the folder cannot be removed.
    """
    if run in SHIPPED:
        raise RunNotFoundError(
            f"the {run} run", got="it ships with the project", wanted="a run of your own", remedy="Choose another run."
        )
    folder = find_stored_run(run)
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
    except OSError:  # a name that no folder can have
        return False


def sweep_leftovers(older: float = 86_400) -> None:
    """Remove what processes that were killed left in the store, unchanged for ``older`` seconds."""
    for folder in _folders(runs_folder()):
        if folder.name.startswith("."):
            with contextlib.suppress(OSError):  # somebody else sweeps, or it is in use
                newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
                if time.time() - newest > older:
                    shutil.rmtree(folder)


def _folders(parent: Path) -> list[Path]:
    with os.scandir(parent) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def run_folder(spec: PruneSpec, out: str | Path | None) -> Path:
    """Where the run is written: ``out``, or a new folder in the store, which is swept first."""
    if out is not None:
        # a link to an empty folder cannot be replaced by a folder, what it leads to can
        return Path(os.path.realpath(out))
    sweep_leftovers()
    return runs_folder() / new_run_id(spec)


def new_run_id(spec: PruneSpec) -> str:
    """A readable id: method, allocation, budget and eight random letters."""
    budget = f"k{spec.k}" if spec.k is not None else f"{spec.keep:g}"
    spread = "" if spec.allocation == UNIFORM else f"{spec.allocation}-"
    return f"{spec.method}-{spread}{budget}-{uuid.uuid4().hex[:8]}"
