"""A prepared form: the settings of the Prune page in its address, by the names of `PruneSpec`.

    prune?model=demo-lm&method=wanda&keep=0.4&scope=attention,down&seed=3

Whoever opens such a link finds the form filled in; whoever fills it in finds the address changed
with the next click. What is as usual is left out. A value that cannot be is said, left as usual,
and leaves the address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import streamlit as st

from app import links, prune_form, prune_language, wording
from app.prune_form import Subject
from kencore.spec import ALLOCATIONS, PROPAGATIONS, REFERENCES, RESCALES, SCOPES, STEPS

_SEEN: Final = "prune_address"
_LARGE: Final = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting in the address.

    Attributes:
        key: of its widget.
        usual: what it is without a word in the address, as a setting.
        read: text of the address to a setting; raises `LinkError`.
        say: a setting as text of the address.
        widget: a setting as the value of the widget.
    """

    key: str
    usual: Any
    read: Callable[[str], Any]
    say: Callable[[Any], str] = str
    widget: Callable[[Any], Any] = lambda value: value


def fill_in() -> list[links.LinkError]:
    """Fill in the form as the address says, if it says something new; what cannot be is returned.

    Call it before any widget of the form.
    """
    said = _said()
    known: dict[str, str] | None = st.session_state.get(_SEEN)
    if said == known or (not said and (known is None or links.arrived())):
        return []
    wrong: list[links.LinkError] = []
    subject = _fill_subject(said)
    rest = {name: text for name, text in said.items() if name not in _SUBJECT}
    table = fields(subject, streams=False)
    found = {name: field.usual for name, field in table.items()}
    for name, text in rest.items():
        try:
            found[name] = table[name].read(text) if name in table else _unknown(name, subject)
        except links.LinkError as error:
            wrong.append(error)
    if found.get("k") is not None and "keep" not in said:
        found["keep"] = None
    streams = prune_language.uses_text(found)
    for name, field in fields(subject, streams=streams).items():
        if found[name] is not None or name in _EMPTY:
            st.session_state[field.key] = field.widget(found[name])
    st.session_state["prune_unit"] = (
        prune_form.SHARE if found["k"] is None else prune_form.ENTRIES
    )  # fmt: skip
    st.session_state[_SEEN] = said
    return wrong


def write(subject: Subject, settings: Mapping[str, Any], **more: object) -> None:
    """Put the form's settings into the address, those that are not as usual, and ``more``."""
    streams = prune_language.uses_text(dict(settings))
    said: dict[str, str | None] = dict.fromkeys(NAMES)
    said |= _say_subject(subject)
    shown = dict(settings)
    if shown.get("evaluation") is None:
        shown.pop("baselines", None)  # nothing is measured: it says nothing
    for name, field in fields(subject, streams=streams).items():
        if name in shown and shown[name] != field.usual:
            said[name] = "none" if shown[name] is None else field.say(shown[name])
    if said["k"] is not None:
        said["keep"] = None
    st.session_state[_SEEN] = {name: text for name, text in said.items() if text is not None}
    links.write(**(said | more))


def _said() -> dict[str, str]:
    return {name: text for name in NAMES if (text := st.query_params.get(name)) is not None}


# --- which model ------------------------------------------------------------------------------

_SUBJECT: Final = ("model", "base", "model_revision", "base_revision")
_EMPTY: Final = ("evaluation", "window", "windows")  # settings whose ``None`` says something


def _fill_subject(said: Mapping[str, str]) -> Subject:
    """Fill in which model; whatever is no demo is somebody's own."""
    model = said.get("model", "demo")
    known = prune_form.KINDS
    label = next((label for label, kind in known.items() if kind == model), prune_form.OWN)
    kind = known[label]
    rest = "base" if "base" in said or kind == "demo" else "zero"
    st.session_state["prune_which"] = label
    st.session_state["prune_rest_demo" if kind == "demo-lm" else "prune_rest"] = rest
    if kind == "own":
        st.session_state["prune_model"], st.session_state["prune_base"] = (
            model, said.get("base", "")
        )  # fmt: skip
        st.session_state["prune_model_at"] = said.get("model_revision", "")
        st.session_state["prune_base_at"] = said.get("base_revision", "")
    return Subject(kind=kind, rest=rest, fields={})


def _say_subject(subject: Subject) -> dict[str, str | None]:
    """The model, left out where it is the demo encoder; a base where entries go back to one."""
    if subject.kind == "demo":
        return {}
    found = {name: subject.fields.get(name) or None for name in _SUBJECT}
    if subject.kind == "own" and subject.rest == "base":
        found["base"] = subject.fields.get("base") or ""  # not typed yet, and still beside a base
    return found


# --- all other settings -----------------------------------------------------------------------


