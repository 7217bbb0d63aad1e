"""A run in a form to take along: three files or folders, made by the worker when asked for."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.app_pages.overview import cost as cost_parts
from app.app_pages.overview import report as report_parts
from app.data import exports
from app.frame import links, state
from app.jobs import panel
from app.jobs import submit as submitting
from kencore import jobs
from kencore.errors import KencoreError
from kencore.exports.export import file_name
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

_ICONS: Final = {
    "subnetwork": ":material/deployed_code:",
    "folder": ":material/folder:",
    "masks": ":material/grid_on:",
    "packed-masks": ":material/apps:",
    "sparse-delta": ":material/difference:",
}


def take_along(run: Run) -> None:
    """A card for the report and one for each form, and the commands that write and read them."""
    with st.grid(2, min_column_width=280, gap="small"):
        report_parts.card(run)
        for form in exports.FORMS:
            if form != "sparse-delta" or run.restore == "base":
                _card(run, form)
    with st.expander("From the command line", icon=":material/terminal:"):
        st.code(commands(run.id, zero=run.restore == "zero"), "bash")


def _card(run: Run, form: str) -> None:
    with st.container(border=True, height="stretch"):
        st.markdown(f"{_ICONS[form]} **{exports.FORMS[form]}**")
        st.caption(_what(run, form))
        asked = _asked(run, form)
        if asked is not None:
            panel.show(asked)
        elif st.button(
            "Prepare",
            icon=":material/package_2:",
            key=f"export-{form}",
            help="Written by a background job; you can keep using this page.",
        ):
            _prepare(run, form)


def _prepare(run: Run, form: str) -> None:
    try:
        links.write(export=submitting.submit_once("export", {"run": run.id, "form": form}))
    except KencoreError as error:
        state.show_error(error)
        return
    st.rerun()


def _asked(run: Run, form: str) -> str | None:
    """The export job that the address names, where it is of this run and form."""
    job = links.value("export")
    if job is None:
        return None
    try:
        params = jobs.status(job).params
    except KencoreError as error:
        if form == next(iter(exports.FORMS)):  # said once
            state.show_error(error)
        return None
    same = params.get("run") == run.id and (params.get("form") or "folder") == form
    return job if same else None


def _what(run: Run, form: str) -> str:
    if form == "subnetwork":
        size = cost_parts.subnetwork_size(run)
        about = "" if size is None else f", {wording.size(size)}"
        with_what = "on its own" if run.restore == "zero" else "together with the base model"
        what = "Coded changes" if run.spec.coded else "Kept values and masks"
        return f"{what} in one safetensors file{about}. Restores the pruned model bit for bit, {with_what}."
    if form == "folder":
        return (
            f"Weights, config and tokenizer for other programs, {wording.size(run.totals['bytes_dense'])}: as "
            "large as the dense model."
        )
    if form == "sparse-delta":
        return "What differs from the base, entry by entry: index and value, as inference servers take weight updates."
    if form == "packed-masks":
        bits = wording.size(-(-run.totals["pruned"] // 8))
        return f"One bit per weight in one safetensors file, about {bits}, lowest bit first. 1 = kept."
    return f"Bool tensors in one safetensors file, about {wording.size(run.totals['pruned'])}. True = kept."


def commands(run_id: str, *, zero: bool) -> str:
    """What writes each form, and what makes the model of a subnetwork file again."""
    run = shlex.quote(run_id)
    names = {form: shlex.quote(file_name(run_id, form)) for form in exports.FORMS}
    restored = shlex.quote(f"{run_id}-restored")
    base = "" if zero else "  # uses the base named in the file; --base overrides it"
    return "\n".join(
        [
            f"python -m kencore report {run} --figures {shlex.quote(f'{run_id}-pictures')}",
            f"python -m kencore export {run} {names['folder']}",
            f"python -m kencore export {run} {names['subnetwork']} --as subnetwork",
            f"python -m kencore open {names['subnetwork']} {restored}{base}",
            f"python -m kencore export {run} {names['masks']} --as masks",
            f"python -m kencore export {run} {names['packed-masks']} --as packed-masks",
            *([] if zero else [f"python -m kencore export {run} {names['sparse-delta']} --as sparse-delta"]),
        ]
    )
