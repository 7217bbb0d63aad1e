"""The settings of a pruning job as widgets: which model, which rule, how much, where, measured on.

Nothing typed is lost: every widget keeps its value for the session. Widgets that change nothing
else on the page report with the next click, so that filling in the form does not redraw it. Only
what applies to the chosen model and rule is shown, and nothing that contradicts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import streamlit as st

from kencore.methods.table import METHODS
from kencore.settings.prune import DEVICES, RESCALES, SCOPES
from kencore.words import numbers as wording

DEMO, DEMO_LM, OWN = "Demo encoder", "Demo language model", "My own models"
KINDS: Final[dict[str, Literal["demo", "demo-lm", "own"]]] = {DEMO: "demo", DEMO_LM: "demo-lm", OWN: "own"}
RESTS: Final = {"base": "Goes back to the base", "zero": "Becomes zero"}
SHARE, ENTRIES = "Share of each row", "Entries per row (k)"
NO_DATA, DEMO_DATA = "Do not measure", "Demo sentences"
_PLACES: Final = (*SCOPES, "q", "k", "v", "o", "up", "gate", "down")
KEEP: Final[dict[str, Any]] = {"persist_state": "session"}
QUIET: Final[dict[str, Any]] = {"persist_state": "session", "on_change": "ignore"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is pruned: the fields of a `PruneSpec` that say so, and what follows from them."""

    kind: Literal["demo", "demo-lm", "own"]
    rest: str
    fields: dict[str, str | None]


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
        return Subject(kind=kind, rest=rest, fields=_fields("demo-lm", "demo-lm-base", rest=rest))
    rest = _rest("base", "prune_rest")
    return Subject(kind=kind, rest=rest, fields=_own(rest))


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


def _fields(model: str, base: str | None, *, rest: str = "base") -> dict[str, str | None]:
    return {"model": model, "base": base if rest == "base" else None, "model_revision": None, "base_revision": None}


def _own(rest: str) -> dict[str, str | None]:
    paired = rest == "base"
    model = st.text_input(
        "Tuned model" if paired else "Model",
        key="prune_model",
        placeholder="folder or hub id",
        **QUIET,
        help="A Hugging Face folder on the machine that runs KEN_viz, or a hub id. Safetensors "
        "only; nothing is uploaded.",
    )
    base = (
        ""
        if not paired
        else st.text_input(
            "Its base model",
            key="prune_base",
            placeholder="folder or hub id",
            **QUIET,
            help="The pretrained model that the tuned one started from. What is not kept goes back to its values.",
        )
    )
    with st.expander("Hub revisions", icon=":material/history:"):
        tuned_at = st.text_input("Revision of the model", key="prune_model_at", **QUIET)
        base_at = "" if not paired else st.text_input("Revision of the base model", key="prune_base_at", **QUIET)
    return {
        "model": model.strip(),
        "base": base.strip() or None,
        "model_revision": tuned_at.strip() or None,
        "base_revision": base_at.strip() or None,
    }


def methods_for(subject: Subject) -> tuple[str, ...]:
    """The methods that make sense: those about a base first where there is one, else those that
    look at activations."""
    if subject.rest == "zero":
        zero = [row for row in METHODS.values() if not row.needs_base]
        return tuple(row.name for row in sorted(zero, key=lambda row: not row.activations))
    rows = [row for row in METHODS.values() if row.takes_base]
    return tuple(row.name for row in rows if subject.kind != "demo" or not row.activations)


def method(subject: Subject) -> str:
    """Which entries are kept."""
    st.header("Method", icon=":material/content_cut:")
    names = methods_for(subject)
    quiet = subject.kind == "demo"  # nothing else of the form depends on it
    found = st.radio(
        "Which entries are kept",
        names,
        key=f"prune_method_{subject.kind}_{subject.rest}",
        format_func=lambda name: METHODS[name].label + _note(name, subject),
        captions=[METHODS[name].explained for name in names],
        **(QUIET if quiet else KEEP),
    )
    return found or names[0]


def _note(name: str, subject: Subject) -> str:
    """Of one's own models nobody knows yet whether they are language models."""
    needs = METHODS[name].activations and subject.kind == "own"
    return " · language models" if needs else ""


def budget(subject: Subject, *, streams: bool) -> dict[str, Any]:
    """How much is kept: per row where nothing spreads it, else of all together."""
    st.header("How much", icon=":material/tune:")
    if streams or subject.rest == "zero":
        percent = st.slider(
            "Sparsity",
            1,
            99,
            50,
            format="%d %%",
            key="prune_sparsity",
            **QUIET,
            help="Share of the entries of all pruned matrices that is not kept; met exactly.",
        )
        return {"keep": (100 - percent) / 100, "k": None}
    unit = st.segmented_control(
        "Budget", [SHARE, ENTRIES], default=SHARE, required=True, key="prune_unit", label_visibility="collapsed", **KEEP
    )
    if unit == SHARE:
        percent = st.slider(
            "Kept of each row",
            1,
            100,
            50,
            format="%d %%",
            key="prune_share",
            **QUIET,
            help="Rounded to whole entries, at least one per row.",
        )
        return {"keep": percent / 100, "k": None}
    k = st.number_input(
        "Entries kept per row",
        1,
        1_000_000,
        64,
        key="prune_k",
        **QUIET,
        help="As published: one number for all rows. Shorter rows are kept whole.",
    )
    return {"keep": None, "k": int(k)}


