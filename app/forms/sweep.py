"""The settings of a sweep as widgets: which ways to prune, how much to keep, measured on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app.forms import fields as form_address
from app.forms import prune as prune_form
from app.forms import prune_language
from app.forms.prune import KEEP, QUIET, Subject
from app.frame import links, state
from app.jobs import submit as submitting
from kencore.allocate.table import ALLOCATIONS, UNIFORM, allocation_label
from kencore.errors import KencoreError, SpecError
from kencore.methods.table import METHODS, method_label
from kencore.settings.prune import DEVICES, RESCALES
from kencore.settings.sweep import Skipped, SweepSpec
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

DEMO: Final[dict[str, Any]] = {
    "model": "demo",
    "base": "demo-base",
    "methods": ("delta", "ken", "random"),
    "keeps": (0.75, 0.5, 0.25, 0.1, 0.05),
    "evaluation": "demo",
    "baselines": False,
}
"""A small sweep of the demo, ready to start."""
SHARES: Final = ("90 %", "75 %", "50 %", "25 %", "10 %", "5 %", "2 %")
USUAL_SHARES: Final = SHARES[1:6]
_USUAL: Final = {"base": ("delta", "ken", "random"), "zero": ("wanda", "magnitude", "random")}
FORM: Final = form_address.Form(
    key="sweep_address",
    names=(
        "model",
        "base",
        "model_revision",
        "base_revision",
        "methods",
        "keeps",
        "ks",
        "seeds",
        "allocations",
        "rescales",
        "scope",
        "embeddings",
        "vectors",
        "head",
        "step",
        "refine",
        "calibration",
        "sequences",
        "window",
        "search_sequences",
        "reference",
        "propagate",
        "fast",
        "published",
        "evaluation",
        "baselines",
        "windows",
        "device",
    ),
)
"""The form's words in the address, see `app.forms.prepared_sweep`."""


def new_sweep() -> tuple[Subject, dict[str, Any], DeltaGenerator]:
    """The form: what is pruned, the settings as typed, and the place for `plan`."""
    with st.grid(2, min_column_width=420, gap="medium") as grid:
        with grid.cell():
            subject = prune_form.models()
            settings = {**subject.fields, **_ways(subject)}
            streams = uses_text(settings)
            settings |= _budgets(subject)
            settings |= _seeds()
        with grid.cell():
            place = st.container()
            if streams:
                settings |= _calibration(subject, settings)
            settings |= prune_form.scope(subject, streams=streams)
            settings |= prune_form.measuring(subject, streams=streams)
            settings["device"] = _device()
    return subject, settings, place


def share(word: str) -> float:
    """A percentage as it was typed, as a share: ``"12.5 %"`` is 0.125.

    Raises:
        SpecError: something that is not a number.
    """
    try:
        return float(Decimal(word.replace("%", "").replace(",", ".").strip()) / 100)
    except InvalidOperation:
        raise SpecError(
            "shares to keep",
            got=repr(word),
            wanted="percentages, such as 12.5 %",
            remedy="Remove it, or type a number.",
        ) from None


def shares(words: Sequence[str]) -> tuple[float, ...]:
    """The same for several. Raises as `share`."""
    return tuple(share(word) for word in words)


def percent(share: float) -> str:
    """A share as the word that `share` reads as the same number."""
    return f"{(100 * Decimal(repr(share))).normalize():f} %"


def start(settings: dict[str, Any]) -> None:
    """Submit a sweep and look at it; a mistake is said."""
    try:
        spec = SweepSpec.from_dict(settings)
        submitting.sweep(spec)
    except KencoreError as error:
        state.show_error(error)
        return
    links.write(**FORM.nothing(), sweep=spec.id, view=None)
    st.rerun()


# --- parts ------------------------------------------------------------------------------------


def usual_methods(subject: Subject) -> tuple[str, ...]:
    """The methods that the form starts with."""
    names = prune_form.methods_for(subject)
    return tuple(name for name in _USUAL[subject.rest] if name in names)


def _ways(subject: Subject) -> dict[str, Any]:
    """Methods, allocations and rescalings."""
    st.header("Ways to prune", icon=":material/content_cut:")
    own = f"{subject.kind}_{subject.rest}"
    names = prune_form.methods_for(subject)
    found: dict[str, Any] = {
        "methods": st.multiselect(
            "Methods",
            names,
            default=list(usual_methods(subject)),
            key=f"tradeoff_methods_{own}",
            format_func=method_label,
            **KEEP,
            help="One line in the chart for each, with each allocation and each rescaling.",
        )
    }
    if prune_language.offered(subject):
        found["allocations"] = st.multiselect(
            "How sparsity is shared",
            tuple(ALLOCATIONS),
            default=[UNIFORM],
            key=f"tradeoff_allocations_{own}",
            format_func=allocation_label,
            **KEEP,
            help="Other than uniform: language models only.",
        )
    if subject.rest == "base":
        found["rescales"] = st.multiselect(
            "Rescale kept values",
            RESCALES,
            default=["none"],
            key=f"tradeoff_rescales_{own}",
            format_func=wording.RESCALES.__getitem__,
            **KEEP,
            help="Larger kept differences make up for those that were reset. Kept values are then "
            "no longer the tuned ones.",
        )
    return found


