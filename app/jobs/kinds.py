"""What a person sees of each kind of job: one row of `KINDS` per kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.data import exports
from app.frame import links, state, verdict
from kencore.errors import KencoreError
from kencore.words import numbers as wording
from kencore.words import run as facts

if TYPE_CHECKING:
    from kencore.jobs import JobStatus
    from kencore.runs.run import Run

NOTHING_WRITTEN: Final = "Cancelled. Nothing was written."


def _no_link(job: JobStatus, elsewhere: bool) -> None:
    """A finished job that leads nowhere."""


def _model(job: JobStatus) -> str:
    return f"{job.kind.capitalize()} {job.params.get('model', '')}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a kind of job is shown.

    Args:
        label: what a job of the kind is about, in one line.
        finished: draws where a finished job leads; the flag says that the page shows its result
            itself.
        cancelled: what is left after a cancel, as a sentence.
        keeps: whether a cancelled job leaves something to continue with.
        listed: whether it is among the recent jobs.
    """

    label: Callable[[JobStatus], str] = _model
    finished: Callable[[JobStatus, bool], None] = _no_link
    cancelled: str = NOTHING_WRITTEN
    keeps: bool = False
    listed: bool = False


def shown(job: JobStatus) -> Shown:
    """The row of a job's kind; a kind that the table does not have is shown plainly."""
    return KINDS.get(job.kind, PLAIN)


def label(job: JobStatus) -> str:
    """What the job is about, in one line."""
    return shown(job).label(job)


def _prune(job: JobStatus) -> str:
    from kencore.runs.naming import describe
    from kencore.settings.prune import PruneSpec

    try:
        return describe(asdict(PruneSpec.from_dict(job.params)))
    except KencoreError:  # settings of another version
        return _model(job)


def _pruned(job: JobStatus, elsewhere: bool) -> None:
    _verdict(job)
    with st.container(horizontal=True):
        _open_run(job)
        links.page_link("matrix", "Open its matrices", icon=":material/grid_on:", run=job.id)


def _tune(job: JobStatus) -> str:
    return f"Recover {_run_name(job)} on {job.params.get('data', '')}"


def _tuned(job: JobStatus, elsewhere: bool) -> None:

    with st.container(horizontal=True):
        _open_run(job)
        if not elsewhere:
            links.page_link("recover", "How it was tuned", icon=":material/healing:", run=job.id)


def _sweep(job: JobStatus) -> str:
    from kencore.settings.sweep import SweepSpec
    from kencore.sweeps.shelf import describe

    try:
        return f"Sweep of {describe(SweepSpec.from_dict(job.params))}"
    except KencoreError:  # settings of another version
        return _model(job)


def _swept(job: JobStatus, elsewhere: bool) -> None:
    from kencore.settings.sweep import SweepSpec

    try:
        sweep = SweepSpec.from_dict(job.params).id
    except KencoreError:  # settings of another version
        return
    links.page_link("tradeoff", "Open the sweep", icon=":material/arrow_forward:", sweep=sweep)


def _export(job: JobStatus) -> str:
    return f"{exports.label(job.kind, job.params.get('form'))} of {_run_name(job)}"


def _exported(job: JobStatus, elsewhere: bool) -> None:
    exports.show(job.id)


def _flips(job: JobStatus) -> str:
    return f"Changed answers of {_run_name(job)}"


def _sensitivity(job: JobStatus) -> str:
    return f"Sensitivity by matrix of {_run_name(job)}"


def _flipped(job: JobStatus, elsewhere: bool) -> None:
    links.page_link("flips", "Open them", icon=":material/arrow_forward:", run=job.params.get("run"), job=job.id)


def _verdict(job: JobStatus) -> None:
    """What to think of the run that the job made."""
    try:
        run = state.open_cached(job.id)
        verdict.show(run)
        if run.spec.coded:
            st.caption(state.plain(_file(run)))
    except KencoreError as error:
        state.show_error(error)


def _file(run: Run) -> str:
    """How large the file of a run is that codes differences, and how near its answers come."""
    from kencore.exports.subnetwork.plan import known_bytes_at

    size, near = known_bytes_at(run.path, run.id, state.stamp(run.path)), facts.near(run.metrics)
    said = [] if size is None else [f"Its subnetwork file has {wording.size(size)}."]
    return " ".join(said + ([] if near is None else [near]))


def _open_run(job: JobStatus) -> None:
    links.page_link("overview", "Open the run", icon=":material/arrow_forward:", run=job.id)


def _run_name(job: JobStatus) -> str:
    """The run that a job is about, as the lists call it."""
    run_id = str(job.params.get("run", ""))
    try:
        return {run.id: run.label for run in state.runs()}.get(run_id, run_id)
    except KencoreError:  # the sidebar says it
        return run_id


PLAIN: Final = Shown()
KINDS: Final[dict[str, Shown]] = {
    "prune": Shown(label=_prune, finished=_pruned, listed=True),
    "tune": Shown(
        label=_tune,
        finished=_tuned,
        cancelled="Cancelled. No run was written. The same settings continue from the last checkpoint, if there "
        "is one (about one a minute).",
        keeps=True,
        listed=True,
    ),
    "sweep": Shown(
        label=_sweep,
        finished=_swept,
        cancelled="Cancelled. Finished points stay; the same settings run the rest.",
        keeps=True,
        listed=True,
    ),
    "evaluate": Shown(listed=True),
    "flips": Shown(label=_flips, finished=_flipped, listed=True),
    "sensitivity": Shown(label=_sensitivity, listed=True),
    "export": Shown(label=_export, finished=_exported),
    exports.REPORT: Shown(label=_export, finished=_exported),
}
