"""What the prepared forms of Prune and of a new sweep share, as the forms share its widgets: which
model, where it is pruned, the text that decides, what quality is measured on, the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import streamlit as st

from app.forms import fields as form_address
from app.forms import prune as prune_form
from app.forms import prune_language
from app.forms.fields import Field, Table
from app.forms.prune import Subject
from app.frame.links import LinkError
from kencore.settings.prune import PROPAGATIONS, REFERENCES, SCOPES
from kencore.words import numbers as wording

SUBJECT: Final = ("model", "base", "model_revision", "base_revision")


class Fields(Protocol):
    """The table of a form for a model; ``streams``: the model is run on text."""

    def __call__(self, subject: Subject, *, streams: bool) -> Table: ...


def fill_subject(said: Mapping[str, str]) -> Subject:
    """Fill in which model; whatever is no demo is somebody's own."""
    model = said.get("model", "demo")
    known = prune_form.KINDS
    label = next((label for label, kind in known.items() if kind == model), prune_form.OWN)
    kind = known[label]
    rest = "base" if "base" in said or kind == "demo" else "zero"
    st.session_state["prune_which"] = label
    st.session_state["prune_rest_demo" if kind == "demo-lm" else "prune_rest"] = rest
    if kind == "own":
        st.session_state["prune_model"], st.session_state["prune_base"] = (model, said.get("base", ""))
        st.session_state["prune_model_at"] = said.get("model_revision", "")
        st.session_state["prune_base_at"] = said.get("base_revision", "")
    return Subject(kind=kind, rest=rest, fields={})


def say_subject(subject: Subject) -> dict[str, str]:
    """The model, left out where it is the demo encoder; a base where entries go back to one.

    What of one's own is not typed yet is said as nothing: ``model=&base=``.
    """
    if subject.kind == "demo":
        return {}
    found = {name: text for name in SUBJECT if (text := subject.fields.get(name))}
    if subject.kind == "own":
        needed = SUBJECT[:2] if subject.rest == "base" else SUBJECT[:1]
        found = dict.fromkeys(needed, "") | found
    return found


def read(
    said: Mapping[str, str], fields: Fields, uses_text: Callable[[dict[str, Any]], bool]
) -> tuple[Table, dict[str, Any], list[LinkError]]:
    """Fill in which model, and read the rest: the form's table for it, the settings, and what
    cannot be."""
    subject = fill_subject(said)
    rest = {name: text for name, text in said.items() if name not in SUBJECT}
    found, wrong = form_address.read(rest, table := fields(subject, streams=False))
    if uses_text(found):
        found, wrong = form_address.read(rest, table := fields(subject, streams=True))
    return table, found, wrong


def say(table: Table, subject: Subject, settings: Mapping[str, Any]) -> dict[str, str]:
    """Model and settings as text; nothing of baselines where nothing is measured."""
    shown = dict(settings)
    if shown.get("evaluation") is None:
        shown.pop("baselines", None)
    return say_subject(subject) | form_address.say(table, shown)


def shared(subject: Subject, *, streams: bool) -> Table:
    """The settings that both forms have for that model, by their names in the address.

    Args:
        streams: the model is run on text, so that some settings have widgets of their own.
    """
    found = {
        "scope": form_address.several(
            "scope",
            "prune_scope_blocks" if streams else "prune_scope",
            ("all",),
            f"parts with commas between them, of {', '.join(SCOPES)} ...",
        ),
        "evaluation": _evaluation(subject, streams=streams),
        "baselines": form_address.switch("baselines", "prune_baselines", on=True),
        "device": form_address.device("prune_device"),
    }
    if subject.rest == "base":
        found |= {
            name: form_address.switch(name, f"prune_{name}", on=True) for name in ("embeddings", "vectors", "head")
        }
    return found | (_language(subject) if prune_language.offered(subject) else {})


def _language(subject: Subject) -> Table:
    """What only language models have."""
    number, choice = form_address.number, form_address.choice
    usual = prune_language.SEQUENCES[subject.kind]
    return {
        "calibration": form_address.words("calibration", "prune_text", "pydoc", wording.TEXTS),
        "sequences": number("sequences", f"prune_sequences_{subject.kind}", usual, 1, 100_000),
        "window": number("window", "prune_window", None, 2, 1_000_000, empty=True),
        "windows": number("windows", "prune_windows", None, 1, 1_000_000, empty=True),
        "search_sequences": number("search_sequences", "prune_search", 8, 1, 100_000),
        "reference": choice("reference", "prune_reference", REFERENCES),
        "propagate": choice("propagate", "prune_propagate", PROPAGATIONS),
        "fast": form_address.switch("fast", "prune_fast", on=False),
    }


def _evaluation(subject: Subject, *, streams: bool) -> Field:
    words: dict[str | None, str] = {None: prune_form.NO_DATA, "demo": prune_form.DEMO_DATA}
    words |= dict(wording.TEXTS.items())
    usual = {"demo": "demo", "demo-lm": "pydoc"}.get(subject.kind)
    key = "demo" if subject.kind == "demo" else subject.kind if (subject.kind == "demo-lm" or streams) else "either"
    named = form_address.words("evaluation", f"prune_data_{key}", usual, {})
    return replace(
        named,
        read=lambda text: None if text == "none" else named.read(text),
        say=lambda data: data or "none",
        widget=lambda data: words.get(data, data),
        empty=True,
    )
