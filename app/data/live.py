"""What the weight viewer reads where a slider, not the run, says which entries are kept."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kencore.errors import KencoreError, SpecError
from kencore.live import setting as retune

if TYPE_CHECKING:
    from starlette.requests import Request

    from kencore.live.setting import Setting
    from kencore.runs.run import Run

PARAMS: Final = ("live", "made")
"""``live=<setting>``: the matrix selected again; ``made=<job>``: the run that a job made of it."""


def seen(run: Run, asked: dict[str, str], request: Request) -> Run:
    """The run to read: the stored one, the same at a setting, or what a job made.

    Raises:
        SpecError: both are asked for, or a setting that cannot be.
        GettingReady: the matrix is still being ranked.
        KencoreError: no such job, no such result.
    """
    if "live" in asked and "made" in asked:
        raise SpecError("live and made", got="both", wanted="at most one of them", remedy="Leave one out.")
    if "made" in asked:
        return made(asked["made"])
    if "live" not in asked:
        return run
    from kencore.live.ranking import live_run

    setting = retune.Setting.from_text(asked["live"])
    return live_run(run, asked["matrix"], setting, wanted=lambda: not _left(request))


def _left(request: Request) -> bool:
    """Whether the browser has given up on the answer (a newer move of the slider)."""
    from anyio import from_thread

    try:
        return bool(from_thread.run(request.is_disconnected))
    except RuntimeError:  # not on one of the server's own threads
        return False


def made(job: str) -> Run:
    """The run that a ``retune`` job left. Raises as `kencore.jobs.tasks.made_run`."""
    from kencore.jobs.tasks import made_run

    return _open(made_run(job), job)


@lru_cache(maxsize=12)
def _open(folder: Path, job: str) -> Run:
    from kencore.runs.run import Run

    return Run(folder, name=job)


def comes_to(run: Run, setting: Setting, matrix: str) -> dict[str, Any]:
    """A setting in plain numbers for the strip of sliders: `kencore.live.setting.Totals` and what is
    said where only a worker knows: entries kept, or bytes of a file at most.

    Raises:
        SpecError: a setting that the run cannot have.
    """
    retune.check(run, setting)
    reason = retune.why_worker(run, setting)
    if reason is not None and run.spec.coded:
        return {"worker": reason, "bytes": retune.bytes_by_worker(run, setting), "params": run.totals["params"]}
    if reason is not None:
        return {"worker": reason, "kept": retune.kept_by_worker(run, setting), "pruned": run.totals["pruned"]}
    found = retune.totals(run, setting)
    return {
        "worker": None,
        "kept": found.kept,
        "pruned": found.pruned,
        "asked": found.asked,
        "bytes_dense": found.bytes_dense,
        "bytes_stored": found.bytes_stored,
        "shares": found.shares,
        "whole": found.whole,
        "matrix": found.matrices.get(matrix),
    }


def warm(run: Run, matrix: str, setting: Setting) -> None:
    """Have the open matrix ranked when a hand nears the sliders; what is wrong is said later."""
    from kencore.live.ranking import warm as start

    try:
        start(run, matrix, setting)
    except (KencoreError, OSError):
        return
