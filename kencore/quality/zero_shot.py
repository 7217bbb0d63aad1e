"""Zero-shot tasks before and after: the dense and the pruned model of a run, or a single model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.errors import RunExistsError, SpecError, TaskMismatchError
from kencore.models.figures import Figures
from kencore.models.language import LanguageModel, check_language_task
from kencore.quality.judge import judge, run_or_none, save_metrics
from kencore.quality.paired import versus
from kencore.quality.states import pruned_state
from kencore.quality.zero_shot_harness import check_installed
from kencore.quality.zero_shot_result import opened, zero_shot
from kencore.runs.restore import verify
from kencore.runs.shelf import is_shipped
from kencore.system.progress import Bar, Progress, silent

if TYPE_CHECKING:
    from kencore.runs.run import Run


def judge_all(
    subject: str,
    data: str | None,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    save: bool = False,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """What `judge` says on data, `judge_zero_shot` on tasks (under ``zero_shot``), or both.

    Args:
        settings: baselines, window and windows, see `judge`.

    Raises:
        SpecError: neither data nor tasks.
        KencoreError: as those two do.
    """
    if data is None and not tasks:
        raise SpecError(
            "data and tasks",
            got="neither",
            wanted="one of them, or both",
            remedy="--data for accuracy or perplexity, --tasks for zero-shot tasks.",
        )
    place: dict[str, Any] = {"device": device, "threads": threads, "progress": progress}
    if data is None:
        found = judge_zero_shot(subject, tasks, limit=limit, save=save, **place)
        named = {name: found[name] for name in ("run", "model") if name in found}
        return named | {"zero_shot": found}
    asked = judge_zero_shot(subject, tasks, limit=limit, **place) if tasks else None
    metrics = judge(subject, data, save=save, **settings, **place)
    if asked is None:
        return metrics
    run = run_or_none(subject)
    if save and run is not None:
        keep_zero_shot(run, asked)
    return metrics | {"zero_shot": asked}


def judge_zero_shot(
    subject: str,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    save: bool = False,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a run (dense, then pruned, on the same examples) or a single model.

    Args:
        subject: the id or folder of a run; otherwise a model: a folder or a hub id.
        tasks: names of lm-evaluation-harness, or task files (``.yaml``) with data of one's own.
        limit: the first so many examples of each task.
        save: of a run whose quality was measured: keep the result in its ``metrics.json``.
        progress: called with (done, total, what is being done); may raise to cancel.

    Returns:
        ``tasks``, ``limit``, ``harness`` (its version), ``device`` and, of a run, ``dense`` and
        ``pruned`` with the figures of each task (see `kencore.quality.zero_shot_result`), those of
        pruned with ``versus_dense``; of a model ``model`` and its figures under ``dense``.

    Raises:
        MissingExtraError: lm-evaluation-harness is not installed.
        ZeroShotTaskError, NoNetworkError: a task that cannot be measured.
        NotALanguageModelError: another kind of model.
        KencoreError: no such run or model, or a run that cannot be written.
    """
    from kencore.checkpoint.source import resolve
    from kencore.system.devices import resolve_device

    version, place = check_installed(), resolve_device(device)
    if limit is not None and limit < 1:
        raise SpecError("limit", got=f"{limit}", wanted="1 or more", remedy="Leave it out for all.")
    run = run_or_none(subject)
    if save:
        _check_kept(run, subject)
    folder = Path(resolve(subject).folder if run is None else run.tuned_tensors.folder)
    check_language_task(folder)
    states = 1 if run is None else 2
    bar = Bar(progress or silent, states)
    facts: dict[str, Any] = {} if run is not None else {"model": subject}
    with opened(tasks) as loaded:
        if run is not None:
            verify(run)
        model = LanguageModel.load(folder, device=place, threads=threads)
        found = {"dense": zero_shot(model, loaded, limit=limit, progress=bar.phase("Measuring dense", 1))}
        if run is not None:
            for name, tensor in pruned_state(run):
                model.replace({name: tensor})
            after = zero_shot(model, loaded, limit=limit, progress=bar.phase("Measuring pruned", 1))
            found["pruned"] = {name: _compared(found["dense"][name], figures) for name, figures in after.items()}
        facts |= {"tasks": list(loaded), "limit": limit, "harness": version, "device": place}
    result = facts | found
    if save and run is not None:
        keep_zero_shot(run, result)
    return result | ({"run": run.id} if run is not None else {})


def keep_zero_shot(run: Run, result: dict[str, Any]) -> None:
    """Put what was measured into the ``metrics.json`` of a run."""
    kept = {name: value for name, value in result.items() if name != "run"}
    save_metrics(run.path, run.metrics | {"zero_shot": kept})


def _compared(dense: Figures, pruned: Figures) -> Figures:
    if len(dense.outcomes) == 0:  # no metric that is right or wrong
        return pruned
    return Figures({**pruned, "versus_dense": versus(dense, pruned)}, pruned.outcomes)


def _check_kept(run: Run | None, subject: str) -> None:
    """Raise unless there is a measured run to keep the result in."""
    if run is None:
        raise TaskMismatchError(subject, got="a model", wanted="a run to keep the result in", remedy="Leave save out.")
    if is_shipped(run.path):
        raise RunExistsError(
            "the demo run",
            got="a measurement to be kept in it",
            wanted="a run of your own",
            remedy="It ships with its measurement: leave save out, or prune the demo yourself.",
        )
    if "dense" not in run.metrics:
        raise TaskMismatchError(
            f"run {run.id}",
            got="no quality measured yet",
            wanted="a run that holds its quality",
            remedy="Measure it on a text too (--data) and keep that with it.",
        )
