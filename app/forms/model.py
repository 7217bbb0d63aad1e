"""Which model is pruned, and what becomes of what is not kept: the widgets, and their words in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from app.forms.fields import KEEP, QUIET
from kencore.settings.demo import TUNED, Demo
from kencore.settings.fields import settings_of
from kencore.settings.packaged import PACKAGED
from kencore.settings.prune import PruneSpec
from kencore.system import roots

OWN: Final = "own"
KINDS: Final = {demo.label: name for name, demo in TUNED.items()} | {"My own models": OWN}
_FIRST, _OWN = next(iter(KINDS)), list(KINDS)[-1]
RESTS: Final = {"base": "Goes back to the base", "zero": "Becomes zero"}
SUBJECT: Final = ("model", "base", "model_revision", "base_revision")
_TYPED: Final = dict(zip(SUBJECT, ("prune_model", "prune_base", "prune_model_at", "prune_base_at"), strict=True))
_DECLARED: Final = settings_of(PruneSpec)
_PLACEHOLDER: Final = f"folder, hub id or {next(iter(PACKAGED))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is pruned: the fields of a `PruneSpec` that say so, and what follows from them.

    ``kind`` is the name of a demo, or `OWN`.
    """

    kind: str
    rest: str
    fields: dict[str, str | None]

    @property
    def demo(self) -> Demo | None:
        """The demo that it is."""
        return TUNED.get(self.kind)

    @property
    def language(self) -> bool:
        """Whether it may be a language model."""
        return self.demo is None or self.demo.language


def models() -> Subject:
    """Which model, and what becomes of what is not kept."""
    st.header("Model", icon=":material/folder_open:")
    which = st.segmented_control(
        "Model", list(KINDS), default=_FIRST, required=True, key="prune_which", label_visibility="collapsed", **KEEP
    )
    kind = KINDS[which or _FIRST]
    if kind == OWN:
        rest = _rest("base", _rest_key(kind))
        return Subject(kind=kind, rest=rest, fields=_own(rest))
    demo = TUNED[kind]
    st.caption(demo.about)
    rest = "base" if demo.paired else _rest("zero", _rest_key(kind))
    return Subject(kind=kind, rest=rest, fields=_fields(demo, rest))


def fill_in(said: Mapping[str, str]) -> Subject:
    """Fill in which model the address says; whatever is no demo is somebody's own."""
    model = said.get("model", KINDS[_FIRST])
    label = next((label for label, kind in KINDS.items() if kind == model), _OWN)
    kind = KINDS[label]
    rest = "base" if "base" in said or (kind in TUNED and TUNED[kind].paired) else "zero"
    st.session_state["prune_which"] = label
    st.session_state[_rest_key(kind)] = rest
    if kind == OWN:
        for name, key in _TYPED.items():
            st.session_state[key] = said.get(name, "")
    return Subject(kind=kind, rest=rest, fields={})


def say(subject: Subject) -> dict[str, str]:
    """The model, left out where it is the first demo; a base where entries go back to one.

    What of one's own is not typed yet is said as nothing: ``model=&base=``.
    """
    if subject.kind == KINDS[_FIRST]:
        return {}
    found = {name: text for name in SUBJECT if (text := subject.fields.get(name))}
    if subject.kind == OWN:
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
        help="With the base model beside it, a weight can go back to the value that it had before "
        "tuning. Without, it becomes zero.",
    )
    return found or default


def _rest_key(kind: str) -> str:
    return "prune_rest" if kind == OWN else f"prune_rest_{kind}"


def _fields(demo: Demo, rest: str) -> dict[str, str | None]:
    base = demo.base if rest == "base" else None
    return {"model": demo.name, "base": base, "model_revision": None, "base_revision": None}


def _own(rest: str) -> dict[str, str | None]:
    paired = rest == "base"
    typed: dict[str, str | None] = dict.fromkeys(SUBJECT)
    typed["model"] = _typed(
        "model",
        label="Tuned model" if paired else "Model",
        placeholder=_PLACEHOLDER,
        help="A Hugging Face folder on the machine that runs KEN_viz, a hub id, or "
        f"{' or '.join(PACKAGED)}, a real model that a package holds. Safetensors only; nothing is uploaded.",
    )
    if paired:
        typed["base"] = _typed(
            "base",
            placeholder=_PLACEHOLDER,
            help="The pretrained model that the tuned one started from. What is not kept goes back to its values.",
        )
    with st.expander("Hub revisions", icon=":material/history:"):
        for name in SUBJECT[2:] if paired else SUBJECT[2:3]:
            typed[name] = _typed(name)
    return typed | {"model": typed["model"] or ""}


def _typed(name: str, **looks: Any) -> str | None:
    asked = {"label": _DECLARED[name].label, "key": _TYPED[name]} | QUIET | looks
    if name in SUBJECT[:2] and (there := _listed()):  # of a server: what lies in its folders
        typed = st.session_state.get(_TYPED[name])
        options = [*there, *([typed] if typed and typed not in there else [])]
        st.session_state[_TYPED[name]] = typed or None
        found = st.selectbox(**{**asked, "options": options, "index": None, "accept_new_options": True})
    else:
        found = st.text_input(**asked)
    return str(found or "").strip() or None


def _listed() -> list[str]:
    """Models in the folders of a server; none where any folder will do."""
    return [] if roots.roots() is None else roots.models()
