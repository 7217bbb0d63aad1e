"""Sweeps in the store: list them, open one, delete one. Light: nothing here imports torch.

A sweep is a folder ``sweeps/<id>`` below the store's home:

    sweep.json      what was asked, with versions, and hashes of the checkpoints and the data
    journal.jsonl   when each point began and how it ended (`kencore.sweeps.journal`)

Its points are ordinary runs of the store, ``runs/sweep-<id>-<point>``: `open_run` opens each, and
everything else that is known of a sweep is read from them. ``record.json`` of a point says
``sweep`` (the id) and ``totals`` (as `Run.totals`).

    sweep = open_sweep("3f2a9c01d4e5")
    sweep.progress                      # planned, done, failed, missing
    sweep.points                        # one line per planned point
    sweep.dense, sweep.baselines        # what the points are compared with
    kencore.views.tradeoff.curve(sweep.points, sweep.baselines)
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from kencore.errors import CorruptRunError, KencoreError, SchemaError, StoreNotWritableError, SweepNotFoundError
from kencore.runs.forms import misfit, unmeasured
from kencore.runs.naming import short_name
from kencore.runs.reading import read_files
from kencore.settings.prune import PruneSpec
from kencore.settings.sweep import Skipped, SweepSpec
from kencore.sweeps.journal import failures, read
from kencore.sweeps.lines import BASELINE_COLUMNS, POINT_COLUMNS, baseline_lines, point_line, said_once
from kencore.sweeps.places import busy, is_done, lock_file, point_folder, shard_lock
from kencore.system import people, schema
from kencore.system.locks import FileLock
from kencore.system.places import folders_in, gallery_folder, runs_folder, sweeps_folder
from kencore.system.plain_json import read_json_object

FORM = {
    "spec": dict,
    "created": str,
    "owner": str,
    "versions": {...: str},
    "fingerprint": {"checkpoints": {...: str}, "evaluation": str},
}
TOTALS = {"kept", "pruned", "bytes_dense", "bytes_stored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """One line of the list of sweeps; ``problem`` says why a folder cannot be opened.

    Attributes:
        planned, done, failed: points; what is neither done nor failed is missing.
        running: a process works on it at this moment.
    """

    id: str
    path: Path
    label: str
    created: str
    planned: int = 0
    done: int = 0
    failed: int = 0
    running: bool = False
    problem: str | None = None
    owner: str | None = None


class Sweep:
    """One sweep. Opening reads one small JSON file; the rest is read when it is asked for, once:
    open it again to see what has changed.

    Attributes:
        id, path: of its folder.
        spec: what was asked.
        created: UTC, ISO 8601.
        owner: whose it is on a server, ``None``: everybody's.
        asked: the content of ``sweep.json``.

    Raises:
        SchemaError: it was made by a newer version, or by one that is too old.
        CorruptRunError: ``sweep.json`` cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.asked: dict[str, Any] = read_json_object(path / "sweep.json", ours=True)
            schema.migrate("sweep", f"sweep {path.name}", self.asked)
            if wrong := misfit(FORM, self.asked):
                raise ValueError(f"a wrong value of {wrong[:100]}")
            self.spec = SweepSpec.from_dict(self.asked["spec"])
            self.created = str(self.asked["created"])
        except SchemaError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, KencoreError) as error:
            raise CorruptRunError(
                f"sweep {path.name}",
                got=f"sweep.json cannot be read ({error})",
                wanted="a whole sweep folder",
                remedy="Delete it and start the sweep again.",
            ) from error
        self.owner: str | None = self.asked.get("owner")
        self.id = self.spec.id_for(self.owner)

    @property
    def label(self) -> str:
        """One line for a person: the model and the size of the grid."""
        return describe(self.spec)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Combinations of the grid that cannot be, each with the reason."""
        return self.spec.skipped()

    @property
    def running(self) -> bool:
        """Whether a process works on the sweep at this moment."""
        lock = FileLock(lock_file(self.id))
        if not lock.path.exists():
            return False
        try:
            free = lock.acquire()
        except OSError:  # a store that this account may not write to
            return False
        lock.release()
        return not free

    @cached_property
    def plan(self) -> dict[str, PruneSpec]:
        """The planned points by the id of their run, in the order of the grid."""
        return {self.spec.point_id(point, self.id): point for point in self.spec.points()}

    @cached_property
    def journal(self) -> list[dict[str, Any]]:
        """What happened, see `kencore.sweeps.journal`."""
        return read(self.path)

    @cached_property
    def failures(self) -> dict[str, str]:
        """Why points failed, by the id of their run; a point that is done did not."""
        found = failures(self.journal)
        return {name: found[name] for name in self.plan if name in found and not is_done(name)}

    @property
    def progress(self) -> dict[str, int]:
        """Counts of points: planned, done, failed, missing."""
        done, failed = sum(map(is_done, self.plan)), len(self.failures)
        planned = len(self.plan)
        return {"planned": planned, "done": done, "failed": failed, "missing": planned - done - failed}

    @cached_property
    def points(self) -> pd.DataFrame:
        """One line per planned point, in the order of the grid.

        Columns: ``run`` (id), ``method``, ``allocation``, ``rescale``, ``keep`` (share, NaN where
        ``k`` is given), ``k`` (entries per row, ``<NA>`` where ``keep`` is), ``bits`` and ``bytes`` (of the file, of
        coded differences, which have neither ``keep`` nor ``k``), ``seed``, ``restore``
        (``base`` or ``zero``), ``state`` (``done``, ``missing`` or ``failed``), ``reason`` (of a
        failure, else empty), ``kept`` and ``kept_share`` (entries of the pruned matrices),
        ``bytes_dense``, ``bytes_stored``, ``metric`` (``accuracy``, ``similarity`` or ``perplexity``), ``quality``
        with its 95 % interval ``low`` to ``high``, ``f1_macro`` with its own ``f1_low`` to
        ``f1_high``, ``loss`` (mean cross-entropy in nats: of an example or of a token) and
        ``seconds`` (of the point alone, what it shares not counted).
        What was not measured, or not yet, is NaN or ``<NA>``.
        """
        lines = [
            point_line(name, point, self._records.get(name), self.failures.get(name))
            for name, point in self.plan.items()
        ]
        table = pd.DataFrame(lines, columns=list(POINT_COLUMNS))
        return table.astype(POINT_COLUMNS)

    @cached_property
    def dense(self) -> dict[str, Any] | None:
        """What was measured of the dense model; ``None`` where nothing was, or not yet."""
        measured = (metrics.get("dense") for _, metrics in self._records.values())
        return next((dict(dense) for dense in measured if dense), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the models and the data, each once; see `Run.notes`."""
        return said_once(self._records.values())

    @cached_property
    def baselines(self) -> pd.DataFrame:
        """One line per baseline that was measured, budget by budget.

        Columns: ``baseline`` (``random``, ``magnitude``, ``delta``, ``dare``, ... or ``uniform``,
        the method spread evenly), ``method`` (of the points it stands beside; the rule itself but
        for ``uniform``), ``rescale``, ``keep``, ``k``, ``bits``, ``bytes``, ``seed``, ``restore``, ``kept_share``,
        ``bytes_stored`` (of a point beside it, which keeps as many), ``metric``, ``quality``,
        ``low``, ``high``, ``f1_macro``, ``f1_low``, ``f1_high``, ``loss``.
        """
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for name, (record, metrics) in self._records.items():
            for key, line in baseline_lines(self.plan[name], record, metrics):
                lines.setdefault(key, line)
        table = pd.DataFrame(list(lines.values()), columns=list(BASELINE_COLUMNS))
        return table.astype(BASELINE_COLUMNS)

    @cached_property
    def _records(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """``record.json`` and ``metrics.json`` of the points that are done."""
        found = {}
        for name in filter(is_done, self.plan):
            with contextlib.suppress(CorruptRunError):  # deleted meanwhile, or damaged: it is missing
                folder = point_folder(name)
                files = read_files(folder, "metrics.json")
                if not unmeasured(files["metrics.json"]):
                    found[name] = (_with_totals(folder, files["record.json"]), files["metrics.json"])
        return found


def open_sweep(sweep: str | Path) -> Sweep:
    """Open a sweep by its id, or by its folder.

    Raises:
        SweepNotFoundError: neither a sweep of the store nor the folder of one.
        SchemaError: a newer version made it, or one that is too old.
        CorruptRunError: its ``sweep.json`` cannot be read.
    """
    return Sweep(find_sweep(str(sweep)))


def open_stored_sweep(sweep: str) -> Sweep:
    """Open a sweep of the store or one that ships, by its id alone: for ids that come from a link. Raises as
    `open_sweep`.
    """
    return Sweep(find_sweep(sweep, by_path=False))


def find_sweep(sweep: str, *, by_path: bool = True) -> Path:
    """The folder of a sweep, by id or by path; where people are told apart, by id, and one of who looks.

    Raises:
        SweepNotFoundError: neither.
    """
    plain = Path(sweep).name == sweep and not sweep.startswith(".") and bool(sweep)
    store = sweeps_folder(make=False)
    named: tuple[Path, ...] = (store / sweep, gallery_folder() / "sweeps" / sweep) if plain else ()
    if by_path and people.viewer() is None:
        named = (*named, Path(sweep))
    for folder in named:
        with contextlib.suppress(OSError, ValueError):  # a name that no folder can have
            file = folder / "sweep.json"
            leads_out = folder.parent == store and (folder.is_symlink() or file.is_symlink())
            if leads_out:  # an id never leads out of the store
                continue
            if file.is_file() and people.may_see(_owner(folder)):
                return folder
    raise SweepNotFoundError(
        repr(sweep),
        got="no such sweep in the store",
        wanted="the id of a sweep or its folder",
        remedy="List the sweeps with `python -m kencore sweeps`.",
    )


def _owner(folder: Path) -> str | None:
    """Whose a sweep is; nobody's where that cannot be read. Not asked where it does not matter."""
    if people.viewer() is None:
        return None
    try:
        return Sweep(folder).owner
    except (CorruptRunError, SchemaError):
        return people.NOBODY


def list_sweeps() -> list[SweepSummary]:
    """All sweeps, newest first, those that ship with the project last; broken ones are listed with their problem."""
    own, shipped = (_folders(folder) for folder in (sweeps_folder(make=False), gallery_folder() / "sweeps"))
    found = [
        sorted(map(_summarise, paths.values()), key=lambda sweep: sweep.created, reverse=True)
        for paths in (own, {name: path for name, path in shipped.items() if name not in own})
    ]
    return [sweep for sweep in (*found[0], *found[1]) if people.may_see(sweep.owner)]


def _folders(parent: Path) -> dict[str, Path]:
    return {path.name: path for path in folders_in(parent) if not path.name.startswith(".")}


def is_own(sweep: str) -> bool:
    """Whether who looks may delete a sweep: it is of the store, and not somebody else's."""
    folder = find_sweep(sweep)
    stored = folder.parent.resolve() == sweeps_folder(make=False).resolve()
    return stored and (people.viewer() is None or people.may_change(_owner(folder)))


def delete_sweep(sweep: str) -> None:
    """Delete a sweep of the store and all of its points.

    Raises:
        SweepNotFoundError: no such sweep in the store.
        SweepBusyError: a process works on it.
        StoreNotWritableError: something cannot be removed.
    """
    folder = find_sweep(sweep)
    if not is_own(sweep):
        raise SweepNotFoundError(
            repr(sweep),
            got="a folder outside of the store, or not yours",
            wanted="the id of a sweep of your own",
            remedy="Remove the folder yourself.",
        )
    people.tell("delete", sweep=folder.name)
    lock = FileLock(lock_file(folder.name))
    if not lock.acquire():
        raise busy(folder.name)
    try:
        for half in ("", "."):
            for point in runs_folder().glob(f"{half}sweep-{folder.name}-*"):
                shutil.rmtree(point)
        shutil.rmtree(folder)  # last: cut off before, it can be deleted again
        with contextlib.suppress(PermissionError):  # Windows keeps a file that is open
            for own in lock.path.parent.glob(shard_lock(folder.name, "*").name):
                own.unlink()
            lock.path.unlink()
    except OSError as error:
        raise StoreNotWritableError(
            f"sweep {sweep}",
            got=f"it cannot be removed ({error})",
            wanted="a store to write to",
            remedy="Check the permissions of the folder.",
        ) from error
    finally:
        lock.release()


def describe(spec: SweepSpec) -> str:
    """One line for a person: the model and the size of the grid."""
    axes = ("methods", "allocations", "rescales", "seeds")
    counts = {name: len(getattr(spec, name)) for name in axes}
    words = [", ".join(spec.methods)]
    words += [f"{count} {name}" for name, count in counts.items() if name != "methods" and count > 1]
    budgets = len(spec.keeps) + len(spec.ks) + len(spec.bits) + len(spec.bytes)
    words += [f"{budgets} budget{'s' if budgets > 1 else ''}"]
    return f"{short_name(spec.model)} · {' × '.join(words)}"


def _summarise(folder: Path) -> SweepSummary:
    try:
        sweep = Sweep(folder)
        counts, label, running = sweep.progress, sweep.label, sweep.running
    except (CorruptRunError, SchemaError) as error:
        problem = error.reason if isinstance(error, SchemaError) else error.got
        return _broken(folder, problem)
    except Exception as error:  # noqa: BLE001 - whatever a folder holds, it never hides the others
        problem = f"it cannot be read ({type(error).__name__}: {error})"
        return _broken(folder, problem)
    return SweepSummary(
        id=sweep.id,
        path=folder,
        label=label,
        created=sweep.created,
        planned=counts["planned"],
        done=counts["done"],
        failed=counts["failed"],
        running=running,
        owner=sweep.owner,
    )


def _broken(folder: Path, problem: str) -> SweepSummary:
    """Nobody's, as long as it cannot be read whose."""
    return SweepSummary(
        id=folder.name, path=folder, label=folder.name, created="", problem=problem, owner=people.NOBODY
    )


def _with_totals(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run, with its totals where a run of another making has none."""
    if (record.get("totals") or {}).keys() >= TOTALS and record["totals"]["pruned"]:
        return dict(record)
    from kencore.runs.run import Run

    return {**record, "totals": Run(folder).totals}
