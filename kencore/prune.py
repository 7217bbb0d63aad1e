"""The pipeline: which parameters, how many entries per row, which ones, and the run on disk.

Matrix by matrix through slices of the checkpoints: no model is ever built for this, and no more
than a few chunks of one matrix are in memory. Jobs that look at activations go to
`kencore.prune_lm`. Shapes: R rows (outputs), C columns.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.plan import Decision, chosen, decide, kept_per_row
from kencore.prune_parts import (
    Floats,
    Mask,
    Progress,
    as_matrix,
    asked,
    changed_dtypes,
    dtype_bytes,
    matrix_line,
    open_models,
    pruned_columns,
    read_pair,
    record,
    rescaled_bits,
    run_folder,
    silent,
    sources,
    write_piece,
)
from kencore.select.random import row_generator
from kencore.spec import PruneSpec

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.store.run import Run
    from kencore.store.writer import RunWriter

WEIGHTS_AT_ONCE = 1 << 22
SECONDS_PER_WEIGHT = 1.5e-7  # one thread, `ken`: only weighs the phases of the progress bar


def prune(
    spec: PruneSpec,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Run:
    """Prune a model and write the run.

    Args:
        spec: what is asked.
        out: the run folder to write; a new one in the store where it is left out.
        progress: called with (done, total, what is being done); may raise to cancel, which
            leaves nothing behind.
        threads: CPU threads of the selection; all cores where it is left out.

    Returns:
        The finished run, opened.

    Raises:
        KencoreError: the class says which mistake it was; nothing is written then.
    """
    if spec.streams:
        from kencore.prune_lm import prune_lm

        return prune_lm(spec, out=out, progress=progress, threads=threads)
    from kencore.devices import resolve_device
    from kencore.quality import measure, read_data
    from kencore.store.run import Run
    from kencore.store.writer import RunWriter

    report = progress or silent
    started = time.monotonic()
    report(0, 1, "Opening the checkpoints")
    device = resolve_device(spec.device)
    pair = open_models(spec)
    data = read_data(pair.tuned.folder, spec)
    plan = decide(pair, spec)
    budgets = kept_per_row(plan, spec)
    folder = run_folder(spec, out)
    judging = _seconds_to_judge(plan, data, spec)
    shapes = {name: decision.shape for name, decision in chosen(plan).items()}
    values = changed_dtypes(chosen(plan), spec)
    with RunWriter(folder, shapes, values=values) as writer:
        pruner = _Pruner(pair, spec, device, threads, writer, report, judging, budgets)
        lines = [pruner.line(decision) for decision in plan]
        writer.add_matrices(lines)
        writer.add_json("spec.json", asked(spec, pair.layout))
        writer.add_json("record.json", {"created": "", "sources": sources(pair)})
        writer.add_json("metrics.json", {})
        if data is not None:
            assert writer.folder is not None
            metrics = measure(
                Run(writer.folder, folder.name), data,
                baselines=spec.baselines, device=device, threads=threads,
                progress=lambda done, message: report(
                    pruner.total - judging * (1 - done), pruner.total, message
                ),
            )  # fmt: skip
            writer.add_json("metrics.json", metrics)
        writer.add_json(
            "record.json",
            record(pair, started=started, device=device, seconds_by_matrix=pruner.seconds),
        )
        report(pruner.total, pruner.total, "Done")
        writer.finish()
    return Run(folder)


class _Pruner:
    """Prunes one parameter after the other and keeps count of time and progress."""

    def __init__(
        self,
        pair: Pair,
        spec: PruneSpec,
        device: str,
        threads: int | None,
        writer: RunWriter,
        report: Progress,
        judging: float,
        budgets: dict[str, NDArray[np.int64]],
    ) -> None:
        from kencore.devices import usable_cores

        self.pair, self.spec, self.device = pair, spec, device
        self.threads = threads or usable_cores()
        self.writer, self.report, self.budgets = writer, report, budgets
        weights = sum(rows * cols for rows, cols in writer.shapes.values())
        self.total = weights * SECONDS_PER_WEIGHT + judging
        self.done = 0.0
        self.seconds: dict[str, float] = {}

    def line(self, decision: Decision) -> dict[str, Any]:
        """Prune one parameter where the plan says so; its line of ``matrices.parquet``."""
        line = matrix_line(self.pair, decision)
        if decision.status == "pruned":
            started = time.monotonic()
            line |= self._prune(decision)
            self.seconds[decision.parameter.name] = round(time.monotonic() - started, 4)
        self.pair.release()  # or the whole of both files would stay in memory
        return line

    def _prune(self, decision: Decision) -> dict[str, Any]:
        from kencore.store.measures import MatrixMeasures

        name = decision.parameter.name
        budget = self.budgets[name]
        whole, table, changed = MatrixMeasures(), [], []
        step = self.writer.rows_at_once(name, WEIGHTS_AT_ONCE)
        generator = row_generator(self.spec.seed, name)
        for rows, tuned, base in read_pair(self.pair, decision, step):
            self.report(self.done, self.total, f"Pruning {name}")
            keep = self._select(name, tuned, base, budget[rows], generator)
            table.append(write_piece(self.writer, name, whole, tuned, base, keep))
            if self.spec.updates:
                changed.append(self._rescaled(decision, rows, tuned, base, keep))
            self.done += (rows.stop - rows.start) * tuned.shape[1] * SECONDS_PER_WEIGHT
        self.writer.add_table(name, table)
        if self.spec.updates:
            self.writer.add_values(name, np.concatenate(changed))
        target = {"target_keep": self.spec.keep} if self.spec.exact else {}
        return pruned_columns(decision, whole, budget, dtype_bytes(decision)) | target

    def _rescaled(
        self, decision: Decision, rows: slice, tuned: Floats, base: Floats, keep: Mask
    ) -> NDArray[np.generic]:
        """Bits of the kept values of some rows after rescaling, (kept,) row by row."""
        parameter = decision.parameter
        stored = self.pair.tuned_tensors.raw(parameter.name)
        bits = rescaled_bits(
            as_matrix(stored, transposed=parameter.transposed)[rows], (tuned, base), keep,
            self.spec.rescale, parameter.dtype, name=parameter.name, first=rows.start,
        )  # fmt: skip
        return bits[keep]

    def _select(
        self,
        name: str,
        tuned: Floats,
        base: Floats,
        budget: NDArray[np.int64],
        generator: np.random.Generator,
    ) -> Mask:
        rule = self.spec.method
        some = np.maximum(budget, 1)  # a rule keeps at least one entry of a row
        if self.device.startswith("cuda") and rule != "random":
            import torch

            from kencore.select import select

            weights = torch.from_numpy(tuned).to(self.device)
            old = torch.from_numpy(base).to(self.device)
            mask = select(weights, some, rule=rule, base=old)
            keep = np.asarray(mask.cpu().numpy())
        else:
            from kencore.select import select_rows

            keep = select_rows(
                tuned, base, some, rule, rng=generator, threads=self.threads, name=name
            )
        keep[budget == 0] = False
        return keep


def _seconds_to_judge(plan: list[Decision], data: Any, spec: PruneSpec) -> float:
    """A rough guess that only weighs the phases of the progress bar."""
    if data is None:
        return 0.0
    inner = sum(d.size for d in plan if d.parameter.part != "embedding")
    passes = 3 + (3 if spec.baselines else 0)
    examples = len(data.labels) if hasattr(data, "labels") else 400
    return float(5 + passes * examples * inner * 2 * 25 / 2e10)
