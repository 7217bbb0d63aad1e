"""The settings of a tuning after pruning as widgets: what it learns from, how long, what moves.

The run itself comes from the sidebar. Nothing typed is lost: every widget keeps its value for the
session, one set of values for each kind of model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import streamlit as st

from app.forms import fields as form_address
from app.forms.prune import DEMO_DATA, KEEP, QUIET
from kencore.settings.recover import AS_THE_RUN, CLASSIFIER, EPOCHS, LANGUAGE, SCHEDULES, TRAINS
from kencore.system.devices import DEVICES
from kencore.words import numbers as wording
from kencore.words import run as facts

if TYPE_CHECKING:
    from kencore.runs.run import Run

Kind = Literal["demo", "demo-lm", "sentences", "text"]
SHARE, OTHER = "A share of it, kept apart", "Other data"
TRAINED: Final = {"all": "Kept entries, and all that was not pruned", "kept": "Kept entries alone"}
BYTES: Final = 25  # of memory per parameter, see kencore.recover
NO_ADAPTER: Final = (
    "Weights themselves are trained. LoRA and other adapters are not offered: their update is "
    "dense, so merged it would change every entry that was reset and undo the mask, and beside the "
    "weights it is one more dense matrix to store and to run."
)
FORM: Final = form_address.Form(
    key="recover_address",
    names=(
        "data",
        "held_out",
        "held_out_share",
        "method",
        "train",
        "epochs",
        "steps",
        "batch",
        "lr",
        "weight_decay",
        "warmup",
        "schedule",
        "clip",
        "every",
        "patience",
        "max_length",
        "window",
        "sample",
        "evaluation",
        "baselines",
        "save_every",
        "device",
        "seed",
    ),
)
"""The form's words in the address, see `app.forms.prepared_recover`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What the form starts with for one kind of model."""

    data: str | None
    share: int
    epochs: int
    lr: float | None


USUAL: Final[dict[Kind, Usual]] = {
    # 354 sentences: half are learned from, the other half says what that was worth
    "demo": Usual(data="demo", share=50, epochs=6, lr=2e-4),
    "demo-lm": Usual(data="pydoc", share=10, epochs=1, lr=5e-4),
    "sentences": Usual(data=None, share=10, epochs=EPOCHS, lr=None),
    "text": Usual(data="pydoc", share=10, epochs=EPOCHS, lr=None),
}


def kind_of(run: Run) -> Kind:
    """Which data the run's model takes."""
    if run.spec.model == "demo":
        return "demo"
    if run.spec.model == "demo-lm":
        return "demo-lm"
    return "text" if _is_language(run) else "sentences"


def _is_language(run: Run) -> bool:
    """By what the run says of its model: the model itself may be on a hub."""
    if run.spec.streams or facts.is_language(run.metrics):
        return True
    return run.architecture.endswith(("ForCausalLM", "LMHeadModel"))


def settings(run: Run, heading: Callable[..., Any] = st.header) -> dict[str, Any]:
    """All widgets, under headings of that level, and what was chosen as fields of a `TuneSpec`."""
    kind = kind_of(run)
    found: dict[str, Any] = {"run": run.id}
    heading("Data", icon=":material/menu_book:")
    found |= _data(kind)
    heading("How it learns", icon=":material/trending_up:")
    found |= _how_long(kind)
    found |= _moving(kind)
    return found | _judging(run, kind) | _advanced(kind)


def _data(kind: Kind) -> dict[str, Any]:
    usual, sentences = USUAL[kind], kind in ("demo", "sentences")
    found: dict[str, Any] = {"data": _learned_from(kind)}
    where = st.segmented_control(
        "Held-out data",
        [SHARE, OTHER],
        default=SHARE,
        required=True,
        key=f"recover_where_{kind}",
        **KEEP,
        help="Measured while it learns and never learned from. The weights with the lowest held-out loss are kept.",
    )
    if where == OTHER:
        held_out = st.text_input(
            "Held-out data, a name or file",
            key=f"recover_held_out_{kind}",
            label_visibility="collapsed",
            placeholder="path of a file" if sentences else "pydoc, wikitext2, or path of a file",
            **QUIET,
        )
        return found | {"held_out": held_out.strip()}
    percent = st.slider(
        "Share that is held out",
        1,
        90,
        usual.share,
        format="%d %%",
        key=f"recover_share_{kind}",
        **QUIET,
        help="Drawn by the seed; equal sentences stay on one side.",
    )
    return found | {"held_out_share": percent / 100}


