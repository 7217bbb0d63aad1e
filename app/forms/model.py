"""Which model is pruned, and what becomes of what is not kept: the widgets, and their words in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import streamlit as st

from app.forms.fields import KEEP, QUIET
from kencore.settings.fields import settings_of
from kencore.settings.prune import PruneSpec

DEMO, DEMO_LM, OWN = "Demo encoder", "Demo language model", "My own models"
KINDS: Final[dict[str, Literal["demo", "demo-lm", "own"]]] = {DEMO: "demo", DEMO_LM: "demo-lm", OWN: "own"}
RESTS: Final = {"base": "Goes back to the base", "zero": "Becomes zero"}
SUBJECT: Final = ("model", "base", "model_revision", "base_revision")
_TYPED: Final = dict(zip(SUBJECT, ("prune_model", "prune_base", "prune_model_at", "prune_base_at"), strict=True))
_DECLARED: Final = settings_of(PruneSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is pruned: the fields of a `PruneSpec` that say so, and what follows from them."""

    kind: Literal["demo", "demo-lm", "own"]
    rest: str
    fields: dict[str, str | None]

    @property
    def language(self) -> bool:
        """Whether it may be a language model."""
        return self.kind != "demo"


def models() -> Subject:
    """Which model, and what becomes of what is not kept."""
    st.header("Model", icon=":material/folder_open:")
    which = st.segmented_control(
        "Model", list(KINDS), default=DEMO, required=True, key="prune_which", label_visibility="collapsed", **KEEP
    )
    kind = KINDS[which or DEMO]
    if kind == "demo":
        st.caption(
            "A small BERT-like encoder that was trained for this project, and its "
            "sentiment-tuned version. What is not kept goes back to the base."
        )
        return Subject(kind=kind, rest="base", fields=_fields("demo", "demo-base"))
    if kind == "demo-lm":
        st.caption(
            "A small LLaMA-like language model that was trained for this project on English "
            "prose, and a tuned version of it."
        )
        rest = _rest("zero", "prune_rest_demo")
        return Subject(kind=kind, rest=rest, fields=_fields("demo-lm", "demo-lm-base" if rest == "base" else None))
    rest = _rest("base", "prune_rest")
    return Subject(kind=kind, rest=rest, fields=_own(rest))


def fill_in(said: Mapping[str, str]) -> Subject:
    """Fill in which model the address says; whatever is no demo is somebody's own."""
    model = said.get("model", "demo")
    label = next((label for label, kind in KINDS.items() if kind == model), OWN)
    kind = KINDS[label]
    rest = "base" if "base" in said or kind == "demo" else "zero"
    st.session_state["prune_which"] = label
    st.session_state["prune_rest_demo" if kind == "demo-lm" else "prune_rest"] = rest
    if kind == "own":
        for name, key in _TYPED.items():
            st.session_state[key] = said.get(name, "")
    return Subject(kind=kind, rest=rest, fields={})


def say(subject: Subject) -> dict[str, str]:
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


def _rest(default: str, key: str) -> str:
    found = st.segmented_control(
        "What is not kept",
        list(RESTS),
        default=default,
        required=True,
        key=key,
        format_func=RESTS.__getitem__,
        **KEEP,
        help="With the base model beside it, an entry can go back to the value that it had before "
        "tuning. Without, it becomes zero.",
    )
    return found or default


def _fields(model: str, base: str | None) -> dict[str, str | None]:
    return {"model": model, "base": base, "model_revision": None, "base_revision": None}


def _own(rest: str) -> dict[str, str | None]:
    paired = rest == "base"
    typed: dict[str, str | None] = dict.fromkeys(SUBJECT)
    typed["model"] = _typed(
        "model",
        label="Tuned model" if paired else "Model",
        placeholder="folder or hub id",
        help="A Hugging Face folder on the machine that runs KEN_viz, or a hub id. Safetensors "
        "only; nothing is uploaded.",
    )
    if paired:
        typed["base"] = _typed(
            "base",
            placeholder="folder or hub id",
            help="The pretrained model that the tuned one started from. What is not kept goes back to its values.",
        )
    with st.expander("Hub revisions", icon=":material/history:"):
        for name in SUBJECT[2:] if paired else SUBJECT[2:3]:
            typed[name] = _typed(name)
    return typed | {"model": typed["model"] or ""}


def _typed(name: str, **looks: Any) -> str | None:
    found = st.text_input(**{"label": _DECLARED[name].label, "key": _TYPED[name]} | QUIET | looks)
    return str(found).strip() or None
