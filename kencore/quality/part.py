"""One measurement by several processes: each reads some of the data, and `judge` makes the figures of it all."""

from __future__ import annotations

from pathlib import Path

from kencore.quality.judge import data_for, fitting_data, load_judge, model_of, run_or_none, tell
from kencore.quality.judge_model import as_loaded
from kencore.quality.parts import Parts
from kencore.quality.same_state import confirm
from kencore.quality.steps import States, states_of
from kencore.runs.restore import verify
from kencore.system.progress import Bar, Progress, silent
from kencore.system.shard import Shard


def judge_part(
    subject: str,
    data: str,
    shard: Shard,
    shared: Path,
    *,
    baselines: bool = False,
    window: int | None = None,
    windows: int | None = None,
    bos: bool | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Put a model into all its states, and let it read a shard of the data in each; what it says goes into a folder.

    A state that was measured before is not measured again, but for the dense one of a language model, whose logits
    the others are compared with.

    Args:
        shared: the folder, which is there.
        others: as of `kencore.quality.judge.judge`.

    Returns:
        How many states there are.

    Raises:
        KencoreError: as `kencore.quality.judge.judge`.
    """
    from kencore.system.devices import resolve_device

    report, place = progress or silent, resolve_device(device)
    run = run_or_none(subject)
    folder = model_of(subject) if run is None else run.tuned_tensors.folder
    if run is None:
        read = fitting_data(folder, data, window=window, limit=windows, bos=bool(bos))
    else:
        read = data_for(run, data, window=window, windows=windows, bos=bos)
        report(0, 1, "Checking that the models are those of the run")
        verify(run)
    tell(read, report)
    parts = Parts(shared, read)
    judge = load_judge(folder, read, device=place, threads=threads, remember=False)
    states: States = {"dense": (None, as_loaded)}
    if run is not None:
        states, _ = states_of(judge, run, baselines=baselines, threads=threads)
    todo = [step for step in states if not parts.holds(step, shard)]
    held = judge.holder() if todo else None
    if held is not None:
        todo = list(dict.fromkeys(["dense", *todo]))
    bar = Bar(report, max(1, len(todo)))
    for step in todo:
        at = bar.phase(f"Measuring {step}", 1)
        states[step][1](silent)
        said = judge.part(shard, at, held=held, dense=step == "dense")
        if step == "pruned" and run is not None:
            confirm(judge.model, run)
        parts.write(step, shard, said)
    return len(states)
