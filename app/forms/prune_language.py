"""What only language models have: how sparsity is shared, and the text that decides it."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from app.forms.prune import KEEP, QUIET, Subject
from kencore.allocate.table import ALLOCATIONS, UNIFORM, USUAL, allocation_label
from kencore.methods.table import METHODS
from kencore.settings.prune import PROPAGATIONS, REFERENCES, STEPS
from kencore.words import numbers as wording

SEQUENCES: Final = {"demo-lm": 32, "own": 128}


def offered(subject: Subject) -> bool:
    """Whether the subject may be a language model."""
    return subject.kind != "demo"


def steps_for(method: str) -> tuple[str, ...]:
    """What NeuroAL may search: not rows where a method chooses over whole matrices."""
    return STEPS if METHODS[method].update is None else ("block",)


def refines(subject: Subject) -> bool:
    """Whether DSnoT may follow: it weighs what an entry leaves behind that becomes zero."""
    return subject.rest == "zero"


def may_be_published(subject: Subject, settings: dict[str, Any]) -> bool:
    """Whether the published code can do what is asked for."""
    row = METHODS.get(settings["method"])  # none of a grid
    return (
        subject.rest == "zero" and row is not None and row.published and ALLOCATIONS[settings["allocation"]].published
    )


def sharing(subject: Subject, method: str) -> dict[str, Any]:
    """How sparsity is shared among blocks and rows, and whether the mask is refined."""
    st.header("How sparsity is shared", icon=":material/bar_chart:")
    names = tuple(ALLOCATIONS)
    allocation = st.selectbox(
        "Allocation",
        names,
        names.index(USUAL[subject.rest]),
        key=f"prune_allocation_{subject.rest}",
        format_func=allocation_label,
        **KEEP,
    )
    st.caption(ALLOCATIONS[allocation].explained)
    found = {"allocation": allocation}
    if "step" in ALLOCATIONS[allocation].options and len(steps := steps_for(method)) > 1:
        found["step"] = (
            st.segmented_control(
                "Search over",
                steps,
                default="block",
                required=True,
                key="prune_step",
                format_func=wording.STEPS.__getitem__,
                **QUIET,
            )
            or "block"
        )
    if refines(subject) and st.checkbox(
        "Refine with DSnoT",
        key="prune_dsnot",
        **KEEP,
        help="Afterwards swaps pruned and kept entries of a row until the row's error is small; as many stay kept.",
    ):
        found["refine"] = "dsnot"
    return found


def uses_text(settings: dict[str, Any]) -> bool:
    """Whether the model has to be run on calibration text (the spec's ``streams``)."""
    return (
        METHODS[settings["method"]].activations
        or settings.get("allocation", UNIFORM) != UNIFORM
        or settings.get("refine", "none") != "none"
    )


def calibration(subject: Subject, settings: dict[str, Any]) -> dict[str, Any]:
    """The text that activations are taken from, and what is seldom changed."""
    st.header("Calibration", icon=":material/menu_book:")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.selectbox(
            "Text",
            list(wording.TEXTS.values()),
            key="prune_text",
            accept_new_options=True,
            **QUIET,
            help="Pydoc comes with Python; the others are fetched from the hub. Or type "
            "the path of a .txt, .md, .jsonl, .tsv or .parquet file.",
        )
        sequences = st.number_input(
            "Sequences",
            1,
            100_000,
            SEQUENCES[subject.kind],
            width=140,
            key=f"prune_sequences_{subject.kind}",
            **QUIET,
            help="Windows of text, cut out at random places. Papers use 128.",
        )
    names = {label: name for name, label in wording.TEXTS.items()}
    return {
        "calibration": names.get(text or "", (text or "").strip()),
        "sequences": int(sequences),
        **_advanced(subject, settings),
    }


def _advanced(subject: Subject, settings: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with st.expander("Advanced", icon=":material/science:"):
        found["window"] = st.number_input(
            "Window, in tokens",
            2,
            1_000_000,
            None,
            key="prune_window",
            placeholder="2048, or what the model has",
            **QUIET,
            help="Length of each sequence, for calibration and for measuring.",
        )
        if may_be_published(subject, settings):
            found["published"] = st.checkbox(
                "As NeuroAL's published code does",
                key="prune_published",
                **KEEP,
                help="Its rounding included: the sparsity is then met only about.",
            )
        if ALLOCATIONS[settings["allocation"]].searched:
            found |= _search(settings["allocation"], published=found.get("published", False))
        if not found.get("published"):
            found["propagate"] = st.selectbox(
                "A block is pruned on",
                PROPAGATIONS,
                key="prune_propagate",
                format_func=wording.PROPAGATIONS.__getitem__,
                **QUIET,
            )
    return found


def _search(allocation: str, *, published: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "search_sequences": int(
            st.number_input(
                "Sequences to search on",
                1,
                100_000,
                8,
                key="prune_search",
                **QUIET,
                help="At most so many of the sequences; each candidate is run on them.",
            )
        )
    }
    if published:
        return found
    if "reference" in ALLOCATIONS[allocation].options:
        found["reference"] = st.selectbox(
            "Compare activations with",
            REFERENCES,
            key="prune_reference",
            format_func=wording.REFERENCES.__getitem__,
            **QUIET,
        )
    found["fast"] = st.checkbox(
        "Fast search",
        key="prune_fast",
        **QUIET,
        help="In bfloat16 and on every other candidate; the best few once more in float32.",
    )
    return found
