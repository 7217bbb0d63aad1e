"""A prepared form: the settings of a tuning in the address of Recover, by the names of `TuneSpec`.

    recover?run=demo&data=demo&epochs=3&lr=0.001&train=kept&seed=2

As `app.forms.prepared` has it for a pruning. What is as usual depends on the kind of the run's model, so
the words are those of one run: with another run in the sidebar they go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.forms import fields as form_address
from app.forms import recover as recover_form
from app.forms.fields import Field, Table
from app.forms.prune import DEMO_DATA
from app.forms.recover import FORM, USUAL, Kind
from app.frame import links
from kencore.settings.recover import AS_THE_RUN, SCHEDULES, TRAINS
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

MOST_HELD_OUT: Final = 0.9


def fill_in(run: Run) -> list[links.LinkError]:
    """Fill in the form as the address says, if it says something new; what cannot be is returned.

    Call it before any widget of the form.
    """
    said = FORM.news(run.id)
    if said is None:
        return []
    kind = recover_form.kind_of(run)
    table = fields(kind, recover_form.judged_on(run))
    found, wrong = form_address.read(said, table)
    form_address.fill(table, found)
    st.session_state[f"recover_where_{kind}"] = recover_form.SHARE if found["held_out"] is None else recover_form.OTHER
    return wrong


def write(run: Run, settings: Mapping[str, Any]) -> None:
    """Put the form's settings into the address, those that are not as usual."""
    table = fields(recover_form.kind_of(run), recover_form.judged_on(run))
    FORM.write(form_address.say(table, settings), run.id)


def fields(kind: Kind, judged_on: str | None) -> Table:
    """Every setting of the form for that kind of model, by its name in the address.

    Args:
        judged_on: what a tuned run can be judged on; ``None``: it cannot.
    """
    usual, number, real = USUAL[kind], form_address.number, form_address.real
    labels = {"demo": DEMO_DATA} if kind == "demo" else wording.TEXTS
    return {
        "data": form_address.words(
            "data", f"recover_data_{kind}", usual.data or "", {} if kind == "sentences" else labels
        ),
        "held_out": Field(  # without a text: not typed yet, and still other data
            key=f"recover_held_out_{kind}",
            usual=None,
            read=str.strip,
            say=str,
            widget=lambda text: text or "",
            empty=True,
        ),
        "held_out_share": form_address.hundredths(
            "held_out_share", f"recover_share_{kind}", usual.share / 100, MOST_HELD_OUT
        ),
        "epochs": number("epochs", f"recover_epochs_{kind}", usual.epochs, 1, 10_000),
        "lr": real("lr", f"recover_lr_{kind}", usual.lr, 1e-8, 1, empty=usual.lr is None),
        "weight_decay": real("weight_decay", f"recover_decay_{kind}", 0.01, 0, 0.99),
        "patience": number("patience", f"recover_patience_{kind}", None, 1, 1000, empty=True),
        "train": form_address.choice("train", f"recover_train_{kind}", TRAINS),
        "evaluation": _judging(f"recover_judge_{kind}_{judged_on is not None}", judged_on),
        "baselines": form_address.switch("baselines", "recover_baselines", on=True),
        "batch": number("batch", f"recover_batch_{kind}", None, 1, 10_000, empty=True),
        "schedule": form_address.choice("schedule", "recover_schedule", SCHEDULES),
        "device": form_address.device("recover_device"),
        "seed": number("seed", "recover_seed", 0, 0, form_address.LARGE),
    }


def _judging(key: str, judged_on: str | None) -> Field:
    """Judged as the run was, or not."""

    def read(text: str) -> str | None:
        if text == "none":
            return None
        if judged_on is None or text not in (AS_THE_RUN, judged_on):
            wanted = "none" if judged_on is None else f"none or {AS_THE_RUN}"
            raise form_address.wrong("evaluation", text, wanted)
        return judged_on

    return Field(
        key=key,
        usual=judged_on,
        read=read,
        say=lambda data: data or "none",
        widget=lambda data: data is not None,
        empty=True,
    )
