"""The settings of a pruning job as widgets, and the job they make.

Nothing typed is lost: every widget keeps its value for the session. Widgets that change nothing
else on the page report with the next click, so that filling in the form does not redraw it.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any, Final

import streamlit as st

from app import wording
from kencore import jobs
from kencore.errors import JobNotFoundError
from kencore.spec import DEVICES, METHODS, SCOPES, PruneSpec

OWN, DEMO = "My own models", "Demo pair"
SHARE, ENTRIES = "Share of each row", "Entries per row (k)"
NO_DATA, DEMO_DATA = "Do not measure", "Demo sentences"
SETTLED_SECONDS: Final = 3.0  # a click this soon after a job ended is still the same click
_PLACES: Final = (*SCOPES, "q", "k", "v", "o", "up", "gate", "down")
_KEEP: Final[dict[str, Any]] = {"persist_state": "session"}
_QUIET: Final[dict[str, Any]] = {"persist_state": "session", "on_change": "ignore"}


def models() -> dict[str, str | None]:
    """Which pair; the fields of a `PruneSpec` that say so."""
    st.subheader("Models", icon=":material/folder_open:")
    which = st.segmented_control(
        "Models", [DEMO, OWN], default=DEMO, required=True, key="prune_which",
        label_visibility="collapsed", **_KEEP,
    )  # fmt: skip
    if which == DEMO:
        st.caption(
            "A small BERT-like encoder that was trained for this project, and its "
            "sentiment-tuned version."
        )
        return {"model": "demo", "base": "demo-base", "model_revision": None, "base_revision": None}
    model = st.text_input(
        "Tuned model", key="prune_model", placeholder="folder or hub id", **_QUIET,
        help="A Hugging Face folder on the machine that runs KEN_viz, or a hub id. Safetensors "
        "only; nothing is uploaded.",
    )  # fmt: skip
    base = st.text_input(
        "Its base model", key="prune_base", placeholder="folder or hub id", **_QUIET,
        help="The pretrained model that the tuned one started from. What is not kept goes back to "
        "its values.",
    )  # fmt: skip
    with st.expander("Hub revisions", icon=":material/history:"):
        tuned_at = st.text_input("Revision of the tuned model", key="prune_model_at", **_QUIET)
        base_at = st.text_input("Revision of the base model", key="prune_base_at", **_QUIET)
    return {
        "model": model.strip(), "base": base.strip() or None,
        "model_revision": tuned_at.strip() or None, "base_revision": base_at.strip() or None,
    }  # fmt: skip


def budget() -> dict[str, Any]:
    """Method and how much is kept."""
    st.subheader("Method", icon=":material/content_cut:")
    method = st.radio(
        "Which entries of a row are kept", METHODS, key="prune_method",
        format_func=wording.METHODS.get,
        captions=[wording.METHODS_EXPLAINED[name] for name in METHODS], **_QUIET,
    )  # fmt: skip
    st.subheader("How much is kept", icon=":material/tune:")
    unit = st.segmented_control(
        "Budget", [SHARE, ENTRIES], default=SHARE, required=True, key="prune_unit",
        label_visibility="collapsed", **_KEEP,
    )  # fmt: skip
    if unit == SHARE:
        percent = st.slider(
            "Kept of each row", 1, 100, 50, format="%d %%", key="prune_share", **_QUIET,
            help="Rounded to whole entries, at least one per row.",
        )  # fmt: skip
        return {"method": method, "keep": percent / 100, "k": None}
    k = st.number_input(
        "Entries kept per row", 1, 1_000_000, 64, key="prune_k", **_QUIET,
        help="As published: one number for all rows. Shorter rows are kept whole.",
    )  # fmt: skip
    return {"method": method, "keep": None, "k": int(k)}


def scope() -> dict[str, Any]:
    """Where the rule is applied."""
    st.subheader("Where", icon=":material/filter_alt:")
    places = st.multiselect(
        "Parts of the model", _PLACES, default=["all"], key="prune_scope",
        accept_new_options=True, on_change=_all_or_parts, **_KEEP,
        help="Several are united; all stands alone. A role (q, down, ...) or a name pattern such "
        "as *.layer.0.* can be typed.",
    )  # fmt: skip
    with st.container(horizontal=True):
        embeddings = st.checkbox("Embeddings", True, key="prune_embeddings", **_QUIET)
        vectors = st.checkbox("Norms and biases", True, key="prune_vectors", **_QUIET)
        head = st.checkbox(
            "Task head", True, key="prune_head", **_QUIET,
            help="A head that only the tuned model has is always kept whole.",
        )  # fmt: skip
    return {
        "scope": tuple(places), "embeddings": embeddings, "vectors": vectors, "head": head,
    }  # fmt: skip


def _all_or_parts() -> None:
    """``all`` holds every other part: what was chosen last says which of the two is meant."""
    places: list[str] = st.session_state["prune_scope"]
    if "all" in places and len(places) > 1:
        last = places[-1]
        st.session_state["prune_scope"] = (
            ["all"] if last == "all" else [place for place in places if place != "all"]
        )


def measuring(demo: bool) -> dict[str, Any]:
    """What quality is measured on, and against what."""
    st.subheader("Quality", icon=":material/straighten:")
    data = st.selectbox(
        "Labelled sentences", [DEMO_DATA, NO_DATA], index=0 if demo else 1,
        key="prune_data_demo" if demo else "prune_data_own", accept_new_options=True, **_KEEP,
        help="Or type the path of a .tsv, .jsonl or .parquet file with sentences and labels.",
    )  # fmt: skip
    known = {NO_DATA: None, DEMO_DATA: "demo"}
    evaluation = known[data] if data in known else (data or "").strip() or None
    baselines = st.checkbox(
        "Compare with baselines", True, key="prune_baselines", disabled=evaluation is None,
        **_QUIET,
        help="Also measure random, largest magnitude and largest difference at the same budget.",
    )  # fmt: skip
    return {"evaluation": evaluation, "baselines": bool(baselines and evaluation)}


def machine() -> dict[str, Any]:
    """Device and seed."""
    with st.expander("Device and seed", icon=":material/memory:"):
        device = st.selectbox(
            "Device", DEVICES, key="prune_device", accept_new_options=True, **_QUIET,
            help="auto takes CUDA where there is one, else MPS, else the CPU. cuda:1 can be typed.",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 2**53 - 1, 0, key="prune_seed", help="For the random rule.", **_QUIET
        )
    return {"device": device or "auto", "seed": int(seed)}


def start(settings: dict[str, Any]) -> str:
    """Submit a prune job and return its id; a second click at once returns the same job.

    Raises:
        KencoreError: settings that cannot work, or a store that cannot be written.
    """
    spec = PruneSpec.from_dict(settings)
    return submit_once("prune", json.loads(spec.to_json()), gpus=_gpus(spec.device))


def inspect(pair: dict[str, str | None]) -> str:
    """Submit an inspect job for the pair and return its id. Raises as `start`."""
    # says what is missing before a job is made; a model can be looked at without its base
    PruneSpec.from_dict({**pair, "base": pair["base"] or "not needed", "keep": 0.5})
    return submit_once("inspect", {key: text for key, text in pair.items() if text is not None})


def submit_once(kind: str, params: dict[str, Any], *, gpus: float = 0.0) -> str:
    """Submit, with one request key for all clicks on the same settings until the job has ended."""
    asked = json.dumps([kind, params], sort_keys=True)
    known: dict[str, tuple[str, str]] = st.session_state.setdefault("prune_asked", {})
    nonce, job = known.get(asked, ("", ""))
    if not job or _settled(job):
        nonce = uuid.uuid4().hex
    key = hashlib.sha256(f"{nonce} {asked}".encode()).hexdigest()
    known[asked] = (nonce, job)  # before submitting: a second click may come in between
    job = jobs.submit(kind, params, gpus=gpus, request_key=key)
    known[asked] = (nonce, job)
    return job


def _settled(job: str) -> bool:
    try:
        found = jobs.status(job)
    except JobNotFoundError:
        return True
    return not found.live and time.time() - (found.finished or 0.0) > SETTLED_SECONDS


def _gpus(device: str) -> float:
    """CUDA cards to reserve: one where the job will use one."""
    if device.startswith("cuda"):
        return 1.0
    from kencore.devices import count_gpus

    return 1.0 if device == "auto" and count_gpus() else 0.0
