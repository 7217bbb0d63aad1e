"""The settings of a recovery after pruning: what it learns from, how long, what moves.

    recover?run=demo&data=demo&epochs=3&lr=0.001&train=kept&seed=2

The run itself comes from the sidebar. Nothing typed is lost: every widget keeps its value for the
session, one set of values for each kind of model. What is as usual depends on that kind, so the words
of the address are those of one run: with another run in the sidebar they go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.forms import address
from app.forms.address import Form, Table
from app.forms.fields import KEEP, Field, Switch, row
from app.frame.links import LinkError
from kencore.settings.common import TABLE_FILE, TEXT_FILE
from kencore.settings.demo import DEMOS, TRAINING, TRAINING_LABEL, TUNED, Tuning, training_of
from kencore.settings.fields import settings_of
from kencore.settings.recover import AS_THE_RUN, CLASSIFIER, EPOCHS, LANGUAGE, RecoverSpec
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

Kind = str
"""The name of a demo, or ``sentences`` or ``text``: what the model takes."""
SHARE, OTHER = "A share of it, kept apart", "Other data"
TRAINED: Final = {"all": "Kept weights, and all that was not pruned", "kept": "Kept weights alone"}
SCHEDULED: Final = {"linear": "Falls in a line", "cosine": "Falls as a cosine", "constant": "Stays"}
BYTES: Final = 25  # of memory per parameter, see kencore.recovery
NO_ADAPTER: Final = (
    "Weights themselves are trained. LoRA and other adapters are not offered: their update is "
    "dense, so merged it would change every weight that was reset and undo the mask, and beside the "
    "weights it is one more dense matrix to store and to run."
)
FORM: Final = Form(key="recover_address", names=tuple(name for name in settings_of(RecoverSpec) if name != "run"))


_OWN: Final = Tuning(held_out_share=0.1, epochs=EPOCHS, lr=None)  # of one's own models
USUAL: Final[dict[Kind, Tuning]] = {name: demo.tuning for name, demo in TUNED.items() if demo.tuning is not None} | {
    "sentences": _OWN,
    "text": _OWN,
}
"""What the form starts with for each kind of model."""


def kind_of(run: Run) -> Kind:
    """Which data the run's model takes."""
    if run.spec.model in USUAL:
        return run.spec.model
    return "text" if run.language else "sentences"


def _labelled(kind: Kind) -> bool:
    """Whether it learns from labelled sentences."""
    return not DEMOS[kind].language if kind in DEMOS else kind == "sentences"


def judged_on(run: Run) -> str | None:
    """What the tuned run can be judged on: as the run was; ``None`` where it was not."""
    if run.spec.evaluation is not None:
        return AS_THE_RUN
    data = run.metrics.get("data")
    return str(data) if data else None


def fields(kind: Kind, judged_on: str | None) -> Table:
    """Every setting of the form for that kind of model, by its name.

    Args:
        judged_on: what a tuned run can be judged on; ``None``: it cannot.
    """
    usual = USUAL[kind]
    found = [
        _data(kind),
        row(RecoverSpec, "held_out", f"recover_held_out_{kind}", half=True),
        row(RecoverSpec, "held_out_share", f"recover_share_{kind}", usual=usual.held_out_share),
        row(RecoverSpec, "epochs", f"recover_epochs_{kind}", usual=usual.epochs),
        row(RecoverSpec, "lr", f"recover_lr_{kind}", usual=usual.lr),
        row(RecoverSpec, "weight_decay", f"recover_decay_{kind}"),
        row(RecoverSpec, "patience", f"recover_patience_{kind}"),
        row(RecoverSpec, "train", f"recover_train_{kind}", labels=TRAINED, help=NO_ADAPTER),
        _judging(kind, judged_on),
        row(RecoverSpec, "baselines", "recover_baselines"),
        row(RecoverSpec, "cost", "recover_cost"),
        row(RecoverSpec, "batch", f"recover_batch_{kind}", help=""),
        row(RecoverSpec, "schedule", "recover_schedule", labels=SCHEDULED),
        row(RecoverSpec, "device", "recover_device"),
        row(RecoverSpec, "seed", "recover_seed"),
    ]
    return {field.name: field for field in found}