def fields(subject: Subject, *, streams: bool) -> dict[str, Field]:
    """Every setting of the form for that model, by its name in the address.

    Args:
        streams: the model is run on text, so that some settings have widgets of their own.
    """
    kind, rest = subject.kind, subject.rest
    methods = prune_form.methods_for(subject)
    spread = streams or rest == "zero"
    found = {
        "method": _choice("method", f"prune_method_{kind}_{rest}", methods),
        "keep": Field(
            key="prune_sparsity" if spread else "prune_share", usual=0.5, read=_share,
            say=lambda keep: f"{keep:g}",
            widget=lambda keep: round(100 * (1 - keep if spread else keep)),
        ),
        "k": _number("k", "prune_k", None, 1, 1_000_000),
        "scope": Field(
            key="prune_scope_blocks" if streams else "prune_scope", usual=("all",), read=_scope,
            say=",".join, widget=list,
        ),
        "evaluation": _evaluation(subject, streams=streams),
        "baselines": _switch("baselines", on=True),
        "device": Field(key="prune_device", usual="auto", read=str),
        "seed": _number("seed", "prune_seed", 0, 0, _LARGE),
    }  # fmt: skip
    if rest == "base":
        found["rescale"] = _choice("rescale", "prune_rescale", RESCALES)
        found |= {name: _switch(name, on=True) for name in ("embeddings", "vectors", "head")}
    return found | (_language(subject) if kind != "demo" else {})


def _language(subject: Subject) -> dict[str, Field]:
    """What only language models have."""
    zero, usual = subject.rest == "zero", prune_language.SEQUENCES[subject.kind]
    allocation = _choice("allocation", f"prune_allocation_{subject.rest}", ALLOCATIONS)
    texts = wording.TEXTS
    found = {
        "allocation": replace(allocation, usual="neuroal" if zero else "uniform"),
        "step": _choice("step", "prune_step", ("block", *(s for s in STEPS if s != "block"))),
        "calibration": Field(
            key="prune_text", usual="pydoc", read=str, widget=lambda text: texts.get(text, text)
        ),
        "sequences": _number("sequences", f"prune_sequences_{subject.kind}", usual, 1, 100_000),
        "window": _number("window", "prune_window", None, 2, 1_000_000),
        "windows": _number("windows", "prune_windows", None, 1, 1_000_000),
        "search_sequences": _number("search_sequences", "prune_search", 8, 1, 100_000),
        "reference": _choice("reference", "prune_reference", REFERENCES),
        "propagate": _choice("propagate", "prune_propagate", PROPAGATIONS),
        "fast": _switch("fast", on=False),
    }  # fmt: skip
    if zero:
        found["published"] = _switch("published", on=False)
        refine = _choice("refine", "prune_dsnot", ("none", "dsnot"))
        found["refine"] = replace(refine, widget=lambda value: value == "dsnot")
    return found


NAMES: Final = (
    *_SUBJECT, "method", "keep", "k", "scope", "rescale", "embeddings", "vectors", "head",
    "allocation", "step", "refine", "calibration", "sequences", "window", "search_sequences",
    "reference", "propagate", "fast", "published", "evaluation", "baselines", "windows", "device",
    "seed",
)  # fmt: skip


def _evaluation(subject: Subject, *, streams: bool) -> Field:
    words: dict[str | None, str] = {None: prune_form.NO_DATA, "demo": prune_form.DEMO_DATA}
    words |= dict(wording.TEXTS.items())
    usual = {"demo": "demo", "demo-lm": "pydoc"}.get(subject.kind)
    key = "demo" if subject.kind == "demo" else subject.kind if (
        subject.kind == "demo-lm" or streams) else "either"  # fmt: skip
    return Field(
        key=f"prune_data_{key}", usual=usual, read=lambda text: None if text == "none" else text,
        widget=lambda data: words.get(data, data),
    )  # fmt: skip


def _choice(name: str, key: str, options: tuple[str, ...]) -> Field:
    def read(text: str) -> str:
        if text not in options:
            raise _wrong(name, text, f"one of {', '.join(options)}")
        return text

    return Field(key=key, usual=options[0], read=read)


def _switch(name: str, *, on: bool) -> Field:
    def read(text: str) -> bool:
        if text not in ("0", "1"):
            raise _wrong(name, text, "0 or 1")
        return text == "1"

    return Field(key=f"prune_{name}", usual=on, read=read, say=lambda value: str(int(value)))


def _number(name: str, key: str, usual: int | None, low: int, high: int) -> Field:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text[:17]) <= high):
            raise _wrong(name, text, f"a whole number, {low:,} to {high:,}")
        return int(text)

    return Field(key=key, usual=usual, read=read)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (0.01 <= value <= 1) or abs(100 * value - round(100 * value)) > 1e-6:
        raise _wrong("keep", text, "a share in hundredths, 0.01 to 1")
    return round(100 * value) / 100


def _scope(text: str) -> tuple[str, ...]:
    places = tuple(place.strip() for place in text.split(",") if place.strip())
    if not places:
        raise _wrong("scope", text, f"parts with commas between them, of {', '.join(SCOPES)} ...")
    return places


def _unknown(name: str, subject: Subject) -> Any:
    raise links.LinkError(
        f"{name} in the address", got="a setting that this model does not have",
        wanted=f"one of {', '.join(fields(subject, streams=False))}",
        remedy="Correct the address, or choose from what this page offers.",
    )  # fmt: skip


def _wrong(name: str, text: str, wanted: str) -> links.LinkError:
    return links.LinkError(
        f"{name} in the address", got=repr(text), wanted=wanted,
        remedy="It was left as usual. Correct the address, or choose from what this page offers.",
    )  # fmt: skip
