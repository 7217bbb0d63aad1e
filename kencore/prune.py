"""The pipeline: which parameters, how many entries per row, which ones, and the run on disk.

Matrix by matrix through slices of the two checkpoints: neither model is ever built for this, and
no more than a few chunks of one matrix are in memory. Shapes: R rows (outputs), C columns.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import NonFiniteWeightError
from kencore.plan import Decision, decide, row_generator, stored_bytes
from kencore.spec import PruneSpec

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.store.run import Run
    from kencore.store.writer import RunWriter

Progress = Callable[[float, float, str], None]
Floats = NDArray[np.float32]

WEIGHTS_AT_ONCE = 1 << 22
SECONDS_PER_WEIGHT = 1.5e-7  # one thread, `ken`: only weighs the phases of the progress bar
PACKAGES = ("numpy", "numba", "torch", "transformers", "safetensors", "pyarrow")


def prune(
    spec: PruneSpec,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Run:
    """Prune a pair of models and write the run.

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
    from kencore.checkpoint.pair import open_pair
    from kencore.checkpoint.source import resolve
    from kencore.devices import resolve_device
    from kencore.home import runs_folder
    from kencore.store.run import Run
    from kencore.store.runs import sweep_leftovers
    from kencore.store.writer import RunWriter

    report = progress or _silent
    started = time.monotonic()
    report(0, 1, "Opening the checkpoints")
    device = resolve_device(spec.device)
    examples = _examples(spec)
    pair = open_pair(
        resolve(spec.model, revision=spec.model_revision),
        resolve(str(spec.base), revision=spec.base_revision),
    )
    if examples is not None:
        from kencore.evaluate.loading import check_labels, check_task

        check_task(pair.tuned.folder)
        check_labels(pair.tuned.folder, examples)
    plan = decide(pair, spec)
    if out is None:
        sweep_leftovers()
    # a link to an empty folder cannot be replaced by a folder, what it leads to can
    folder = Path(os.path.realpath(out)) if out is not None else runs_folder() / new_run_id(spec)
    chosen = {d.parameter.name: d for d in plan if d.status == "pruned"}
    judging = _seconds_to_judge(plan, examples, spec)
    with RunWriter(folder, {name: d.shape for name, d in chosen.items()}) as writer:
        pruner = _Pruner(pair, spec, device, threads, writer, report, judging)
        lines = [pruner.line(decision) for decision in plan]
        writer.add_matrices(lines)
        writer.add_json("spec.json", _asked(spec, pair))
        writer.add_json("record.json", {"created": "", "sources": _sources(pair)})
        writer.add_json("metrics.json", {})
        if examples is not None:
            from kencore.quality import measure

            assert writer.folder is not None
            metrics = measure(
                Run(writer.folder, folder.name), examples,
                baselines=spec.baselines, device=device, threads=threads,
                progress=lambda done, message: report(
                    pruner.total - judging * (1 - done), pruner.total, message
                ),
            )  # fmt: skip
            writer.add_json("metrics.json", metrics)
        record = {
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": round(time.monotonic() - started, 3),
            "seconds_by_matrix": pruner.seconds,
            "device": device,
            "sources": _sources(pair),
            "notes": list(pair.notes),
        }
        writer.add_json("record.json", record)
        report(pruner.total, pruner.total, "Done")
        writer.finish()
    return Run(folder)


