"""Run a sweep: every point of a grid as a run of the store, what they share done once.

What is shared, by points that differ in method, budget, rescaling or seed alone:

- rules that need no activations: rows are sorted once per matrix and rule for all budgets, in
  batches of runs that are written side by side (`kencore.pruning.by_slices`); one loaded model judges
  all of them (`kencore.quality.judge_model`);
- methods that code differences: one loaded model; every code is tried on every matrix once per seed, and what each
  would do to the answers is measured once (`kencore.pruning.by_bytes.Bench`);
- methods with activations: one loaded model, one capture of the calibration text per seed
  (`kencore.pruning.workbench`);
- the dense model, the base, and a baseline of the same rule, rescaling, seed and budget are
  measured once, also where a baseline is itself a point of the grid; and what a pass costs.

A point holds what `kencore.pruning.prune.prune` would make of it, to the bit. What is finished stays: the
same settings are the same sweep, which goes on where it was cut off.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kencore.checkpoint.pair import open_models
from kencore.errors import KencoreError, StoreNotWritableError
from kencore.settings.prune import PruneSpec
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.folder import WHOLE, begin, working_on
from kencore.sweeps.journal import note
from kencore.sweeps.places import is_done
from kencore.sweeps.shelf import Sweep, open_sweep
from kencore.system.places import runs_folder
from kencore.system.progress import Progress, silent
from kencore.system.shard import Shard

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.models.language import Windows
    from kencore.pruning.by_slices import SliceRun
    from kencore.pruning.workbench import Workbench
    from kencore.quality.judge_model import Judge, Key

SIDE_BY_SIDE = 32  # runs written at once, four open files each
WEIGHTS_SIDE_BY_SIDE = 1 << 28  # of the largest matrix, over all runs: kept values are held
PATIENCE = 10.0
PRUNING = 0.1  # share of a batch's progress; the rest is judging

Points = dict[str, PruneSpec]
Base = tuple[str | None, str | None]


def sweep(
    spec: SweepSpec,
    *,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
    threads: int | None = None,
    patience: float = PATIENCE,
) -> Sweep:
    """Run what is missing of a sweep, or of a shard of it.

    A point that fails is noted in the journal with its message, and does not stop the others; it
    is tried again the next time.

    Args:
        shard: of several processes that share the points, with one store, all with the same number of shards.
        progress: called with (points done, points to do, what is being done); may raise to cancel,
            which leaves the finished points.
        threads: CPU threads; all cores where it is left out.
        patience: seconds to wait for another process that works on this sweep.

    Raises:
        SweepBusyError: another process works on it.
        CheckpointChangedError: a checkpoint is not the one that the sweep began with.
        DataFileError: the evaluation data are not, or cannot be read.
        KencoreError: others that hold for every point: no such model, device or room on the disk.
    """
    report = progress or silent
    report(0, 1, "Opening the checkpoints")
    with working_on(spec, patience, shard):
        _Driver(spec, report, threads, shard).run()
    return open_sweep(spec.id)


class _Driver:
    """One process's work on one sweep."""

    def __init__(self, spec: SweepSpec, report: Progress, threads: int | None, shard: Shard) -> None:
        from kencore.quality.cost import Once
        from kencore.quality.judge import read_data, tell
        from kencore.system.devices import resolve_device

        self.spec, self.report, self.threads = spec, report, threads
        self.device = resolve_device(spec.device)
        points = spec.points()
        self.pairs = {_base(point): open_models(point) for point in _one_per_base(points)}
        folder = next(iter(self.pairs.values())).tuned.folder
        self.data = read_data(folder, points[0])
        tell(self.data, report)
        every = {spec.point_id(point): point for point in shard.of(points)}
        self.folder: Path = begin(spec, list(self.pairs.values()), self.data, every)
        self.todo: Points = {name: p for name, p in every.items() if not is_done(name)}
        self.done = 0
        self.known: dict[Key, dict[str, Any]] = {}  # the dense model, for both kinds of point
        self.once = Once()
        self.marks = {"sweep": spec.id}

    def run(self) -> None:
        """Do what is missing: rules on slices first, then methods with activations."""
        judge: Judge | None = None
        for base, pair in self.pairs.items():
            own = {n: p for n, p in self.todo.items() if _base(p) == base and not p.streams and not p.coded}
            judge = self._slices(pair, own, judge)
            judge = self._coded(pair, {n: p for n, p in self.todo.items() if _base(p) == base and p.coded}, judge)
        del judge  # a second copy of the model
        for base, pair in self.pairs.items():
            own = {n: p for n, p in self.todo.items() if _base(p) == base and p.streams}
            self._language(pair, own)
        self.report(1, 1, "Done")

    def _tell(self, share: float, of: float, message: str) -> None:
        """Progress: ``share`` of the next ``of`` points is done."""
        total = len(self.todo)
        self.report(min(self.done + share * of, total), total, message)

    def _point(self, name: str) -> Progress:
        """Progress of the next point."""
        return lambda done, total, message: self._tell(done / max(total, 1e-9), 1, f"{name}: {message}")

    @contextmanager
    def _ending(self, name: str) -> Iterator[None]:
        """Around what ends a point: what is wrong with it is noted, and stops no other."""
        try:
            yield
        except StoreNotWritableError:
            raise
        except KencoreError as error:
            self._ended(name, error)
        else:
            self._ended(name)

    def _ended(self, name: str, error: KencoreError | None = None) -> None:
        self.done += 1
        if error is None:
            note(self.folder, "finished", name)
        else:
            note(self.folder, "failed", name, error.to_json())

    # --- rules that need no activations ---------------------------------------------------------

    def _slices(self, pair: Pair, points: Points, judge: Judge | None) -> Judge | None:
        """Prune and measure, some runs at a time; the judge that was loaded for it, if any."""
        names = sorted(points, key=lambda name: _ranking(points[name]))  # stable
        lines: dict[str, dict[str, Any]] = {}
        while names:
            with ExitStack() as stack:
                runs: dict[str, SliceRun] = {}
                batch = names[: _side_by_side(pair)]
                names = names[len(batch) :]
                for name in batch:
                    note(self.folder, "began", name)
                    run = self._opened(pair, name, points[name], stack)
                    if run is not None:
                        runs[name] = run
                self._prune(pair, runs, lines)
                for name, run in runs.items():
                    if run.failed is not None:
                        self._ended(name, run.failed)
                        continue
                    if self.data is not None and judge is None:
                        judge = self._judge(pair)
                    self._finish(name, run, judge)
                    for waiting in runs.values():
                        waiting.touch()
        return judge

    def _opened(self, pair: Pair, name: str, point: PruneSpec, stack: ExitStack) -> SliceRun | None:
        from kencore.pruning.by_slices import SliceRun

        try:
            run = SliceRun(pair, point, _place(name), self.marks)
            return stack.enter_context(run)
        except StoreNotWritableError:
            raise
        except KencoreError as error:
            self._ended(name, error)
            return None

    def _prune(self, pair: Pair, runs: dict[str, SliceRun], lines: dict[str, dict[str, Any]]) -> None:
        from kencore.pruning.by_slices import Pruner

        share = PRUNING * len(runs) if self.data is not None else len(runs)
        Pruner(
            pair,
            list(runs.values()),
            device=self.device,
            threads=self.threads,
            lines=lines,
            strict=False,
            progress=lambda done, total, message: self._tell(done / max(total, 1), share, message),
        ).prune()

    def _judge(self, pair: Pair) -> Judge:
        from kencore.quality.judge import load_judge

        self._tell(0, 1, "Loading the model")
        assert self.data is not None
        judge = load_judge(pair.tuned.folder, self.data, device=self.device, threads=self.threads)
        judge.known, judge.once = self.known, self.once
        return judge

    def _finish(self, name: str, run: SliceRun, judge: Judge | None) -> None:
        """Measure a pruned run and give it its name."""
        from kencore.quality.judge import measure

        started = time.monotonic() - run.spent
        with self._ending(name):
            written, metrics = run.write_tables(), None
            if judge is not None and self.data is not None:
                metrics = measure(
                    written,
                    self.data,
                    baselines=self.spec.baselines,
                    cost=self.spec.cost,
                    device=self.device,
                    threads=self.threads,
                    judge=judge,
                    progress=self._point(name),
                )
            run.marks["totals"] = written.totals
            run.finish(started=started, device=self.device, metrics=metrics)

    # --- coded differences ----------------------------------------------------------------------

    def _coded(self, pair: Pair, points: Points, judge: Judge | None) -> Judge | None:
        """One after the other, seed by seed; the judge that was loaded for it, if any."""
        from kencore.pruning.by_bytes import Bench, prune_on_bytes

        bench = Bench(
            pair, self.data, device=self.device, threads=self.threads, judge=judge, known=self.known, once=self.once
        )
        for name in sorted(points, key=lambda name: points[name].seed):
            note(self.folder, "began", name)
            started = time.monotonic()
            with self._ending(name):
                prune_on_bytes(
                    bench, points[name], _place(name), report=self._point(name), started=started, marks=self.marks
                )
        return bench.judge

    # --- methods with activations ---------------------------------------------------------------

    def _language(self, pair: Pair, points: Points) -> None:
        """Prune and measure one after the other in one loaded model, seed by seed."""
        if not points:
            return
        bench: Workbench | None = None
        for name in sorted(points, key=lambda name: points[name].seed):
            note(self.folder, "began", name)
            started = time.monotonic()
            with self._ending(name):
                if bench is None:
                    bench = self._bench(pair, points[name])
                self._one(bench, name, points[name], started)

    def _bench(self, pair: Pair, point: PruneSpec) -> Workbench:
        from kencore.models.language import check_language_task
        from kencore.pruning.plan import decide
        from kencore.pruning.workbench import Workbench

        check_language_task(pair.tuned.folder)
        self._tell(0, 1, "Loading the model")
        return Workbench(
            pair,
            decide(pair, point),
            cast("Windows | None", self.data),
            device=self.device,
            threads=self.threads,
            known=self.known,
            once=self.once,
            hold=True,
        )

    def _one(self, bench: Workbench, name: str, point: PruneSpec, started: float) -> None:
        from kencore.pruning.by_blocks import prune_on

        prune_on(
            bench,
            point,
            _place(name),
            threads=self.threads,
            started=started,
            marks=self.marks,
            progress=self._point(name),
        )


def _place(name: str) -> Path:
    """Where the run of a point goes; what is there is no whole run, or it would count as done."""
    folder = runs_folder() / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _base(point: PruneSpec) -> Base:
    return point.base, point.base_revision


def _one_per_base(points: Sequence[PruneSpec]) -> list[PruneSpec]:
    return list({_base(point): point for point in reversed(points)}.values())[::-1]


def _ranking(point: PruneSpec) -> tuple[str, int]:
    """Points of one ranking lie side by side in a batch."""
    return point.method, point.seed


def _side_by_side(pair: Pair) -> int:
    """How many runs are written at once, by the size of the largest matrix."""
    largest = max((p.rows * p.cols for p in pair.layout.parameters), default=1)
    return max(1, min(SIDE_BY_SIDE, WEIGHTS_SIDE_BY_SIDE // max(largest, 1)))