def rescaling(subject: Subject) -> dict[str, Any]:
    """Whether kept values grow to make up for what went back; only beside a base."""
    if subject.rest == "zero":
        return {}
    found = st.selectbox(
        "Rescale", RESCALES, key="prune_rescale", format_func=wording.RESCALES.__getitem__, help=_RESCALE_HELP, **QUIET
    )
    return {"rescale": found or "none"}


_RESCALE_HELP: Final = (
    "Entries that go back to the base weaken what tuning taught. Rescaling makes each row's kept "
    "differences to the base larger, so that together they reach as far as all of them did. Kept "
    "values are then no longer the tuned ones. By the share of the row is right for a choice that "
    "does not look at the difference (random, KEN); by the share of the squared change is right "
    "for any, and the one to take with the largest difference. Off by default: measure both."
)


def scope(subject: Subject, *, streams: bool) -> dict[str, Any]:
    """Where the rule is applied."""
    st.header("Where", icon=":material/filter_alt:")
    key = "prune_scope" if not streams else "prune_scope_blocks"
    places = st.multiselect(
        "Parts of the model",
        _PLACES,
        default=["all"],
        key=key,
        accept_new_options=True,
        on_change=_all_or_parts,
        args=(key,),
        **KEEP,
        help="Several are united; all stands alone. A role (q, down, ...) or a name pattern such "
        "as *.layer.0.* can be typed.",
    )
    if streams or subject.rest == "zero":
        st.caption(
            "Only matrices inside the blocks are pruned."
            if streams
            else "Embeddings, norms, biases and the head are left alone unless a part names them: set "
            "to zero they would be lost."
        )
        return {"scope": tuple(places)}
    with st.container(horizontal=True):
        embeddings = st.checkbox("Embeddings", True, key="prune_embeddings", **QUIET)
        vectors = st.checkbox("Norms and biases", True, key="prune_vectors", **QUIET)
        head = st.checkbox(
            "Task head",
            True,
            key="prune_head",
            **QUIET,
            help="A head that only the tuned model has is always kept whole.",
        )
    return {"scope": tuple(places), "embeddings": embeddings, "vectors": vectors, "head": head}


def _all_or_parts(key: str) -> None:
    """``all`` holds every other part: what was chosen last says which of the two is meant."""
    places: list[str] = st.session_state[key]
    if "all" in places and len(places) > 1:
        last = places[-1]
        st.session_state[key] = ["all"] if last == "all" else [place for place in places if place != "all"]


def measuring(subject: Subject, *, streams: bool) -> dict[str, Any]:
    """What quality is measured on, and against what."""
    st.header("Quality", icon=":material/straighten:")
    labels = wording.TEXTS
    if subject.kind == "demo":
        key, title, known = "demo", "Labelled sentences", [DEMO_DATA, NO_DATA]
    elif subject.kind == "demo-lm" or streams:
        key, title = subject.kind, "Text to predict"
        known = [*labels.values(), NO_DATA] if subject.kind == "demo-lm" else [NO_DATA, *labels.values()]
    else:
        key, title = "either", "Sentences or text"
        known = [NO_DATA, DEMO_DATA, *labels.values()]
    data = st.selectbox(title, known, key=f"prune_data_{key}", accept_new_options=True, **KEEP, help=_DATA_HELP[title])
    words = {NO_DATA: None, DEMO_DATA: "demo"} | {text: name for name, text in labels.items()}
    evaluation = words[data] if data in words else (data or "").strip() or None
    baselines = st.checkbox(
        "Compare with baselines",
        True,
        key="prune_baselines",
        disabled=evaluation is None,
        **QUIET,
        help="Also measure other rules at the same budget: random, largest magnitude and, where "
        "they apply, largest difference, Wanda and the same rule with uniform sparsity.",
    )
    found = {"evaluation": evaluation, "baselines": bool(baselines and evaluation)}
    if subject.kind != "demo":
        found["windows"] = st.number_input(
            "Measure on at most so many windows",
            1,
            1_000_000,
            None,
            key="prune_windows",
            placeholder="all",
            **QUIET,
            help="Of a text. Perplexities are compared on the same windows only.",
        )
    return found


_LABELLED: Final = "a .tsv, .jsonl or .parquet file with sentences and labels"
_TEXT: Final = "a .txt, .md, .jsonl, .tsv or .parquet file of text"
_DATA_HELP: Final = {
    "Labelled sentences": f"Or type the path of {_LABELLED}.",
    "Text to predict": "Perplexity is measured on it. What is not pydoc is fetched from the hub. "
    f"Or type the path of {_TEXT}.",
    "Sentences or text": f"For a classifier {_LABELLED}; for a language model {_TEXT}. Paths can be typed.",
}


def machine() -> dict[str, Any]:
    """Device and seed."""
    with st.expander("Device and seed", icon=":material/memory:"):
        device = st.selectbox(
            "Device",
            DEVICES,
            key="prune_device",
            accept_new_options=True,
            **QUIET,
            help="auto takes CUDA where there is one, else MPS, else the CPU. cuda:1 can be typed.",
        )
        seed = st.number_input(
            "Seed",
            0,
            2**53 - 1,
            0,
            key="prune_seed",
            **QUIET,
            help="For the random rule and the choice of calibration text.",
        )
    return {"device": device or "auto", "seed": int(seed)}