def _budgets(subject: Subject) -> dict[str, Any]:
    st.header("How much is kept", icon=":material/tune:")
    words = st.multiselect(
        "Shares that are kept",
        SHARES,
        default=list(USUAL_SHARES),
        key="tradeoff_keeps",
        accept_new_options=True,
        filter_mode="prefix",
        select_all=False,
        **KEEP,
        help="One point of each line for each share. Others can be typed, such as 33.3 %. "
        + ("Of each row." if subject.rest == "base" else "Of all pruned matrices together."),
    )
    return {"keeps": words}


def _seeds() -> dict[str, Any]:
    st.header("Repeats", icon=":material/casino:")
    words = st.multiselect(
        "Seeds",
        ("0", "1", "2", "3", "4"),
        default=["0"],
        key="tradeoff_seeds",
        accept_new_options=True,
        filter_mode="prefix",
        select_all=False,
        **KEEP,
        help="A point for each seed where chance plays a part (a random choice, text that is drawn "
        "for calibration); other points are the same for every seed and are made once.",
    )
    return {"seeds": words}


def uses_text(settings: Mapping[str, Any]) -> bool:
    """Whether some point runs the model on text."""
    return any(METHODS[name].activations for name in settings["methods"]) or bool(
        set(settings.get("allocations", ())) - {UNIFORM}
    )


def _calibration(subject: Subject, settings: dict[str, Any]) -> dict[str, Any]:
    """As for one pruning; what only some points need is asked for if any does."""
    allocations = settings.get("allocations") or [UNIFORM]
    searched = [name for name in reversed(ALLOCATIONS) if ALLOCATIONS[name].searched and name in allocations]
    one = {"method": "", "allocation": (*searched, UNIFORM)[0]}
    return prune_language.calibration(subject, one)


def _device() -> str:
    with st.expander("Device", icon=":material/memory:"):
        device = st.selectbox(
            "Device",
            DEVICES,
            key="prune_device",
            accept_new_options=True,
            **QUIET,
            help="auto takes CUDA where there is one, else MPS, else the CPU. cuda:1 can be typed.",
        )
    return device or "auto"


# --- what it comes to -------------------------------------------------------------------------


def asked(settings: dict[str, Any]) -> SweepSpec:
    """The sweep of a form's settings.

    Raises:
        SpecError: a setting that cannot be.
    """
    seeds = []
    for word in settings["seeds"]:
        if not (word.isascii() and word.isdigit()):
            raise SpecError(
                "seeds", got=repr(word), wanted="whole numbers, 0 or more", remedy="Remove it, or type a number."
            )
        seeds.append(int(word))
    return SweepSpec.from_dict(settings | {"keeps": shares(settings["keeps"]), "seeds": seeds})


def plan(settings: dict[str, Any]) -> None:
    """How many prunings these are, or why none can be, and the button that starts them."""
    st.header("What this comes to", icon=":material/play_arrow:")
    try:
        spec = asked(settings)
    except KencoreError as error:
        st.button(
            "Start sweep",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=True,
            key="tradeoff-not-yet",
        )
        state.show_error(error)
        return
    points, skipped = len(spec.points()), spec.skipped()
    pressed = st.button(
        "Start sweep",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=spec.evaluation is None,
        key="tradeoff-start",
    )
    st.markdown(
        f"**{wording.plural(points, 'pruning')}**, each a run of its own"
        + (f"; {wording.plural(len(skipped), 'combination')} cannot be." if skipped else ".")
    )
    if spec.evaluation is None:
        st.warning("Choose what to measure on: without it there is no curve.")
    if skipped:
        _skipped_table(skipped)
    st.caption(
        "They share what can be shared: the model is loaded once, rows are sorted once. It runs in "
        "a process of its own; you may close this page. Cut off or cancelled, the same settings go "
        "on where they stopped."
    )
    if pressed:
        start(settings | {"keeps": spec.keeps, "seeds": spec.seeds})


def _skipped_table(skipped: tuple[Skipped, ...]) -> None:
    shown = skipped_ways(skipped)
    st.dataframe(
        shown,
        hide_index=True,
        alt="Combinations that cannot be, each with the reason",
        height="content" if len(shown) < 6 else 220,
        column_config={"Why": st.column_config.TextColumn(width="large")},
    )


def skipped_ways(skipped: tuple[Skipped, ...]) -> pd.DataFrame:
    """One line per way to prune that cannot be; the reason does not hang on the budget mostly."""
    lines = {
        (
            method_label(one.method),
            allocation_label(one.allocation),
            wording.RESCALED.get(one.rescale, "none"),
            one.reason,
        )
        for one in skipped
    }
    names = ["Method", "Allocation", "Rescaling", "Why"]
    return pd.DataFrame(sorted(lines), columns=names)
