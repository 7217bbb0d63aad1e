"""The settings of a pruning: which model, which method, how much, where, measured on what.

    prune?model=demo-lm&method=wanda&keep=0.4&scope=attention,down&seed=3

Nothing typed is lost: every widget keeps its value for the session. Only what applies to the chosen
model and method is shown. Whoever opens such a link finds the form filled in; whoever fills it in
finds the address changed with the next click.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import streamlit as st

from app.forms import address, model, prune_bytes, prune_language
from app.forms.address import Form, Table
from app.forms.fields import Field, row
from app.forms.model import SUBJECT, Subject
from app.frame.links import LinkError
from kencore.methods.table import METHODS, method_label
from kencore.settings.common import TABLE_FILE, TEXT_FILE
from kencore.settings.demo import SENTENCES, SENTENCES_LABEL
from kencore.settings.fields import in_order
from kencore.settings.prune import SCOPES, PruneSpec
from kencore.words import numbers as wording

SHARE, ENTRIES = "Share of each row", "Weights per row (k)"
NO_DATA: Final = "Do not measure"
FORM: Final = Form(key="prune_address", names=in_order(PruneSpec, *SUBJECT))
_PLACES: Final = (*SCOPES, "q", "k", "v", "o", "up", "gate", "down")


class Fields(Protocol):
    """The table of a form for a model; ``streams``: the model is run on text."""

    def __call__(self, subject: Subject, *, streams: bool) -> Table:
        """Make the table."""


def fields(subject: Subject, *, streams: bool) -> Table:
    """Every setting of the form for that model, by its name.

    Args:
        streams: the model is run on text, so that some settings have widgets of their own.
    """
    names, zero = methods_for(subject), subject.rest == "zero"
    found = [
        row(
            PruneSpec,
            "method",
            f"prune_method_{subject.kind}_{subject.rest}",
            usual=names[0],
            options=names,
            labels=lambda name: method_label(name) + _note(name, subject),
            help="",
            quiet=False,  # how much is kept depends on it
        ),
        _budget(spread=streams or zero),
        row(PruneSpec, "k", "prune_k", start=64),
        row(PruneSpec, "seed", "prune_seed"),
    ]
    if not zero:
        found.append(row(PruneSpec, "rescale", "prune_rescale", labels=wording.RESCALES))
        found += prune_bytes.fields()
    table = {field.name: field for field in found} | shared_fields(subject, streams=streams)
    return table | (prune_language.own_fields(subject) if subject.language else {})


def shared_fields(subject: Subject, *, streams: bool) -> Table:
    """The settings that one pruning and a sweep have. Arguments as `fields`."""
    found = [
        row(
            PruneSpec,
            "scope",
            "prune_scope_blocks" if streams else "prune_scope",
            options=_PLACES,
            typed=True,
            one=str,
            wanted=f"parts with commas between them, of {', '.join(SCOPES)} ...",
            quiet=False,
        ),
        _evaluation(subject, streams=streams),
        row(PruneSpec, "baselines", "prune_baselines"),
        row(PruneSpec, "cost", "prune_cost"),
        row(PruneSpec, "device", "prune_device"),
    ]
    if subject.rest == "base":
        found += [row(PruneSpec, name, f"prune_{name}", help="") for name in ("embeddings", "vectors")]
        found.append(row(PruneSpec, "head", "prune_head"))
    table = {field.name: field for field in found}
    return table | (prune_language.shared_fields(subject) if subject.language else {})


def methods_for(subject: Subject) -> tuple[str, ...]:
    """The methods that make sense: those about a base first where there is one, else those that
    look at activations.
    """
    if subject.rest == "zero":
        zero = [one for one in METHODS.values() if not one.needs_base]
        return tuple(one.name for one in sorted(zero, key=lambda one: not one.activations))
    rows = [one for one in METHODS.values() if one.takes_base]
    return tuple(one.name for one in rows if subject.language or not one.activations)


# --- the address ------------------------------------------------------------------------------


def fill_in() -> list[LinkError]:
    """Fill in the form as the address says, if it says something new; what cannot be is returned.

    Call it before any widget of the form.
    """
    said = FORM.news()
    if said is None:
        return []
    table, found, wrong = read(said, fields, prune_language.uses_text)
    if found.get("k") is not None and "keep" not in said:
        found["keep"] = None
    address.fill(table, found)
    st.session_state["prune_unit"] = SHARE if found["k"] is None else ENTRIES
    prune_bytes.fill_in(said, found)
    return wrong


def read(
    said: Mapping[str, str], fields: Fields, uses_text: Callable[[dict[str, Any]], bool]
) -> tuple[Table, dict[str, Any], list[LinkError]]:
    """Fill in which model, and read the rest: the form's table for it, the settings, and what
    cannot be.
    """
    subject = model.fill_in(said)
    rest = {name: text for name, text in said.items() if name not in SUBJECT}
    found, wrong = address.read(rest, table := fields(subject, streams=False))
    if uses_text(found):
        found, wrong = address.read(rest, table := fields(subject, streams=True))
    return table, found, wrong


def say(table: Table, subject: Subject, settings: Mapping[str, Any]) -> dict[str, str]:
    """Model and settings as text; nothing of what goes with a measurement where nothing is measured."""
    shown = dict(settings)
    if shown.get("evaluation") is None:
        for name in ("baselines", "cost"):
            shown.pop(name, None)
    return model.say(subject) | address.say(table, shown)


# --- the widgets ------------------------------------------------------------------------------


def settings(subject: Subject) -> dict[str, Any]:
    """All widgets but those of the model, and what was chosen as fields of a `PruneSpec`; the
    address says it too.
    """
    table = fields(subject, streams=False)
    st.header("Method", icon=":material/content_cut:")
    found: dict[str, Any] = dict(subject.fields)
    names = methods_for(subject)
    found["method"] = table["method"].draw(form="buttons", captions=[METHODS[name].explained for name in names])
    if subject.language:
        found |= prune_language.sharing(table, found["method"])
    if streams := prune_language.uses_text(found):
        table = fields(subject, streams=True)
    coded = METHODS[found["method"]].coded
    found |= prune_bytes.budget(table, subject) if coded else _how_much(table, spread=streams or subject.rest == "zero")
    if "rescale" in table and not coded:
        found["rescale"] = table["rescale"].draw()
    if streams:
        may = prune_language.may_be_published(subject, found)
        found |= prune_language.calibration(table, found, published=may)
    found |= scope(table, subject, streams=streams) | measuring(table)
    with st.expander("Device and seed", icon=":material/memory:"):
        found |= {name: table[name].draw() for name in ("device", "seed")}
    FORM.write(say(table, subject, found))
    return found


def _how_much(table: Table, *, spread: bool) -> dict[str, Any]:
    """How much is kept: per row where nothing spreads it, else of all together."""
    st.header("How much", icon=":material/tune:")
    if spread:
        return {"keep": table["keep"].draw(), "k": None}
    unit = st.segmented_control(
        "Budget",
        [SHARE, ENTRIES],
        default=SHARE,
        required=True,
        key="prune_unit",
        label_visibility="collapsed",
        persist_state="session",
    )
    chosen = "keep" if unit == SHARE else "k"
    return {"keep": None, "k": None, chosen: table[chosen].draw()}


def scope(table: Table, subject: Subject, *, streams: bool) -> dict[str, Any]:
    """Where the method is applied."""
    st.header("Where", icon=":material/filter_alt:")
    key = table["scope"].key
    found: dict[str, Any] = {"scope": tuple(table["scope"].draw(on_change=_all_or_parts, args=(key,)))}
    if streams or subject.rest == "zero":
        st.caption(
            "Only matrices inside the blocks are pruned."
            if streams
            else "Embeddings, norms, biases and the head are left alone unless a part names them: set "
            "to zero they would be lost."
        )
        return found
    with st.container(horizontal=True):
        return found | {name: table[name].draw() for name in ("embeddings", "vectors", "head")}


def _all_or_parts(key: str) -> None:
    """``all`` holds every other part: what was chosen last says which of the two is meant."""
    places: list[str] = st.session_state[key]
    if "all" in places and len(places) > 1:
        last = places[-1]
        st.session_state[key] = ["all"] if last == "all" else [place for place in places if place != "all"]


def measuring(table: Table) -> dict[str, Any]:
    """What quality is measured on, and against what."""
    st.header("Quality", icon=":material/straighten:")
    data = table["evaluation"].draw()
    baselines = table["baselines"].draw(disabled=data is None)
    cost = table["cost"].draw(disabled=data is None)
    found = {"evaluation": data, "baselines": bool(baselines and data), "cost": bool(cost or not data)}
    if "windows" in table:
        found["windows"] = table["windows"].draw(placeholder="all")
    return found


# --- fields that depend on the model ----------------------------------------------------------


def _note(name: str, subject: Subject) -> str:
    """Of one's own models nobody knows yet whether they are language models."""
    needs = METHODS[name].activations and subject.demo is None
    return " · language models" if needs else ""


