"""Quality of a run: dense, base and pruned model on the same data in the same pass.

A causal language model is judged by its perplexity on text, an encoder without a head by how near its
embeddings of sentences are to the dense model's, any other model as a classifier of labelled
sentences. The base is measured with the tuned model's own head and whatever else it lacks: it is the
point where everything that could be reset is reset. A run that sets entries to zero has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.data.examples import Examples
from kencore.errors import NoNetworkError, RunExistsError, RunNotFoundError, SourceNotFoundError
from kencore.models.labelled import labelled, refuse_labels
from kencore.models.language import Windows, is_language_model
from kencore.quality.answers import LINES, flips_of
from kencore.quality.cost import cost_of_model
from kencore.quality.judge_model import Bring, Judge, Key
from kencore.quality.paired import compared
from kencore.quality.parts import Parts
from kencore.quality.steps import states_of
from kencore.runs.flips import same_data
from kencore.runs.restore import verify
from kencore.runs.run import open_run
from kencore.runs.shelf import find_run, may_change, nearest
from kencore.system.memory import budget
from kencore.system.plain_json import json_text
from kencore.system.progress import Bar, Progress, silent
from kencore.system.whole import whole_file

if TYPE_CHECKING:
    from kencore.data.lines import Lines
    from kencore.runs.flips import Flips
    from kencore.runs.run import Run
    from kencore.settings.prune import PruneSpec
    from kencore.system.memory import Budget


def measure(
    run: Run,
    data: Examples | Windows | Lines,
    *,
    baselines: bool,
    device: str,
    threads: int | None,
    progress: Progress,
    before: Run | None = None,
    judge: Judge | None = None,
    cost: bool = True,
    special: Mapping[str, tuple[Key | None, Bring]] | None = None,
    on_flips: Callable[[Flips], None] | None = None,
    lines: int = LINES,
    memory: Budget | None = None,
    parts: Parts | None = None,
) -> dict[str, Any]:
    """The content of ``metrics.json``: quality of the dense, the base and the pruned model.

    Every other step has ``versus_dense`` (see `kencore.quality.paired`), and ``cost``, where it was asked for,
    says what `kencore.quality.cost.cost_of` does.

    Args:
        data: what `fitting_data` read for the run's tuned model.
        baselines: measure every baseline rule too, at the run's own budget and scope: as many
            entries of each row.
        progress: called with (done, total, what is being done).
        cost: also what the run costs.
        before: of a run that was tuned after pruning: the run that it was tuned from, measured as
            ``untuned``.
        judge: of other runs of the same model, measured on the same data; loaded where it is left
            out.
        special: baselines that take the calibration streams, and other states that the run's files alone do not
            give: what their figures depend on, and what puts the judge's model into them.
        on_flips: called with what changed in a classifier's answers, which are at hand here; not called for others.
        lines: of that, at most, unless more answers changed.
        memory: see `load_judge`.
        parts: what other processes measured of the data: where that is all of it no pass is repeated.
    """
    folder = run.tuned_tensors.folder
    judge = judge or load_judge(folder, data, device=device, threads=threads, memory=memory)
    states, own = states_of(judge, run, baselines=baselines, threads=threads, before=before)
    states |= special or {}
    there = {} if parts is None else parts.figures(judge, list(states))
    bar = Bar(progress, len(states) + cost)
    found: dict[str, dict[str, Any]] = {}
    for step, (key, bring) in states.items():
        bar.report(bar.done / bar.total, 1, f"Measuring {step}")
        if step in there:
            found[step] = there[step]
            continue
        work = 1.0 if special and step in special else 0.0
        found[step] = judge.figures(
            key,
            bring,
            bar.phase(f"Measuring {step}", 1),
            work=work,
            run=run if step == "pruned" else None,
            hold=step not in own,
        )
    metrics = {**measured_on(data), "device": device} | {step: found.pop(step) for step in own}
    metrics["baselines"] = found
    if on_flips is not None and isinstance(data, Examples):
        told = flips_of(data, judge.model.model.config.id2label, metrics, limit=lines)
        if told is not None:
            on_flips(told)
    took = {"cost": judge.cost_of(run, bar.phase("Measuring cost", 1))} if cost else {}
    return compared(metrics) | took


def read_data(folder: Path, spec: PruneSpec) -> Examples | Windows | Lines | None:
    """What a job is to be measured on, checked before anything is pruned.

    Args:
        folder: of the tuned model.

    Raises as `fitting_data`.
    """
    if spec.evaluation is None:
        return None
    return fitting_data(folder, spec.evaluation, window=spec.window, limit=spec.windows, bos=spec.bos)


def fitting_data(
    folder: Path, data: str, *, window: int | None = None, limit: int | None = None, bos: bool = False
) -> Examples | Windows | Lines:
    """Read the data that a model is to be judged on, and check that they fit it.

    Args:
        folder: of the model; its weights are not read.
        data: for a causal language model a text, see `kencore.data.text.read_text`; for a
            classifier labelled sentences, see `read_examples`; for an encoder without a head
            sentences, see `read_lines`.
        window: of a text: tokens of a window; ``None``: see `usual_window`.
        limit: of a text: at most so many windows.
        bos: of a text: every window begins with what the tokenizer puts before a text.

    Raises:
        TaskMismatchError: labelled sentences for a language model, a model that is neither that
            nor a classifier, or labels that the classifier does not know.
        NotALanguageModelError: a text for a classifier.
        DataFileError, NoNetworkError: the data cannot be read, or are too short.
        TokenizerError, TokenTableError: the tokenizer fails, or gives what the model has no row for.
        WindowError: a window that the model cannot read.
    """
    if is_language_model(folder):
        from kencore.models.language import read_windows

        refuse_labels(folder, data)
        return read_windows(folder, data, window=window, limit=limit, bos=bos)
    from kencore.models.embedder import fitting_lines, is_encoder

    if is_encoder(folder):
        return fitting_lines(folder, data)
    from kencore.models.loading import check_words

    examples = labelled(folder, data)
    check_words(folder, examples)
    return examples


def judge(
    subject: str,
    data: str,
    *,
    baselines: bool = False,
    cost: bool = True,
    save: bool = False,
    window: int | None = None,
    windows: int | None = None,
    bos: bool | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    shared: Path | None = None,
) -> dict[str, Any]:
    """Measure a run (dense, base, pruned and, if asked, baselines) or a single model.

    Args:
        subject: the id or folder of a run; otherwise a model: a folder or a hub id.
        data: of a classifier ``"demo"``, or a file of labelled sentences, see
            `kencore.data.examples.read_examples`; of a causal language model a text: ``"pydoc"``, ``"wikitext2"``,
            ``"c4"``, ``"ptb"`` or a file.
        cost: also what the run or the model costs.
        save: of a run: keep the result as its ``metrics.json``.
        window, windows: of a text: tokens of a window, and at most how many windows; ``None``: as
            the run was asked to, else the largest window that is usual and the whole text.
        bos: of a text: whether every window begins with what the tokenizer puts before a text; ``None``: as the run
            was asked to, else not.
        shared: where other processes kept what they measured, see `kencore.quality.part.judge_part`.

    Raises:
        KencoreError: no such run or model, data that do not fit, or a run that cannot be written.
    """
    from kencore.system.devices import resolve_device

    report = progress or silent
    place = resolve_device(device)
    run = run_or_none(subject)
    if save and run is not None:
        check_own(run)
    if run is None:
        found = _judge_model(
            model_of(subject),
            data,
            window=window,
            limit=windows,
            bos=bool(bos),
            cost=cost,
            device=place,
            threads=threads,
            report=report,
            shared=shared,
        )
        return {"model": subject, **found}
    read = data_for(run, data, window=window, windows=windows, bos=bos)
    tell(read, report)
    report(0, 1, "Checking that the models are those of the run")
    verify(run)
    told: list[Flips] = []
    metrics = measure(
        run,
        read,
        baselines=baselines,
        cost=cost,
        device=place,
        threads=threads,
        progress=report,
        on_flips=told.append,
        parts=None if shared is None else Parts(shared, read),
    )
    still = still_true(run.metrics, metrics)
    metrics = still | metrics | {"baselines": still.get("baselines", {}) | metrics["baselines"]}
    # what was measured otherwise, and is not measured again
    metrics = {name: run.metrics[name] for name in ("zero_shot", "cost") if name in run.metrics} | metrics
    if save:
        save_metrics(run.path, metrics)
        for flips in told:
            flips.save(run.path)
    return {"run": run.id, "method": run.spec.method, **metrics}


def data_for(
    run: Run, data: str, *, window: int | None = None, windows: int | None = None, bos: bool | None = None
) -> Examples | Windows | Lines:
    """The data that a run is measured on, read as it was asked to where nothing else is said. Raises as `judge`."""
    return fitting_data(
        run.tuned_tensors.folder,
        data,
        window=run.spec.window if window is None else window,
        limit=run.spec.windows if windows is None else windows,
        bos=run.spec.bos if bos is None else bos,
    )


def still_true(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What the run was measured with on the very same data, and is not measured again: baselines,
    and the model before it was tuned.

    Some baselines take the calibration streams, which only pruning has, and the run that a run was
    tuned from may be gone: measuring again does not lose them.
    """
    same = same_data(old, new)
    return {name: old[name] for name in ("untuned", "baselines") if same and old.get(name)}


