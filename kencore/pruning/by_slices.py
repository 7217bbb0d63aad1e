"""Pruning by slices: one run or several of one pair, matrix by matrix, a few rows at a time.

Runs that lie side by side share the reading of the checkpoints and, where they rank rows alike,
the ranking: rows are sorted once for all budgets. Each run holds what it would hold alone.

Shapes: R rows (outputs), C columns (inputs), r rows of one piece.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.tensors import to_float32
from kencore.errors import KencoreError
from kencore.methods.random import row_generator
from kencore.methods.table import METHODS
from kencore.pruning.finished import Finished, Piece
from kencore.pruning.plan import chosen, decide, kept_per_row
from kencore.runs.lines import (
    Decision,
    Floats,
    Mask,
    apart,
    asked,
    changed_dtypes,
    matrix_line,
    pruned_columns,
    record,
    resized,
    sources,
    write_piece,
)
from kencore.runs.measures import MatrixMeasures
from kencore.runs.restore import as_matrix, rescaled_bits
from kencore.runs.writer import RunWriter
from kencore.settings.prune import PruneSpec
from kencore.system.memory import Budget, budget, give_back, in_units
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.runs.run import Run

WEIGHTS_AT_ONCE = 1 << 22
LEAST_AT_ONCE = 1 << 16
BYTES_A_WEIGHT = 56  # of what is worked on: both models in float32, what they differ by, keys, masks
Ranking = tuple[str, int]  # rule and, where it draws, seed: who shares it shares the ranking


class SliceRun:
    """One run being made: a writer around it, and what its lines and its record will say.

    Args:
        pair: the opened checkpoints.
        spec: of a job without activations.
        out: the run folder to write.
        marks: further entries of ``record.json``.
        finished: matrices that an earlier process finished; those of this one are added.
        notes: what a person should know of it.
        only: of all parameters these: what is kept of each is as when all are pruned.

    Raises:
        ScopeError: nothing to prune.
        RunExistsError: ``out`` is taken.

    Attributes:
        plan: what happens to every parameter.
        failed: why this run cannot be made, when others beside it can.
        spent: seconds of this run alone; ``spent_here``: of the parameter that is being pruned.
    """

    def __init__(
        self,
        pair: Pair,
        spec: PruneSpec,
        out: Path,
        marks: Mapping[str, Any] | None = None,
        finished: Finished | None = None,
        notes: tuple[str, ...] = (),
        only: Collection[str] | None = None,
    ) -> None:
        self.notes = notes
        self.pair, self.spec, self.out, self.marks = pair, spec, out, dict(marks or {})
        self.finished = finished
        self.plan = decide(pair, spec)
        self.budgets = {} if spec.coded else kept_per_row(self.plan, spec)
        if only is not None:
            self.plan = [decision for decision in self.plan if decision.parameter.name in only]
        self.chosen = chosen(self.plan)
        shapes = {name: decision.shape for name, decision in self.chosen.items()}
        self.writer = RunWriter(out, shapes, values=changed_dtypes(self.chosen, spec), coded=spec.coded)
        self.lines: list[dict[str, Any]] = []
        self.seconds: dict[str, float] = {}
        self.spent = self.spent_here = 0.0
        self.failed: KencoreError | None = None

    def __enter__(self) -> SliceRun:
        self.writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.__exit__(kind, error, trace)

    def touch(self) -> None:
        """Say that the half-written folder is still in use, to whoever sweeps the store."""
        if self.writer.folder is not None and self.writer.folder.is_dir():
            os.utime(self.writer.folder)

    @property
    def weights(self) -> int:
        """Entries of all pruned matrices."""
        return sum(rows * cols for rows, cols in self.writer.shapes.values())

    @property
    def ranking(self) -> Ranking:
        """Runs of the same one differ in their budgets alone, as far as selection goes."""
        return self.spec.method, self.spec.seed if METHODS[self.spec.method].draws else 0

    def begin(self, name: str) -> None:
        """Begin a parameter: its rows follow, some at a time."""
        self.decision, self.budget, self.whole = self.chosen[name], self.budgets.get(name), MatrixMeasures()
        self.table: list[Any] = []
        self.spent_here = 0.0

    def restore(self, decision: Decision) -> bool:
        """Take over a parameter that was finished before; say whether it was."""
        name = decision.parameter.name
        stored = None if self.finished is None or decision.status != "pruned" else self.finished.read(name)
        if stored is None:
            return False
        for packed in stored.parts("mask"):
            self.writer.add_packed(name, np.asarray(packed, np.uint8))
        for values in stored.parts("values"):
            self.writer.add_values(name, values)
        self.writer.add_table(name, [stored.piece.table])
        self.lines.append(stored.piece.line)
        self.seconds[name] = stored.piece.seconds
        return True

    def add(
        self, rows: slice, sides: tuple[Floats, Floats], keep: Mask, coded: NDArray[np.generic] | None = None
    ) -> None:
        """Write the mask (r, C) of the parameter's next rows, and the values that change.

        Args:
            coded: storage bits (r, C) of what is kept, where a code made them; else rescaling does.
        """
        parameter, kept, made = self.decision.parameter, None, coded
        if made is None and self.spec.updates:
            stored = as_matrix(self.pair.tuned_tensors.raw(parameter.name), transposed=parameter.transposed)[rows]
            place = {"name": parameter.name, "first": rows.start}
            made = rescaled_bits(stored, sides, keep, self.spec.rescale, parameter.dtype, **place)
        if made is not None:
            self.writer.add_values(parameter.name, made[keep])
            kept = to_float32(made, parameter.dtype)
        self.table.append(write_piece(self.writer, parameter.name, self.whole, *sides, keep, kept))

    def end(self, shared: float, stored: int | None = None) -> None:
        """Write the parameter's row table; its line is then whole.

        Args:
            shared: seconds of what this run and others did together.
            stored: bytes of the parameter, where they are not those of a mask and kept values.
        """
        name = self.decision.parameter.name
        if self.failed is None:
            self.writer.add_table(name, self.table)
            target = {"target_keep": self.spec.keep} if self.spec.exact else {}
            kept = np.concatenate([part["kept"] for part in self.table]) if self.budget is None else self.budget
            self.lines[-1] |= pruned_columns(self.decision, self.whole, kept) | target
            self.lines[-1] |= {} if stored is None else {"bytes_stored": stored}
        self.seconds[name] = round(self.spent_here + shared, 4)
        self.spent += self.spent_here
        if self.finished is not None and self.failed is None:
            table = {key: np.concatenate([part[key] for part in self.table]) for key in self.table[0]}
            piece = Piece(table=table, line=self.lines[-1], seconds=self.seconds[name])
            self.finished.write(name, piece, self.writer, values=self.spec.updates)

    def write_tables(self) -> Run:
        """Write all but quality and time; the run as it can be read before it has its name."""
        from kencore.runs.run import Run

        self.writer.add_matrices(self.lines)
        self.writer.add_json("spec.json", asked(self.spec, self.pair.layout))
        self.writer.add_json("record.json", {"created": "", "sources": sources(self.pair)} | resized(self.pair))
        self.writer.add_json("metrics.json", {})
        assert self.writer.folder is not None
        return Run(self.writer.folder, self.out.name)

    def finish(self, *, started: float, device: str, metrics: Mapping[str, Any] | None) -> None:
        """Write the rest and give the folder its name.

        Args:
            started: what `time.monotonic` said when the work on it began.
        """
        if metrics is not None:
            self.writer.add_json("metrics.json", metrics)
        notes = (*self.notes, *(() if self.pair.base is None else apart(self.lines)))
        said = record(self.pair, started=started, device=device, seconds_by_matrix=self.seconds, notes=notes)
        self.writer.add_json("record.json", said | self.marks)
        self.writer.finish()


class Pruner:
    """Prunes one parameter after the other in all runs, and keeps count of time and progress.

    Args:
        runs: of one pair, with the same parameters to prune.
        lines: of parameters that were looked at before, by name: hashing them takes as long as
            reading the model. What is looked at now is added.
        progress: called with the bytes of the checkpoints done and those to do, of all runs together.
        strict: raise what is wrong with a run; otherwise it becomes its ``failed``, and the others
            go on.
        memory: how much this process may hold; by default a quarter of what is free.
    """

    def __init__(
        self,
        pair: Pair,
        runs: Sequence[SliceRun],
        *,
        device: str,
        threads: int | None,
        progress: Progress,
        lines: dict[str, dict[str, Any]] | None = None,
        strict: bool = True,
        memory: Budget | None = None,
    ) -> None:
        from kencore.system.devices import usable_threads

        self.memory = memory or budget()
        self.pair, self.runs, self.device, self.progress = pair, list(runs), device, progress
        self.threads = threads or usable_threads()
        self.lines_seen = {} if lines is None else lines
        self.strict = strict
        self.each = {d.parameter.name: self._bytes_of(d) for run in runs[:1] for d in run.chosen.values()}
        self.done, self.total = 0, len(runs) * sum(self.each.values())

    def prune(self) -> None:
        """Prune all parameters; the results are in the runs and their writers.

        Raises:
            NotEnoughMemoryError: less was asked for than the fewest rows take.
        """
        self.memory.need(LEAST_AT_ONCE * BYTES_A_WEIGHT)
        for decisions in zip(*(run.plan for run in self.runs), strict=True):
            if len(self.runs) == 1 and self.runs[0].restore(decisions[0]):
                self.done += self.each[decisions[0].parameter.name]
                self._tell(f"{decisions[0].parameter.name} was finished before")
                continue
            for run, decision in zip(self.runs, decisions, strict=True):
                run.lines.append(self._line(decision))
            if decisions[0].status == "pruned" and self._live():
                with self._guard(self._live()):
                    self._prune(decisions[0].parameter.name)
            self.pair.release()  # or the whole of both files would stay in memory
            if decisions[0].size > WEIGHTS_AT_ONCE:
                give_back()

    def _bytes_of(self, decision: Decision) -> int:
        """Bytes of a parameter in the checkpoints."""
        tuned, base = self.pair.tuned_tensors, self.pair.base_tensors
        there = 0 if base is None or decision.base_name is None else base.info(decision.base_name).nbytes
        return tuned.info(decision.parameter.name).nbytes + there

    def _tell(self, what: str) -> None:
        self.progress(self.done, self.total, f"{what} ({in_units(self.done)} of {in_units(self.total)})")

    def _line(self, decision: Decision) -> dict[str, Any]:
        name = decision.parameter.name
        if name not in self.lines_seen:
            self.lines_seen[name] = matrix_line(self.pair, decision)
        return self.lines_seen[name] | {"k": decision.k}

    def _live(self) -> list[SliceRun]:
        return [run for run in self.runs if run.failed is None]

    @contextmanager
    def _guard(self, runs: Sequence[SliceRun]) -> Iterator[None]:
        """Around what these runs need: a mistake in it is theirs."""
        try:
            yield
        except KencoreError as error:
            if self.strict:
                raise
            for run in runs:
                run.failed = error

    def _prune(self, name: str) -> None:
        """Prune one parameter in every run, some rows at a time."""
        started, runs = time.monotonic(), self._live()
        for run in runs:
            run.begin(name)
        parameter, before = runs[0].decision.parameter, self.done
        weights = self.memory.at_once(BYTES_A_WEIGHT, most=WEIGHTS_AT_ONCE, least=min(LEAST_AT_ONCE, parameter.params))
        step = runs[0].writer.rows_at_once(name, weights)
        large = parameter.params > weights
        generators = {run.ranking: row_generator(run.spec.seed, name) for run in runs}
        for rows, tuned, base in self.pair.rows(parameter, step):
            for ranking, generator in generators.items():
                alike = [run for run in runs if run.ranking == ranking and run.failed is None]
                self._piece(alike, rows, (tuned, base), generator)
            del tuned, base
            if large:  # pages that were read lie in this process's memory until they are let go
                self.pair.release()
        self.done = before + len(runs) * self.each[name]
        shared = (time.monotonic() - started - sum(run.spent_here for run in runs)) / len(runs)
        for run in runs:
            with self._guard([run]):
                run.end(shared)

    def _piece(
        self, runs: list[SliceRun], rows: slice, sides: tuple[Floats, Floats], generator: np.random.Generator
    ) -> None:
        """Prune some rows (r, C) in runs that rank them alike."""
        if not runs:
            return
        with self._guard(runs):
            keep = self._ranked(runs, sides, generator)
            for run in runs:
                self._tell(f"Pruning {run.decision.parameter.name}")
                assert run.budget is not None  # a rule has one for every row
                started, budget = time.monotonic(), run.budget[rows]
                mask = keep(np.maximum(budget, 1))  # a rule keeps at least one entry of a row
                mask[budget == 0] = False
                with self._guard([run]):
                    run.add(rows, sides, mask)
                run.spent_here += time.monotonic() - started
                self.done += self.each[run.decision.parameter.name] * len(mask) // max(1, run.decision.parameter.rows)

    def _ranked(
        self, runs: list[SliceRun], sides: tuple[Floats, Floats], generator: np.random.Generator
    ) -> Callable[[NDArray[np.int64]], Mask]:
        """Gives the keep mask (r, C) of a budget (r,), 1 or more."""
        rule, name, (tuned, base) = runs[0].spec.method, runs[0].decision.parameter.name, sides
        if self.device.startswith("cuda") and not METHODS[rule].draws:
            return _on_device(rule, sides, self.device)
        from kencore.methods.rows import RowIndex, select_rows

        if len(runs) == 1:
            return lambda budget: select_rows(tuned, base, budget, rule, rng=generator, threads=self.threads, name=name)
        index = RowIndex(tuned, base=base, rule=rule, rng=generator, threads=self.threads, name=name)
        return index.keep


def _on_device(rule: str, sides: tuple[Floats, Floats], device: str) -> Callable[[NDArray[np.int64]], Mask]:
    """`Pruner._ranked` on a CUDA card."""
    import torch

    from kencore.methods.select import select

    weights, base = (torch.from_numpy(side).to(device) for side in sides)
    return lambda budget: np.asarray(select(weights, budget, rule=rule, base=base).cpu().numpy())