def fill_in(run: Run) -> list[LinkError]:
    """Fill in the form as the address says, if it says something new; what cannot be is returned.

    Call it before any widget of the form.
    """
    said = FORM.news(run.id)
    if said is None:
        return []
    kind = kind_of(run)
    table = fields(kind, judged_on(run))
    found, wrong = address.read(said, table)
    address.fill(table, found)
    st.session_state[f"recover_where_{kind}"] = SHARE if found["held_out"] is None else OTHER
    return wrong


def settings(run: Run, heading: Callable[..., Any] = st.header) -> dict[str, Any]:
    """All widgets, under headings of that level, and what was chosen as fields of a `RecoverSpec`; the
    address says it too.
    """
    kind = kind_of(run)
    table = fields(kind, judged_on(run))
    batch, lr, _ = CLASSIFIER if _labelled(kind) else LANGUAGE
    heading("Data", icon=":material/menu_book:")
    found = {"run": run.id, "data": table["data"].draw(), **_held_out(table, kind)}
    heading("How it learns", icon=":material/trending_up:")
    with st.grid(2, min_column_width=180):
        found["epochs"] = table["epochs"].draw()
        found["lr"] = table["lr"].draw(step=1e-5, format="%.1e", placeholder=f"{lr:g}")
        found["weight_decay"] = table["weight_decay"].draw(step=0.01)
        found["patience"] = table["patience"].draw(placeholder="to the end")
    found["train"] = table["train"].draw(form="buttons")
    found["evaluation"] = table["evaluation"].draw(disabled=table["evaluation"].usual is None)
    with st.expander("Device, seed and more", icon=":material/memory:"), st.grid(2, min_column_width=180):
        found |= {name: table[name].draw() for name in ("device", "seed")}
        found["batch"] = table["batch"].draw(placeholder=str(batch))
        found |= {name: table[name].draw() for name in ("schedule", "baselines", "cost")}
    FORM.write(address.say(table, found), run.id)
    return found


def _held_out(table: Table, kind: Kind) -> dict[str, Any]:
    where = st.segmented_control(
        "Held-out data",
        [SHARE, OTHER],
        default=SHARE,
        required=True,
        key=f"recover_where_{kind}",
        **KEEP,
        help="Measured while it learns and never learned from. The weights with the lowest held-out loss are kept.",
    )
    if where == SHARE:
        return {"held_out_share": table["held_out_share"].draw()}
    placeholder = "path of a file" if _labelled(kind) else "pydoc, wikitext2, or path of a file"
    return {"held_out": table["held_out"].draw(label_visibility="collapsed", placeholder=placeholder)}


def _data(kind: Kind) -> Field:
    """A text or the demo's training sentences are offered; sentences of one's own are a file."""
    known: dict[str, str] = wording.TEXTS
    said = _TEXT
    if kind in DEMOS and _labelled(kind):
        known = {TRAINING: TRAINING_LABEL}
        said = f"{TRAINING_LABEL}, or {_LABELLED[0].lower()}{_LABELLED[1:]}"
    elif _labelled(kind):
        known, said = {}, _LABELLED
    usual = training_of(kind) or ("" if _labelled(kind) else "pydoc")
    return row(
        RecoverSpec, "data", f"recover_data_{kind}", usual=usual, labels=known, help=said, quiet=kind == "sentences"
    )


def _judging(kind: Kind, known: str | None) -> Field:
    """Judged as the run was, or not."""
    words = {"none": None} if known is None else {"none": None, AS_THE_RUN: known, known: known}
    said = (
        "This run was not judged: measure it on the Overview first."
        if known is None
        else "Dense, pruned and tuned model, and the base, on the data that this run was judged on, without what "
        "was learned from."
    )
    key = f"recover_judge_{kind}_{known is not None}"
    return row(RecoverSpec, "evaluation", key, Switch, usual=known, off=None, on=known, words=words, help=said)


_LABELLED: Final = f"A {TABLE_FILE} with sentences and labels, on the machine that runs KEN_viz."
_TEXT: Final = (
    "The part of a text that calibration uses. What is not pydoc is fetched from the hub. Or type "
    f"the path of a {TEXT_FILE}."
)