def run_or_none(subject: str) -> Run | None:
    """The run, or None where the text names a folder without one, or nothing that is there."""
    try:
        folder = find_run(subject)
    except RunNotFoundError:
        return None
    return open_run(subject) if (folder / "spec.json").is_file() else None


def model_of(subject: str) -> Path:
    """The folder of a model that is no run.

    Raises:
        KencoreError: as `kencore.checkpoint.source.resolve`; where nothing is found, with the runs of a similar name.
    """
    from kencore.checkpoint.source import resolve

    try:
        return resolve(subject).folder
    except (SourceNotFoundError, NoNetworkError) as error:
        raise type(error)(
            error.subject,
            got=f"no run of that name, and {error.got}",
            wanted=error.wanted,
            remedy=nearest(subject) + error.remedy,
        ) from error


def check_own(run: Run) -> None:
    """Raise `RunExistsError` for a run that ships or is somebody else's: nothing is kept in it."""
    if not may_change(run.path):
        raise RunExistsError(
            f"run {run.id}",
            got="a measurement to be kept in it",
            wanted="a run of your own",
            remedy="It ships, or is shared, with its measurement: leave save out, or prune one yourself.",
        )


def save_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Replace the ``metrics.json`` of a run, whole or not at all."""
    with whole_file(folder / "metrics.json", force=True) as temporary:
        temporary.write_text(json_text(metrics), "utf-8")


def _judge_model(
    folder: Path,
    data: str,
    *,
    window: int | None,
    limit: int | None,
    bos: bool,
    cost: bool,
    device: str,
    threads: int | None,
    report: Progress,
    shared: Path | None,
) -> dict[str, Any]:
    found = fitting_data(folder, data, window=window, limit=limit, bos=bos)
    tell(found, report)
    judge = load_judge(folder, found, device=device, threads=threads)
    told = {} if shared is None else Parts(shared, found).figures(judge, ["dense"])
    model, quality = judge.model, told.get("dense") or judge.model.quality(found, progress=report)
    if not cost:
        return {**measured_on(found), **quality}
    report(1, 1, "Measuring cost")
    return {**measured_on(found), **quality, "cost": cost_of_model(model, found)}


def tell(data: Examples | Windows | Lines | None, report: Progress) -> None:
    """Say how the data were read, and what their labels mean to the model, before anything is measured."""
    for note in () if data is None else data.notes:
        report(0, 1, note)


def load_judge(
    folder: Path,
    data: Examples | Windows | Lines,
    *,
    device: str,
    threads: int | None,
    memory: Budget | None = None,
    remember: bool = True,
) -> Judge:
    """Load a model to be judged on data that `fitting_data` read for it.

    It is a `LanguageModel`, an `Embedder` or a `Classifier`, by what its quality is measured on.

    Args:
        memory: how much this process may hold; ``None``: see `kencore.system.memory.budget`. A language model that
            needs more is measured block by block.
        remember: of an encoder: measure the dense model's embeddings, which all others are compared with.
    """
    if isinstance(data, Windows):
        from kencore.models.paged import load_language

        return Judge(load_language(folder, device=device, threads=threads, room=memory or budget()), data)
    from kencore.data.lines import Lines

    if isinstance(data, Lines):
        from kencore.models.embedder import Embedder

        encoder = Embedder.load(folder, device=device, threads=threads)
        if remember:
            encoder.remember(data)
        return Judge(encoder, data)
    from kencore.models.classifier import Classifier

    return Judge(Classifier.load(folder, device=device, threads=threads), data)


def measured_on(data: Examples | Windows | Lines) -> dict[str, Any]:
    """What was measured on, as ``metrics.json`` says it."""
    facts: dict[str, Any] = {"data": data.source, "data_sha256": data.sha256}
    if data.notes:
        facts["data_notes"] = list(data.notes)
    if not isinstance(data, Windows):
        embedding = {} if hasattr(data, "labels") else {"task": "embedding"}
        return embedding | facts | {"examples": len(data)}
    count, window = data.ids.shape
    sizes = {"window": window, "windows": count, "tokens": count * (window - 1)}
    return {"task": "language"} | facts | sizes | ({"bos": True} if data.bos else {})
