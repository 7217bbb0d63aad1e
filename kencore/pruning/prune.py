"""The pipeline: which parameters, how many entries per row, which ones, and the run on disk.

Matrix by matrix through slices of the checkpoints (`kencore.pruning.by_slices`): no model is ever built
for this, and no more than a few chunks of one matrix are in memory. Jobs that look at activations
go to `kencore.pruning.by_blocks`; many prunings of one model to `kencore.sweeps.sweep`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from kencore.checkpoint.pair import open_models
from kencore.errors import SpecError
from kencore.pruning.plan import seconds_to_judge
from kencore.runs.shelf import run_folder
from kencore.settings.prune import PruneSpec
from kencore.system.memory import budget
from kencore.system.progress import Bar, Progress, silent

if TYPE_CHECKING:
    from kencore.runs.run import Run

SECONDS_PER_WEIGHT = 1.5e-7  # one thread, `ken`: only weighs the phases of the progress bar


def prune(
    spec: PruneSpec,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    shared: Path | None = None,
) -> Run:
    """Prune a model and write the run.

    Args:
        spec: what is asked.
        out: the run folder to write; a new one in the store where it is left out.
        progress: called with (done, total, what is being done); may raise to cancel, which
            leaves nothing behind.
        threads: CPU threads of the selection; all cores where it is left out.
        memory: bytes, or a text such as ``2GB``, that this process holds at most while it prunes by a method that
            needs no activations; a quarter of what is free where it is left out. The run is the same to the bit.
        shared: where other processes kept matrices that they finished, see `kencore.pruning.part.prune_part`: these
            are taken over.

    Of a large model (`kencore.pruning.finished.LONG`) the matrices that are finished survive a process that is killed:
    the same call takes them over, and the run is the same to the bit.

    Returns:
        The finished run, opened.

    Raises:
        KencoreError: the class says which mistake it was; nothing is written then.
    """
    room = budget(memory)
    if spec.coded:
        from kencore.pruning.by_bytes import prune_bytes

        return prune_bytes(spec, out=out, progress=progress, threads=threads, memory=room, shared=shared)
    if spec.streams:
        if memory is not None:
            raise _no_budget(spec)
        from kencore.pruning.by_blocks import prune_lm

        return prune_lm(spec, out=out, progress=progress, threads=threads)
    from kencore.pruning.by_slices import Pruner, SliceRun
    from kencore.pruning.finished import finished_before
    from kencore.pruning.plan import decide
    from kencore.quality.judge import measure, read_data, tell
    from kencore.runs.run import Run
    from kencore.system.devices import resolve_device

    report = progress or silent
    started = time.monotonic()
    report(0, 1, "Opening the checkpoints")
    device = resolve_device(spec.device)
    pair = open_models(spec)
    data = read_data(pair.tuned.folder, spec)
    tell(data, report)
    folder = run_folder(spec, out)
    weights = sum(decision.size for decision in decide(pair, spec) if decision.status == "pruned")
    with ExitStack() as stack:
        finished = stack.enter_context(finished_before(pair, spec, weights, shared))
        run = stack.enter_context(SliceRun(pair, spec, folder, finished=finished))
        pruning, judging = run.weights * SECONDS_PER_WEIGHT, seconds_to_judge(run.plan, data, spec)
        bar = Bar(report, pruning + judging)
        at = bar.phase("", pruning)
        Pruner(pair, [run], device=device, threads=threads, progress=at, memory=room).prune()
        written, metrics = run.write_tables(), None
        if data is not None:
            metrics = measure(
                written,
                data,
                baselines=spec.baselines,
                cost=spec.cost,
                device=device,
                threads=threads,
                progress=bar.phase("", judging),
                on_flips=lambda found: found.save(written.path),
                memory=room,
            )
        report(1, 1, "Done")
        run.finish(started=started, device=device, metrics=metrics)
    return Run(folder)


def _no_budget(spec: PruneSpec) -> SpecError:
    return SpecError(
        "memory",
        got=f"a budget beside {spec.method}, allocation {spec.allocation}",
        wanted="a method that needs no activations, spread evenly",
        remedy="Leave it out: such a pruning holds one block and the activations that flow through it.",
    )
