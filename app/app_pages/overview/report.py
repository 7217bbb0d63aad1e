"""The report of a run on its Overview: made by the worker when asked for, then downloaded.

The address names its job as ``report`` and a run to compare with as ``beside``, so that a link to
the page shows how far it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import links, parts, state
from app.jobs import panel
from app.jobs import submit as submitting
from kencore import jobs
from kencore.errors import KencoreError

if TYPE_CHECKING:
    from kencore.runs.run import Run

_ALONE: Final = "no other run"


def card(run: Run) -> None:
    """What the report is, and its job or the button that starts it."""
    with st.container(border=True, height="stretch"):
        st.markdown(":material/description: **Report**")
        st.caption(
            "One HTML file with findings, quality, cost, pictures, tables and commands. Opens offline, without KEN_viz."
        )
        if (job := asked(run)) is not None:
            panel.show(job)
            return
        beside = _beside(run)
        if st.button(
            "Prepare",
            icon=":material/package_2:",
            key="export-report",
            help="Written by a background job; you can keep using this page.",
        ):
            _prepare(run, beside)


def _beside(run: Run) -> str | None:
    """A second run to compare it with, if one is chosen; the address names it as ``beside``."""
    try:
        runs = {one.id: one.label for one in state.runs() if one.problem is None}
    except KencoreError:  # the sidebar says it
        return None
    others = parts.told_apart({name: label for name, label in runs.items() if name != run.id})
    asked = links.value("beside")
    if asked is not None and asked not in others:
        state.show_error(
            links.LinkError(
                "beside in the address",
                got=repr(asked),
                wanted="the id of another finished run",
                remedy="It may have been deleted. Choose a run from the list.",
            )
        )
        asked = None
    if not others:
        return None
    st.session_state["report_beside"] = asked or ""

    def chosen() -> None:
        links.write(beside=st.session_state["report_beside"] or None)

    picked: str = st.selectbox(
        "Compare with",
        ["", *others],
        key="report_beside",
        on_change=chosen,
        format_func=lambda name: others.get(name, _ALONE),
        help="Adds a section that compares masks and quality.",
    )
    return picked or None


def _prepare(run: Run, beside: str | None) -> None:
    params = {"run": run.id} | ({"beside": beside} if beside else {})
    try:
        links.write(report=submitting.submit_once("report", params))
    except KencoreError as error:
        state.show_error(error)
        return
    st.rerun()


def asked(run: Run) -> str | None:
    """The report job that the address names, where it is of this run."""
    job = links.value("report")
    if job is None:
        return None
    try:
        found = jobs.status(job)
    except KencoreError as error:
        state.show_error(error)
        return None
    return job if found.kind == "report" and found.params.get("run") == run.id else None
