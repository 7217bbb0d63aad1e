"""Zero-shot tasks before and after: the dense and the pruned model of a run, or a single model.

Questions with given answers, of which the model finds one most likely; measured by lm-evaluation-harness (0.4.13) on
the model in memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.errors import SpecError, TaskMismatchError, ZeroShotTaskError
from kencore.models.figures import Figures
from kencore.models.language import LanguageModel, check_language_task
from kencore.models.loaded import torch_threads
from kencore.quality.judge import check_own, judge, model_of, run_or_none, save_metrics
from kencore.quality.paired import versus
from kencore.quality.same_state import confirm
from kencore.quality.states import pruned_state
from kencore.quality.zero_shot_harness import answers, around, check_installed, harness, load_tasks
from kencore.runs.restore import verify
from kencore.runs.shelf import nearest
from kencore.system.progress import Bar, Progress, silent

if TYPE_CHECKING:
    from kencore.runs.run import Run

BATCH = 8


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
        settings: baselines, cost, window and windows, see `judge`.

    Raises:
        SpecError: neither data nor tasks.
        KencoreError: as those two do.
    """
    if data is None and not tasks:
        raise SpecError(
            "data and tasks",
            got="neither" if run_or_none(subject) else f"neither, and no run is called {subject!r}",
            wanted="one of them, or both",
            remedy=f"{nearest(subject)}--data for accuracy or perplexity, --tasks for zero-shot tasks.",
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
        ``pruned`` with the figures of each task (see `zero_shot`), those of
        pruned with ``versus_dense``; of a model ``model`` and its figures under ``dense``.

    Raises:
        MissingExtraError: lm-evaluation-harness is not installed.
        ZeroShotTaskError, NoNetworkError: a task that cannot be measured.
        NotALanguageModelError: another kind of model.
        KencoreError: no such run or model, or a run that cannot be written.
    """
    from kencore.system.devices import resolve_device

    version, place = check_installed(), resolve_device(device)
    if limit is not None and limit < 1:
        raise SpecError("limit", got=f"{limit}", wanted="1 or more", remedy="Leave it out for all.")
    run = run_or_none(subject)
    if save:
        _check_kept(run, subject)
    folder = Path(model_of(subject) if run is None else run.tuned_tensors.folder)
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
            confirm(model, run)
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
    check_own(run)
    if "dense" not in run.metrics:
        raise TaskMismatchError(
            f"run {run.id}",
            got="no quality measured yet",
            wanted="a run that holds its quality",
            remedy="Measure it on a text too (--data) and keep that with it.",
        )


@contextmanager
def opened(tasks: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The tasks by name, their data loaded once for every model that is measured inside.

    Raises:
        MissingExtraError: lm-evaluation-harness is not installed.
        ZeroShotTaskError, NoNetworkError: see `load_tasks`.
    """
    check_installed()
    if not tasks:
        raise ZeroShotTaskError("Tasks", got="none", wanted="one or more", remedy="Name them, joined by commas.")
    with tempfile.TemporaryDirectory(prefix="kencore-tasks-") as cache, harness():
        yield load_tasks(tasks, Path(cache))


def zero_shot(
    model: LanguageModel,
    tasks: dict[str, Any],
    *,
    limit: int | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> dict[str, Figures]:
    """Measure a model on tasks.

    Args:
        tasks: what `opened` yields, while it is open.
        limit: the first so many examples of each task; ``None``: all.
        batch: requests at once.
        progress: called with (done, total, what is being done); may raise to cancel.

    Returns:
        By task: each metric by name (``acc``, ``acc_norm``) and, where an example is either right
        or wrong, its 95 % Wilson interval (``acc_low``, ``acc_high``); ``examples``, ``seconds``.
        The outcomes are those of ``acc``, or of the first metric that has an interval.
    """
    bar = Bar(progress or silent, len(tasks))
    model.model.to(model.device).eval()
    found = {}
    with torch_threads(model.threads):
        for name, task in tasks.items():
            started = time.monotonic()
            raw = answers(around(model, batch=batch, progress=bar.phase(name, 1)), name, task, limit)
            found[name] = _figures(raw["results"][name], raw["samples"][name], started)
    return found


def _figures(results: dict[str, Any], samples: list[dict[str, Any]], started: float) -> Figures:
    """Metrics of one task, from the harness' aggregates and its examples."""
    from scipy.stats import binomtest

    figures: dict[str, Any] = {}
    outcomes: dict[str, Any] = {}
    for key, value in results.items():
        metric, _, rule = key.partition(",")
        if not isinstance(value, (int, float)) or not rule or metric.endswith("_stderr"):
            continue
        figures[metric] = float(value)
        told = [sample[metric] for sample in samples if sample["filter"] == rule]
        if told and all(outcome in (0, 1) for outcome in told):
            right = np.array(told, dtype=bool)
            interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
            figures[f"{metric}_low"] = float(interval.low)
            figures[f"{metric}_high"] = float(interval.high)
            outcomes[metric] = right
    figures["examples"] = len({sample["doc_id"] for sample in samples})
    figures["seconds"] = round(time.monotonic() - started, 3)
    main = outcomes.get("acc", next(iter(outcomes.values()), np.empty(0, dtype=bool)))
    return Figures(figures, main)