def _budget(*, spread: bool) -> Field:
    """The share of each row, or where it is spread the sparsity of all together."""
    if not spread:
        return row(PruneSpec, "keep", "prune_share", usual=0.5)
    return row(
        PruneSpec,
        "keep",
        "prune_sparsity",
        usual=0.5,
        high=0.99,
        rest=True,
        label="Sparsity",
        help="Share of the weights of all pruned matrices that is not kept; met exactly.",
    )


def _evaluation(subject: Subject, *, streams: bool) -> Field:
    nothing: dict[str | None, str] = {None: NO_DATA}
    sentences: dict[str | None, str] = {SENTENCES: SENTENCES_LABEL}
    texts: dict[Any, str] = {**wording.TEXTS}
    if subject.demo is not None:
        key, title = subject.kind, "Text to predict" if subject.language else "Labeled sentences"
        known = (texts if subject.language else sentences) | nothing
    elif streams:
        key, title, known = "own", "Text to predict", nothing | texts
    else:
        key, title, known = "either", "Sentences or text", nothing | sentences | texts
    return row(
        PruneSpec,
        "evaluation",
        f"prune_data_{key}",
        usual=next(iter(known)),
        labels=known,
        label=title,
        help=_DATA_HELP[title],
        quiet=False,
    )


_LABELLED: Final = f"a {TABLE_FILE} with sentences and labels"
_TEXT: Final = f"a {TEXT_FILE} of text"
_DATA_HELP: Final = {
    "Labeled sentences": f"Or type the path of {_LABELLED}.",
    "Text to predict": "Perplexity is measured on it. What is not pydoc is fetched from the hub. "
    f"Or type the path of {_TEXT}.",
    "Sentences or text": f"For a classifier {_LABELLED}; for a language model {_TEXT}; for an encoder without "
    "a head one of sentences. Paths can be typed.",
}
