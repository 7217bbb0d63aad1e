"""Which sweep the trade-off page shows: the choice, the job that works on it, its deletion."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.frame import links, parts, state
from kencore import jobs
from kencore.errors import KencoreError, SweepNotFoundError
from kencore.runs.reading import read_files
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.places import point_folder
from kencore.sweeps.shelf import Sweep, SweepSummary, delete_sweep, is_own, open_stored_sweep

if TYPE_CHECKING:
    from kencore.jobs import JobStatus


def choose(sweeps: list[SweepSummary], shown: str | None) -> None:
    """A box of all sweeps; the choice goes into the address. Broken ones are said."""
    usable = {sweep.id: sweep for sweep in sweeps if sweep.problem is None}
    # not how far each is: the browser knows an option by its words, which must not change
    labels = parts.told_apart({name: sweep.label for name, sweep in usable.items()})
    st.session_state["sweep_choice"] = shown if shown in usable else None

    def chosen() -> None:
        if st.session_state["sweep_choice"] in usable:
            links.write(sweep=st.session_state["sweep_choice"])

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Sweep",
            list(usable),
            key="sweep_choice",
            format_func=labels.__getitem__,
            on_change=chosen,
            placeholder="Choose a sweep",
            width="stretch",
        )
        if shown in usable and is_own(shown):
            _delete(usable[shown])
    for sweep in sweeps:
        if sweep.problem is not None:
            st.caption(f":material/error: Sweep **{state.plain(sweep.id)}**: {state.plain(sweep.problem)}")


def _delete(sweep: SweepSummary) -> None:
    with st.popover("Delete", icon=":material/delete:", type="tertiary", width="content"):
        st.markdown(f"Delete this sweep and its **{sweep.done} runs** for good?")
        if st.button("Delete this sweep", type="primary", icon=":material/delete:", key=f"delete-sweep-{sweep.id}"):
            with state.messages():
                delete_sweep(sweep.id)
            state.forget_runs()
            if (links.value("run") or "").startswith(f"sweep-{sweep.id}-"):
                links.write(run=None, matrix=None)
            links.write(sweep=None)
            st.rerun()


def shown(sweeps: list[SweepSummary]) -> str | None:
    """The sweep that the address names, else the newest; ``None`` where there is none."""
    usable = [sweep.id for sweep in sweeps if sweep.problem is None]
    return links.value("sweep") or (usable[0] if usable else None)


def opened(sweep: str) -> Sweep:
    """A sweep of the store, by its id alone: an id from an address never becomes a path.

    Raises:
        SweepNotFoundError: the store has none of that id.
        CorruptRunError: its folder is broken.
    """
    if not (sweep.isascii() and sweep.isalnum()):
        raise SweepNotFoundError(
            repr(sweep),
            got="not the id of a sweep",
            wanted="an id from the list of sweeps",
            remedy="Choose a sweep from the list.",
        )
    try:
        return open_stored_sweep(sweep)
    except SweepNotFoundError:
        raise SweepNotFoundError(
            f"sweep {sweep}",
            got="no such sweep in the store",
            wanted="an id from the list of sweeps",
            remedy="It may have been deleted. Choose another, or start it again.",
        ) from None


def job_of(sweep: str) -> JobStatus | None:
    """The newest job that works, or worked, on a sweep."""
    found = jobs.list_jobs(kind="sweep", limit=50)
    return next((job for job in found if id_of(job.params) == sweep), None)


def id_of(params: dict[str, Any]) -> str | None:
    """The id of the sweep that a job's settings ask for; ``None`` for those of another version."""
    return _id(json.dumps(params, sort_keys=True))


@lru_cache(maxsize=256)
def _id(text: str) -> str | None:
    try:
        return SweepSpec.from_json(text).id
    except KencoreError:
        return None


def base_quality(sweep: Sweep) -> dict[str, Any] | None:
    """What was measured of the base model beside the points, if anything."""
    for run in sweep.points.loc[sweep.points["state"] == "done", "run"]:
        try:
            found = read_files(point_folder(run), "metrics.json")["metrics.json"]
        except KencoreError:
            continue
        if found:
            base: dict[str, Any] | None = found.get("base")
            return base
    return None


MOST_SIZED = 200


def sizes(sweep: Sweep) -> dict[str, int]:
    """Bytes of the subnetwork file of each finished point; nothing of those whose checkpoints are
    gone, or where there are so many that counting would take long.
    """
    done = sweep.points.loc[sweep.points["state"] == "done", "run"]
    if len(done) > MOST_SIZED:
        return {}
    found = {run: _size(run, state.stamp(point_folder(run))) for run in done}
    return {run: nbytes for run, nbytes in found.items() if nbytes is not None}


@lru_cache(maxsize=2048)
def _size(run: str, _stamp: str) -> int | None:
    from kencore.exports.subnetwork.plan import known_bytes, subnetwork_bytes
    from kencore.runs.run import Run

    try:
        found = Run(point_folder(run), name=run)
        return known_bytes(found) if found.thin else subnetwork_bytes(found)
    except (KencoreError, OSError):
        return None
