"""Quality of a run: dense, base and pruned model on the same data in the same pass.

The base is measured with the tuned model's own head and whatever else it lacks: it is the point
where everything that could be reset is reset.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.errors import RunExistsError, RunNotFoundError
from kencore.store.export import base_bits, pruned_chunks, to_torch, verify
from kencore.store.run import open_run
from kencore.store.runs import demo_run_folder, find_run
from kencore.store.writer import not_writable

if TYPE_CHECKING:
    import torch

    from kencore.evaluate.accuracy import Classifier, Examples
    from kencore.spec import PruneSpec
    from kencore.store.run import Run

Report = Callable[[float, str], None]
BASELINES = ("random", "magnitude", "delta")


def read_data(folder: Path, spec: PruneSpec) -> Examples | None:
    """What the quality of a job is measured on, read and checked before anything is pruned.

    Raises:
        KencoreError: data that cannot be read, or that the model of the folder does not fit.
    """
    if spec.evaluation is None:
        return None
    from kencore.evaluate.accuracy import read_examples
    from kencore.evaluate.loading import check_labels, check_task

    examples = read_examples(spec.evaluation)
    check_task(folder)
    check_labels(folder, examples)
    return examples


def measure(
    run: Run,
    examples: Examples,
    *,
    baselines: bool,
    device: str,
    threads: int | None,
    progress: Report,
) -> dict[str, Any]:
    """The content of ``metrics.json``: quality of the dense, the base and the pruned model.

    Args:
        baselines: measure every baseline rule too, at the run's own budget and scope.
        progress: called with the share done (0 to 1) and what is being done.
    """
    from kencore.evaluate.accuracy import Classifier

    classifier = Classifier.load(run.tuned_tensors.folder, device=device, threads=threads)
    rules = [rule for rule in BASELINES if rule != run.spec.method] if baselines else []
    steps = ["dense", "base", "pruned", *rules]
    states: dict[str, Callable[[], Iterator[tuple[str, torch.Tensor]]]] = {
        "base": lambda: base_state(run),
        "pruned": lambda: pruned_state(run),
    } | {rule: _baseline(run, rule, threads) for rule in rules}
    found = {}
    for i, step in enumerate(steps):
        progress(i / len(steps), f"Measuring {step}")
        if step in states:
            for name, tensor in states[step]():
                classifier.replace({name: tensor})
        found[step] = _quality(classifier, examples, i, len(steps), progress, step)
    return {
        "data": examples.source,
        "data_sha256": examples.sha256,
        "examples": len(examples.labels),
        "device": device,
        "dense": found["dense"],
        "base": found["base"],
        "pruned": found["pruned"],
        "baselines": {rule: found[rule] for rule in rules},
    }


def judge(
    subject: str,
    data: str,
    *,
    baselines: bool = False,
    save: bool = False,
    device: str = "auto",
    threads: int | None = None,
    progress: Callable[[float, float, str], None] | None = None,
) -> dict[str, Any]:
    """Measure a run (dense, base, pruned and, if asked, baselines) or a single model.

    Args:
        subject: the id or folder of a run; otherwise a model: a folder or a hub id.
        data: ``"demo"``, or a ``.tsv``, ``.jsonl`` or ``.parquet`` file.
        save: of a run: keep the result as its ``metrics.json``.

    Raises:
        KencoreError: no such run or model, data that do not fit, or a run that cannot be written.
    """
    from kencore.devices import resolve_device
    from kencore.evaluate.accuracy import evaluate_model, read_examples

    report = progress or (lambda done, total, message: None)
    place = resolve_device(device)
    run = _run_or_none(subject)
    if save and run is not None and run.path.resolve() == demo_run_folder().resolve():
        raise RunExistsError(
            "the demo run", got="a measurement to be kept in it", wanted="a run of your own",
            remedy="It ships with its measurement: leave save out, or prune the demo yourself.",
        )  # fmt: skip
    if run is None:
        from kencore.checkpoint.source import resolve

        folder = resolve(subject).folder
        found = evaluate_model(folder, data, device=place, progress=report)
        return {"model": subject, **found}
    examples = read_examples(data)
    report(0, 1, "Checking that the models are those of the run")
    verify(run)
    metrics = measure(
        run, examples, baselines=baselines, device=place, threads=threads,
        progress=lambda done, message: report(done, 1, message),
    )  # fmt: skip
    if save:
        save_metrics(run.path, metrics)
    return {"run": run.id, **metrics}


def _run_or_none(subject: str) -> Run | None:
    """The run, or None where the text names a folder without one, or nothing that is there."""
    try:
        folder = find_run(subject)
    except RunNotFoundError:
        return None
    return open_run(subject) if (folder / "spec.json").is_file() else None


def save_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Replace the ``metrics.json`` of a run, whole or not at all."""
    temporary = folder / f".metrics-{uuid.uuid4().hex}.json"  # several may measure at once
    try:
        temporary.write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n", "utf-8")
        temporary.replace(folder / "metrics.json")
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise not_writable(folder, error) from error


def _quality(
    classifier: Classifier, examples: Examples, i: int, steps: int, progress: Report, step: str
) -> dict[str, Any]:
    def report(done: float, total: float, message: str) -> None:
        progress((i + done / max(total, 1)) / steps, f"Measuring {step}: {message}")

    return classifier.quality(examples, progress=report)


def pruned_state(run: Run) -> Iterator[tuple[str, torch.Tensor]]:
    """The pruned parameters of a run, one at a time."""
    for name in run.pruned:
        whole = np.concatenate(list(pruned_chunks(run, name)))
        yield name, to_torch(whole, run.tuned_tensors.info(name))


def base_state(run: Run) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters that the run pruned, all reset."""
    for name in run.pruned:
        base_name = str(run.matrix(name)["base_name"])
        info = run.tuned_tensors.info(name)
        raw = run.base_tensors.raw(base_name)
        yield (
            name,
            to_torch(base_bits(run.base_tensors.info(base_name).dtype, info.dtype, raw), info),
        )


def _baseline(
    run: Run, rule: str, threads: int | None
) -> Callable[[], Iterator[tuple[str, torch.Tensor]]]:
    return lambda: baseline_state(run, rule, threads)


def baseline_state(run: Run, rule: str, threads: int | None) -> Iterator[tuple[str, torch.Tensor]]:
    """The run's parameters pruned by another rule with the same k per row, one at a time."""
    from kencore.devices import usable_cores
    from kencore.plan import row_generator
    from kencore.select import select_rows

    for name in run.pruned:
        line, info = run.matrix(name), run.tuned_tensors.info(name)
        tuned, base = run.values(name, "tuned"), run.values(name, "base")
        keep = select_rows(
            tuned, base, int(line["k"]), rule,
            rng=row_generator(run.spec.seed, name), threads=threads or usable_cores(),
            name=name,
        )  # fmt: skip
        mask = keep.T if line["transposed"] else keep
        raw = run.tuned_tensors.raw(name)
        base_name = str(line["base_name"])
        old = base_bits(
            run.base_tensors.info(base_name).dtype, info.dtype, run.base_tensors.raw(base_name)
        )
        yield name, to_torch(np.where(mask.reshape(info.shape), raw, old), info)
