"""Where the changed answers come from: the run, a job that the address names, or one that is started here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from app.frame import links, state
from app.jobs import panel
from app.jobs import submit as submitting
from app.parts import flips as flips_parts
from kencore import jobs
from kencore.errors import KencoreError
from kencore.settings.demo import data_of

if TYPE_CHECKING:
    from kencore.jobs import JobStatus
    from kencore.runs.flips import Flips
    from kencore.runs.run import Run


def found(run: Run) -> Flips | None:
    """What the job of the address found, else what the run keeps."""
    job = _job(run)
    if job is not None and job.state == "succeeded":
        try:
            if (made := flips_parts.opened(jobs.result(job.id))) is not None:
                return made
        except KencoreError as error:
            state.show_error(error)
    return flips_parts.stored(run)


def waits(run: Run) -> str | None:
    """What the answers shown wait for: a job that finds them on other data; ``None``: nothing."""
    job = _job(run)
    if job is None or not job.live:
        return None
    return f"Waits for the answers on {state.plain(str(job.params.get('data') or 'the data of the run'))}"


def compute(run: Run) -> None:
    """The button that starts the job, or how far it is."""
    job = _job(run)
    if job is not None and job.state != "succeeded":
        panel.show(job.id)
        if job.live:
            return
    else:
        st.caption(
            "Not computed for this run yet: it takes a pass of the dense and of the pruned model over the text, and "
            "one of each other rule."
            if run.language
            else "Not computed for this run yet: it takes as long as measuring its quality."
        )
    data = run.metrics.get("data") or run.spec.evaluation
    if data is not None:
        _button(run, None, f"Find them on {data}")
        return
    _other(run, data_of(run.spec.model) or ("pydoc" if run.language else ""))


def other_data(run: Run) -> None:
    """The same for other data, which the run does not keep."""
    job = _job(run)
    running = job is not None and job.state != "succeeded"
    with st.expander("On other data", icon=":material/folder_open:", expanded=running):
        if job is not None and job.state != "succeeded":
            panel.show(job.id)
        _other(run, "")
        if job is not None and job.state == "succeeded" and job.params.get("data"):
            st.button("Back to the run's own data", icon=":material/undo:", on_click=links.write, kwargs={"job": None})


def _other(run: Run, data: str) -> None:
    typed = st.text_input(
        "Text" if run.language else "Labeled sentences",
        data,
        key="flips_data",
        placeholder="pydoc, wikitext2, or path of a text file" if run.language else "path of a file",
        help="A file on the machine that runs KEN_viz, as for measuring quality.",
    )
    _button(run, typed.strip() or None, "Find them", disabled=not typed.strip())


def _button(run: Run, data: str | None, label: str, *, disabled: bool = False) -> None:
    asked: dict[str, Any] = {"run": run.id} | ({} if data is None else {"data": data})
    if st.button(state.plain(label), icon=":material/play_arrow:", type="primary", key="flips_find", disabled=disabled):
        try:
            links.write(job=submitting.flips(asked))
        except KencoreError as error:
            state.show_error(error)
            return
        st.rerun()


def _job(run: Run) -> JobStatus | None:
    """The job that the address names, where it is of this run."""
    name = links.value("job")
    if name is None:
        return None
    try:
        job = jobs.status(name)
    except KencoreError as error:
        state.show_error(error)
        return None
    return job if job.kind == "flips" and job.params.get("run") == run.id else None