def new_run_id(spec: PruneSpec) -> str:
    """A readable id: method, budget and eight random letters."""
    budget = f"k{spec.k}" if spec.k is not None else f"{spec.keep:g}"
    return f"{spec.method}-{budget}-{uuid.uuid4().hex[:8]}"


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
    ) -> None:
        from kencore.devices import usable_cores

        self.pair, self.spec, self.device = pair, spec, device
        self.threads = threads or usable_cores()
        self.writer, self.report = writer, report
        weights = sum(rows * cols for rows, cols in writer.shapes.values())
        self.total = weights * SECONDS_PER_WEIGHT + judging
        self.done = 0.0
        self.seconds: dict[str, float] = {}

    def line(self, decision: Decision) -> dict[str, Any]:
        """Prune one parameter where the plan says so; its line of ``matrices.parquet``."""
        parameter = decision.parameter
        line: dict[str, Any] = {
            "name": parameter.name, "base_name": decision.base_name, "block": parameter.block,
            "stack": parameter.stack, "role": parameter.role, "part": parameter.part,
            "shape": list(parameter.shape), "rows": parameter.rows, "cols": parameter.cols,
            "transposed": parameter.transposed, "dtype": parameter.dtype, "params": decision.size,
            "status": decision.status, "reason": decision.reason, "k": decision.k,
            "tied": list(parameter.aliases),
        }  # fmt: skip
        dense = self.pair.tuned_tensors.info(parameter.name).nbytes
        line |= {"kept": decision.size, "bytes_dense": dense, "bytes_stored": dense}
        line |= self._hashes(decision)
        if decision.status == "pruned":
            started = time.monotonic()
            line |= self._prune(decision)
            line["bytes_stored"] = stored_bytes(decision.shape, line["kept"], dense, decision.size)
            self.seconds[parameter.name] = round(time.monotonic() - started, 4)
        for tensors in (self.pair.tuned_tensors, self.pair.base_tensors):
            tensors.release()  # or the whole of both files would stay in memory
        return line

    def _hashes(self, decision: Decision) -> dict[str, str | None]:
        base = decision.base_name
        return {
            "tuned_sha256": self.pair.tuned_tensors.sha256(decision.parameter.name),
            "base_sha256": None if base is None else self.pair.base_tensors.sha256(base),
        }

    def _prune(self, decision: Decision) -> dict[str, Any]:
        from kencore.store.measures import MatrixMeasures, row_measures

        name = decision.parameter.name
        whole, table = MatrixMeasures(), []
        step = self.writer.rows_at_once(name, WEIGHTS_AT_ONCE)
        generator = row_generator(self.spec.seed, name)
        for rows, tuned, base in read_pair(self.pair, decision, step):
            self.report(self.done, self.total, f"Pruning {name}")
            keep = self._select(decision, tuned, base, generator)
            self.writer.add_rows(name, keep)
            table.append(row_measures(tuned, base, keep))
            whole.add(tuned, base, keep)
            self.done += (rows.stop - rows.start) * tuned.shape[1] * SECONDS_PER_WEIGHT
        self.writer.add_table(name, table)
        return whole.columns()

    def _select(
        self, decision: Decision, tuned: Floats, base: Floats, generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        assert decision.k is not None
        name, rule = decision.parameter.name, self.spec.method
        if self.device.startswith("cuda") and rule != "random":
            import torch

            from kencore.select import select

            weights = torch.from_numpy(tuned).to(self.device)
            old = torch.from_numpy(base).to(self.device)
            mask = select(weights, decision.k, rule=rule, base=old)
            return np.asarray(mask.cpu().numpy())
        from kencore.select import select_rows

        return select_rows(
            tuned, base, decision.k, rule, rng=generator, threads=self.threads, name=name
        )


def read_pair(pair: Pair, decision: Decision, step: int) -> Iterator[tuple[slice, Floats, Floats]]:
    """Tuned and base values of a matrix as float32, ``step`` rows at a time, rows being outputs.

    The base is rounded to the tuned dtype first: that is the value that a reset entry gets.

    Raises:
        NonFiniteWeightError: NaN or infinity in either model, naming the tensor and the row.
    """
    from kencore.store.run import round_to

    parameter, base_name = decision.parameter, decision.base_name
    assert base_name is not None
    for first in range(0, parameter.rows, step):
        rows = slice(first, min(first + step, parameter.rows))
        sides = []
        for tensors, name, which in (
            (pair.tuned_tensors, parameter.name, "tuned"),
            (pair.base_tensors, base_name, "base"),
        ):
            values = tensors.matrix(name, transposed=parameter.transposed, rows=rows)
            if which == "base":
                values = round_to(values, parameter.dtype)
            _check_finite(values, first, name, which)
            sides.append(values)
        yield rows, sides[0], sides[1]


def _check_finite(values: Floats, first: int, name: str, which: str) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise NonFiniteWeightError(
            f"{name} of the {which} model", got=f"NaN or infinity in row {first + row}",
            wanted="weights that are finite in the tuned model's dtype",
            remedy="This checkpoint is damaged or too coarse: train or export it anew.",
        )  # fmt: skip


def _asked(spec: PruneSpec, pair: Pair) -> dict[str, Any]:
    from kencore import __version__

    versions = {"kencore": __version__} | {name: version(name) for name in PACKAGES}
    return {"spec": asdict(spec), "versions": versions, "architecture": pair.layout.architecture}


def _sources(pair: Pair) -> dict[str, dict[str, str | None]]:
    """How to find both checkpoints again: arguments of `resolve`."""
    found = {}
    for which, source in (("tuned", pair.tuned), ("base", pair.base)):
        text = str(source.folder.resolve()) if source.kind == "folder" else source.text
        found[which] = {"text": text, "revision": source.revision}
    return found


def _examples(spec: PruneSpec) -> Any:
    if spec.evaluation is None:
        return None
    from kencore.evaluate.accuracy import read_examples

    return read_examples(spec.evaluation)


def _seconds_to_judge(plan: list[Decision], examples: Any, spec: PruneSpec) -> float:
    """A rough guess that only weighs the phases of the progress bar."""
    if examples is None:
        return 0.0
    inner = sum(d.size for d in plan if d.parameter.part != "embedding")
    passes = 3 + (3 if spec.baselines else 0)
    return float(5 + passes * len(examples.labels) * inner * 2 * 25 / 2e10)


def _silent(done: float, total: float, message: str) -> None:
    return None
