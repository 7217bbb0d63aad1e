"""Zero-shot tasks: questions with given answers, of which the model finds one most likely.

Measured by lm-evaluation-harness (0.4.13) on the model in memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.errors import ZeroShotTaskError
from kencore.models.figures import Figures
from kencore.models.loaded import torch_threads
from kencore.quality.zero_shot_harness import answers, around, check_installed, harness, load_tasks
from kencore.system.progress import Bar, Progress, silent

if TYPE_CHECKING:
    from kencore.models.language import LanguageModel

BATCH = 8


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
