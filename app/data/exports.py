"""Exports that the worker has made: what one is, where its file is, and how it is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import streamlit as st

from app import viewer
from app.frame import parts, state
from kencore import jobs
from kencore.errors import KencoreError, RunNotFoundError
from kencore.words import numbers as wording

FORMS: Final = {
    "subnetwork": "Subnetwork file",
    "folder": "Hugging Face folder",
    "masks": "Masks",
    "packed-masks": "Packed masks",
    "sparse-delta": "Changed entries",
}
REPORT: Final = "report"


def made(job_id: str) -> tuple[dict[str, Any], Path]:
    """What an export or a report job says of what it made, and where that is.

    Raises:
        JobNotFoundError: no such job.
        RunNotFoundError: a job of another kind, one that has not succeeded, or an export that was
            removed since.
    """
    found = jobs.status(job_id)
    if found.kind not in ("export", REPORT):
        raise RunNotFoundError(
            f"Export of job {job_id}",
            got=f"a job of kind {found.kind}",
            wanted="an export",
            remedy="Prepare it on the Overview of a run.",
        )
    folder = jobs.result(job_id)
    facts = jobs.answer_in(folder)
    name = facts.get("folder" if facts.get("form") == "folder" else "file")
    return facts, folder / Path(str(name)).name


def label(kind: str, form: object) -> str:
    """What a job of that kind makes, in words."""
    return "Report" if kind == REPORT else FORMS.get(str(form or "folder"), "export")


def show(job_id: str) -> None:
    """The finished export: a download that is sent in pieces, or where the folder is."""
    try:
        facts, path = made(job_id)
    except KencoreError as error:
        state.show_error(error)
        return
    parts.notes([f"Left behind: {name} ({why})." for name, why in facts.get("left_behind", {}).items()])
    if facts["form"] == "folder":
        st.caption(f"{wording.size(facts['bytes'])}, on the machine that runs KEN_viz, in:")
        st.code(str(path), None, wrap_lines=True)
        return
    st.link_button(
        f"Download {wording.size(facts['bytes'])}",
        viewer.api("export", job=job_id),
        icon=":material/download:",
        type="primary",
    )
