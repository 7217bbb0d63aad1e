"""What only language models have: how sparsity is shared, and the text that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from app.forms.address import Table
from app.forms.fields import Switch, row
from app.forms.model import Subject
from kencore.allocate.table import ALLOCATIONS, UNIFORM, USUAL, allocation_label
from kencore.methods.table import METHODS
from kencore.settings.prune import STEPS, PruneSpec
from kencore.words import numbers as wording


def steps_for(method: str) -> tuple[str, ...]:
    """What NeuroAL may search: not rows where a method chooses over whole matrices."""
    return STEPS if METHODS[method].update is None else ("block",)


def refines(subject: Subject) -> bool:
    """Whether DSnoT may follow: it weighs what an entry leaves behind that becomes zero."""
    return subject.rest == "zero"


def may_be_published(subject: Subject, settings: Mapping[str, Any]) -> bool:
    """Whether the published code can do what is asked for."""
    row = METHODS.get(settings["method"])  # none of a grid
    return (
        subject.rest == "zero" and row is not None and row.published and ALLOCATIONS[settings["allocation"]].published
    )


def uses_text(settings: Mapping[str, Any]) -> bool:
    """Whether the model has to be run on calibration text (the spec's ``streams``)."""
    return (
        METHODS[settings["method"]].activations
        or settings.get("allocation", UNIFORM) != UNIFORM
        or settings.get("refine", "none") != "none"
    )


def shared_fields(subject: Subject) -> Table:
    """The settings that one pruning and a sweep of such a model have."""
    few: dict[str, Any] = {"usual": subject.demo.sequences} if subject.demo is not None else {}
    found = [
        row(PruneSpec, "calibration", "prune_text", labels=wording.TEXTS),
        row(PruneSpec, "sequences", f"prune_sequences_{subject.kind}", **few),
        row(PruneSpec, "window", "prune_window"),
        row(PruneSpec, "bos", "prune_bos"),
        row(PruneSpec, "windows", "prune_windows"),
        row(PruneSpec, "search_sequences", "prune_search"),
        row(PruneSpec, "reference", "prune_reference", labels=wording.REFERENCES),
        row(PruneSpec, "propagate", "prune_propagate", labels=wording.PROPAGATIONS),
        row(PruneSpec, "fast", "prune_fast"),
    ]
    return {field.name: field for field in found}


def own_fields(subject: Subject) -> Table:
    """The settings that one pruning of such a model has, and a sweep has not."""
    found = [
        row(
            PruneSpec,
            "allocation",
            f"prune_allocation_{subject.rest}",
            usual=USUAL[subject.rest],
            labels=allocation_label,
            help="",
            quiet=False,
        ),
        row(PruneSpec, "step", "prune_step", labels=wording.STEPS, help=""),
    ]
    if refines(subject):
        words = {word: word for word in ("none", "dsnot")}
        found += [
            row(PruneSpec, "published", "prune_published", quiet=False),
            row(PruneSpec, "refine", "prune_dsnot", Switch, off="none", on="dsnot", words=words, quiet=False),
        ]
    return {field.name: field for field in found}


def sharing(table: Table, method: str) -> dict[str, Any]:
    """How sparsity is shared among blocks and rows, and whether the mask is refined; nothing of a coded difference."""
    if METHODS[method].coded:
        return {"allocation": UNIFORM}
    st.header("How sparsity is shared", icon=":material/bar_chart:")
    allocation = table["allocation"].draw()
    st.caption(ALLOCATIONS[allocation].explained)
    found = {"allocation": allocation}
    if "step" in ALLOCATIONS[allocation].options and len(steps_for(method)) > 1:
        found["step"] = table["step"].draw(form="bar")
    if "refine" in table:
        found["refine"] = table["refine"].draw()
    return found


def calibration(table: Table, settings: Mapping[str, Any], *, published: bool) -> dict[str, Any]:
    """The text that activations are taken from, and what is seldom changed.

    Args:
        settings: of them ``allocation`` decides what is asked for.
        published: whether the published code can do it.
    """
    st.header("Calibration", icon=":material/menu_book:")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        found = {name: table[name].draw(**looks) for name, looks in _TEXT.items()}
    with st.expander("Advanced", icon=":material/science:"):
        found["window"] = table["window"].draw(placeholder="2048, or what the model has")
        found["bos"] = table["bos"].draw()
        if published:
            found["published"] = table["published"].draw()
        if ALLOCATIONS[settings["allocation"]].searched:
            found["search_sequences"] = table["search_sequences"].draw()
            if not found.get("published"):
                names = [name for name in ("reference",) if name in ALLOCATIONS[settings["allocation"]].options]
                found |= {name: table[name].draw() for name in (*names, "fast")}
        if not found.get("published"):
            found["propagate"] = table["propagate"].draw()
    return found


_TEXT: Final[dict[str, dict[str, Any]]] = {"calibration": {}, "sequences": {"width": 140}}
