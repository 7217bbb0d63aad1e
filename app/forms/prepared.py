"""A prepared form: the settings of the Prune page in its address, by the names of `PruneSpec`.

    prune?model=demo-lm&method=wanda&keep=0.4&scope=attention,down&seed=3

Whoever opens such a link finds the form filled in; whoever fills it in finds the address changed
with the next click. What is as usual is left out. A value that cannot be is said, left as usual,
and leaves the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import streamlit as st

from app.forms import fields as form_address
from app.forms import prepared_model, prune_language
from app.forms import prune as prune_form
from app.forms.fields import Table
from app.forms.prune import Subject
from app.frame import links
from kencore.allocate.table import ALLOCATIONS, USUAL
from kencore.settings.prune import RESCALES, STEPS

FORM: Final = form_address.Form(
    key="prune_address",
    names=(
        *prepared_model.SUBJECT,
        "method",
        "keep",
        "k",
        "scope",
        "rescale",
        "embeddings",
        "vectors",
        "head",
        "allocation",
        "step",
        "refine",
        "calibration",
        "sequences",
        "window",
        "search_sequences",
        "reference",
        "propagate",
        "fast",
        "published",
        "evaluation",
        "baselines",
        "windows",
        "device",
        "seed",
        "block_lambda",
        "row_lambda",
        "balance",
    ),
)


def fill_in() -> list[links.LinkError]:
    """Fill in the form as the address says, if it says something new; what cannot be is returned.

    Call it before any widget of the form.
    """
    said = FORM.news()
    if said is None:
        return []
    table, found, wrong = prepared_model.read(said, fields, prune_language.uses_text)
    if found.get("k") is not None and "keep" not in said:
        found["keep"] = None
    form_address.fill(table, found)
    st.session_state["prune_unit"] = prune_form.SHARE if found["k"] is None else prune_form.ENTRIES
    return wrong


def write(subject: Subject, settings: Mapping[str, Any]) -> None:
    """Put the form's settings into the address, those that are not as usual."""
    table = fields(subject, streams=prune_language.uses_text(dict(settings)))
    FORM.write(prepared_model.say(table, subject, settings))


def fields(subject: Subject, *, streams: bool) -> Table:
    """Every setting of the form for that model, by its name in the address.

    Args:
        streams: the model is run on text, so that some settings have widgets of their own.
    """
    kind, rest = subject.kind, subject.rest
    spread = streams or rest == "zero"
    found = {
        "method": form_address.choice("method", f"prune_method_{kind}_{rest}", prune_form.methods_for(subject)),
        "keep": (
            form_address.hundredths("keep", "prune_sparsity", 0.5, 0.99, sparsity=True)
            if spread
            else form_address.hundredths("keep", "prune_share", 0.5, 1)
        ),
        "k": form_address.number("k", "prune_k", None, 1, 1_000_000),
        "seed": form_address.number("seed", "prune_seed", 0, 0, form_address.LARGE),
    } | prepared_model.shared(subject, streams=streams)
    if rest == "base":
        found["rescale"] = form_address.choice("rescale", "prune_rescale", RESCALES)
    return found | (_language(subject) if prune_language.offered(subject) else {})


def _language(subject: Subject) -> Table:
    """What only language models have, and sweeps do not."""
    zero = subject.rest == "zero"
    found = {
        "allocation": form_address.choice(
            "allocation", f"prune_allocation_{subject.rest}", tuple(ALLOCATIONS), USUAL[subject.rest]
        ),
        "step": form_address.choice("step", "prune_step", STEPS, "block"),
    }
    if zero:
        found["published"] = form_address.switch("published", "prune_published", on=False)
        refine = form_address.choice("refine", "prune_dsnot", ("none", "dsnot"))
        found["refine"] = replace(refine, widget=lambda value: value == "dsnot")
    return found