def _learned_from(kind: Kind) -> str:
    title, key = "What it learns from", f"recover_data_{kind}"
    if kind == "sentences":
        typed: str = st.text_input(title, key=key, placeholder="path of a file", help=_LABELLED, **QUIET)
        return typed.strip()
    names = {DEMO_DATA: "demo"} if kind == "demo" else {text: name for name, text in wording.TEXTS.items()}
    said = st.selectbox(
        title,
        list(names),
        key=key,
        accept_new_options=True,
        help=f"{DEMO_DATA}, or {_LABELLED[0].lower()}{_LABELLED[1:]}" if kind == "demo" else _TEXT,
        **KEEP,
    )
    return names.get(said or "", (said or "").strip())


_LABELLED: Final = "A .tsv, .jsonl or .parquet file with sentences and labels, on the machine that runs KEN_viz."
_TEXT: Final = (
    "The part of a text that calibration uses. What is not pydoc is fetched from the hub. Or type "
    "the path of a .txt, .md, .jsonl, .tsv or .parquet file."
)


def _how_long(kind: Kind) -> dict[str, Any]:
    usual = USUAL[kind]
    lr = (CLASSIFIER if kind in ("demo", "sentences") else LANGUAGE)[1]
    with st.grid(2, min_column_width=180):
        epochs = st.number_input(
            "Times through the data",
            1,
            10_000,
            usual.epochs,
            key=f"recover_epochs_{kind}",
            **QUIET,
            help="Epochs. The weights of the best measurement are kept in any case.",
        )
        rate = st.number_input(
            "Learning rate",
            1e-8,
            1.0,
            usual.lr,
            step=1e-5,
            format="%.1e",
            key=f"recover_lr_{kind}",
            placeholder=f"{lr:g}",
            **QUIET,
            help="The highest one of AdamW: it rises at first, then falls. Small models take ten "
            "times what large ones do.",
        )
        decay = st.number_input(
            "Weight decay",
            0.0,
            0.99,
            0.01,
            step=0.01,
            key=f"recover_decay_{kind}",
            **QUIET,
            help="Of matrices; norms and biases have none.",
        )
        patience = st.number_input(
            "Patience",
            1,
            1000,
            None,
            key=f"recover_patience_{kind}",
            placeholder="to the end",
            **QUIET,
            help="Stop after so many measurements without a lower held-out loss.",
        )
    return {"epochs": int(epochs), "lr": rate, "weight_decay": decay, "patience": patience}


def _moving(kind: Kind) -> dict[str, Any]:
    train = st.radio(
        "What is trained",
        TRAINS,
        key=f"recover_train_{kind}",
        format_func=TRAINED.__getitem__,
        help=NO_ADAPTER,
        **QUIET,
    )
    return {"train": train or TRAINS[0]}


def judged_on(run: Run) -> str | None:
    """What the tuned run can be judged on: as the run was; ``None`` where it was not."""
    if run.spec.evaluation is not None:
        return AS_THE_RUN
    data = run.metrics.get("data")
    return str(data) if data else None


def _judging(run: Run, kind: Kind) -> dict[str, Any]:
    known = judged_on(run)
    judge = st.checkbox(
        "Judge it afterwards",
        known is not None,
        key=f"recover_judge_{kind}_{known is not None}",
        disabled=known is None,
        **QUIET,
        help="Dense, pruned and tuned model, and the base, on the data that this run was judged "
        "on, without what was learned from."
        if known
        else "This run was not judged: measure it on the Overview first.",
    )
    return {"evaluation": known if judge else None}


def _advanced(kind: Kind) -> dict[str, Any]:
    with st.expander("Device, seed and more", icon=":material/memory:"), st.grid(2, min_column_width=180):
        device = st.selectbox(
            "Device",
            DEVICES,
            key="recover_device",
            accept_new_options=True,
            **QUIET,
            help="auto takes CUDA where there is one, else MPS, else the CPU.",
        )
        seed = st.number_input(
            "Seed",
            0,
            2**53 - 1,
            0,
            key="recover_seed",
            **QUIET,
            help="Of what is held out, the order of the data, and dropout.",
        )
        batch = st.number_input(
            "Sentences or windows of a step",
            1,
            10_000,
            None,
            key=f"recover_batch_{kind}",
            placeholder=str((CLASSIFIER if kind in ("demo", "sentences") else LANGUAGE)[0]),
            **QUIET,
        )
        schedule = st.selectbox(
            "Schedule",
            SCHEDULES,
            key="recover_schedule",
            **QUIET,
            format_func={"linear": "Falls in a line", "cosine": "Falls as a cosine", "constant": "Stays"}.__getitem__,
            help="Of the learning rate, once it has risen.",
        )
        baselines = st.checkbox(
            "Baselines too",
            True,
            key="recover_baselines",
            **QUIET,
            help="Where it is judged, other rules at the same budget as well. They are not tuned.",
        )
    return {"device": device or "auto", "seed": int(seed), "batch": batch, "schedule": schedule, "baselines": baselines}
