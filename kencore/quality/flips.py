"""What pruning changed in the answers of a run's model: the same judge and data as its quality.

A classifier's answers are at hand where its quality is measured. Of a language model two passes over the text are
compared window by window, and no more logits are held than `kencore.quality.flips_text` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.errors import SpecError, TaskMismatchError
from kencore.models.language import Windows
from kencore.quality.answers import LINES
from kencore.quality.judge import fitting_data, load_judge, measure, tell
from kencore.runs.flips import same_data
from kencore.runs.restore import verify
from kencore.runs.run import Run, open_run
from kencore.runs.shelf import may_change
from kencore.system.progress import Progress, silent

if TYPE_CHECKING:
    from kencore.runs.flips import Flips


def flips(
    run: Run | str | Path,
    data: str | None = None,
    *,
    baselines: bool = True,
    limit: int = LINES,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Flips:
    """Every answer that pruning changed, and those where the two models are furthest apart.

    Args:
        run: a run, its id or its folder.
        data: as for `kencore.quality.judge.judge`; ``None``: what the run's quality was measured on.
        baselines: also what other rules answer at the run's own budget, those that need no activations.
        limit: lines of the table: of sentences, unless more answers changed.
        progress: called with (done, total, what is being done); may raise to cancel.

    Raises:
        KencoreError: no such run, other models than its own, data that do not fit, or none to be measured on.
        TaskMismatchError: an encoder without a head, which gives no answers.
    """
    from kencore.system.devices import resolve_device

    report = progress or silent
    opened, place = run if isinstance(run, Run) else open_run(run), resolve_device(device)
    if limit < 1:
        raise SpecError("limit", got=f"{limit:,}", wanted="1 or more", remedy="Leave it out for the usual number.")
    chosen, sizes = own_data(opened, data)
    found = fitting_data(opened.tuned_tensors.folder, chosen, **sizes)
    tell(found, report)
    if not isinstance(found, Windows) and not hasattr(found, "labels"):
        raise TaskMismatchError(
            f"Run {opened.id}",
            got="an encoder without a head",
            wanted="a model that answers: a classifier or a language model",
            remedy="Embeddings are compared by their similarity, see `evaluate`.",
        )
    report(0, 1, "Checking that the models are those of the run")
    verify(opened)
    if isinstance(found, Windows):
        from kencore.quality.flips_text import text_flips

        judge = load_judge(opened.tuned_tensors.folder, found, device=place, threads=threads)
        return text_flips(opened, judge, baselines=baselines, limit=limit, threads=threads, progress=report)
    told: list[Flips] = []
    measure(
        opened,
        found,
        baselines=baselines,
        device=place,
        threads=threads,
        progress=report,
        cost=False,
        on_flips=told.append,
        lines=limit,
    )
    return told[0]


def keep_flips(run: Run, found: Flips) -> bool:
    """Put them into the run's folder where they are about the data of its quality; whether they are.

    Raises:
        StoreNotWritableError: it cannot be written.
    """
    if not may_change(run.path) or not same_data(run.metrics, found.facts):
        return False
    found.save(run.path)
    return True


def own_data(run: Run, data: str | None) -> tuple[str, dict[str, Any]]:
    """What a run is asked about, by default what its quality was measured on, and the windows of a text.

    Raises:
        SpecError: neither is there.
    """
    own = run.metrics.get("data") or run.spec.evaluation
    if data is None and own is None:
        raise SpecError(
            "data",
            got="none, and the quality of this run was not measured",
            wanted="labeled sentences, or a text for a language model",
            remedy="Name a file with --data, or measure the run first.",
        )
    if data is None and "window" in run.metrics:
        measured = run.metrics
        return str(own), {"window": measured["window"], "limit": measured["windows"], "bos": bool(measured.get("bos"))}
    return str(data or own), {"window": run.spec.window, "limit": run.spec.windows, "bos": run.spec.bos}
