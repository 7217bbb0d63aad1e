"""The settings of a sweep: which ways to prune, how much to keep, measured on what.

    tradeoff?view=new&model=demo-lm&methods=wanda,random&keeps=0.5,0.25&seeds=0,1

The words are in the address only while the form is shown, and with them ``view=new``, so that a link
opens the form also where there are sweeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app.forms import address, model, prune_language
from app.forms import prune as prune_form
from app.forms.address import Form, Table
from app.forms.fields import Field, row
from app.forms.model import Subject
from app.frame import links, state
from app.frame.links import LinkError
from app.jobs import submit as submitting
from kencore.allocate.table import ALLOCATIONS, UNIFORM, allocation_label
from kencore.errors import KencoreError, SpecError
from kencore.methods.table import METHODS, method_label
from kencore.settings.demo import ENCODER
from kencore.settings.fields import in_order, settings_of
from kencore.settings.prune import RESCALES, PruneSpec
from kencore.settings.sweep import Skipped, SweepSpec
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

DEMO: Final[dict[str, Any]] = {
    "model": ENCODER.name,
    "base": ENCODER.base,
    "methods": ("delta", "ken", "random"),
    "keeps": (0.75, 0.5, 0.25, 0.1, 0.05),
    "evaluation": ENCODER.data,
    "baselines": False,
}
"""A small sweep of the demo, ready to start."""
SHARES: Final = ("90 %", "75 %", "50 %", "25 %", "10 %", "5 %", "2 %")
USUAL_SHARES: Final = SHARES[1:6]
BITS: Final = ("0.02", "0.066", "0.2", "0.5", "1", "2", "3")
MOST_BITS: Final = settings_of(PruneSpec)["bits"].high
USUAL_BITS: Final = (0.5, 1.0, 2.0)  # a very small model has no file of less
_USUAL: Final = {"base": ("delta", "ken", "random"), "zero": ("wanda", "magnitude", "random")}
FORM: Final = Form(key="sweep_address", names=in_order(SweepSpec, *model.SUBJECT))


def new_sweep() -> tuple[dict[str, Any], DeltaGenerator]:
    """The form: the settings as typed, and the place for `plan`. The address says them too."""
    with st.grid(2, min_column_width=420, gap="medium") as grid:
        with grid.cell():
            subject = model.models()
            table = fields(subject, streams=False)
            st.header("Ways to prune", icon=":material/content_cut:")
            ways = [name for name in ("methods", "allocations", "rescales") if name in table]
            settings: dict[str, Any] = {**subject.fields, **{name: table[name].draw() for name in ways}}
            if streams := uses_text(settings):
                table = fields(subject, streams=True)
            st.header("How much is kept", icon=":material/tune:")
            for name in budgets(settings):
                settings[name] = table[name].draw(**_TYPED)
            st.header("Repeats", icon=":material/casino:")
            settings["seeds"] = table["seeds"].draw(**_TYPED)
        with grid.cell():
            place = st.container()
            if streams:
                settings |= prune_language.calibration(table, _one(settings), published=False)
            settings |= prune_form.scope(table, subject, streams=streams) | prune_form.measuring(table)
            with st.expander("Device", icon=":material/memory:"):
                settings["device"] = table["device"].draw()
    _write(table, subject, settings)
    return settings, place


def fill_in() -> list[LinkError]:
    """Fill in the form as the address says, if it says something new; what cannot be is returned.

    Call it before any widget of the form.
    """
    said = FORM.news()
    if said is None:
        return []
    table, found, wrong = prune_form.read(said, fields, uses_text)
    address.fill(table, found)
    return wrong


def fields(subject: Subject, *, streams: bool) -> Table:
    """Every setting of the form for that model, by its name.

    Args:
        streams: some point runs the model on text, so that some settings have widgets of their own.
    """
    names = prune_form.methods_for(subject)
    each = "Of each row." if subject.rest == "base" else "Of all pruned matrices together."
    found = [
        _ways(subject, "methods", usual_methods(subject), names, method_label, _LINES),
        row(
            SweepSpec,
            "keeps",
            "tradeoff_keeps",
            usual=shares(USUAL_SHARES),
            options=SHARES,
            typed=True,
            quiet=False,
            one=_share,
            word=percent,
            wanted="shares above 0 and up to 1 with commas between them",
            help=f"One point of each line for each share. Others can be typed, such as 33.3 %. {each}",
        ),
        row(
            SweepSpec,
            "bits",
            "tradeoff_bits",
            usual=USUAL_BITS,
            options=BITS,
            typed=True,
            quiet=False,
            one=_bits,
            word="{:.15g}".format,
            wanted=f"numbers above 0 and up to {MOST_BITS:g} with commas between them",
            help="Of the whole file, for each weight of the model. Others can be typed.",
        ),
        row(
            SweepSpec,
            "seeds",
            "tradeoff_seeds",
            options=("0", "1", "2", "3", "4"),
            typed=True,
            quiet=False,
            one=_seed,
            wanted="whole numbers with commas between them, 0 or more and below 2**63",
        ),
    ]
    if subject.language:
        found.append(_ways(subject, "allocations", (UNIFORM,), tuple(ALLOCATIONS), allocation_label))
    if subject.rest == "base":
        found.append(_ways(subject, "rescales", ("none",), RESCALES, wording.RESCALES.__getitem__))
    return {field.name: field for field in found} | prune_form.shared_fields(subject, streams=streams)


def uses_text(settings: Mapping[str, Any]) -> bool:
    """Whether some point runs the model on text."""
    return any(METHODS[name].activations for name in settings["methods"]) or bool(
        set(settings.get("allocations", ())) - {UNIFORM}
    )


def budgets(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What is asked for besides: shares where some method keeps weights, sizes where some method codes differences."""
    coded = {METHODS[name].coded for name in settings["methods"]}
    return tuple(name for name, wanted in (("keeps", coded != {True}), ("bits", True in coded)) if wanted)


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


def sizes_of(words: Sequence[str]) -> tuple[float, ...]:
    """Bits per weight as they were typed.

    Raises:
        SpecError: something that is not such a number.
    """
    try:
        return tuple(map(_bits, words))
    except ValueError:
        raise SpecError(
            "bits per weight",
            got=", ".join(words),
            wanted=f"numbers above 0 and up to {MOST_BITS:g}, such as 0.5",
            remedy="Remove what is none, or type a number.",
        ) from None


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


def _ways(
    subject: Subject,
    name: str,
    usual: tuple[str, ...],
    options: tuple[str, ...],
    labels: Callable[[str], str],
    help: str | None = None,
) -> Field:
    """Methods, allocations or rescalings: some words of these."""
    key = f"tradeoff_{name}_{subject.kind}_{subject.rest}"
    return row(SweepSpec, name, key, usual=usual, options=options, labels=labels, help=help, quiet=False)


_LINES: Final = "One line in the chart for each, with each allocation and each rescaling."
_TYPED: Final[dict[str, Any]] = {"filter_mode": "prefix", "select_all": False}


def _one(settings: Mapping[str, Any]) -> dict[str, str]:
    """What only some points need is asked for if any does: the allocation that asks most."""
    allocations = settings.get("allocations") or [UNIFORM]
    searched = [name for name in reversed(ALLOCATIONS) if ALLOCATIONS[name].searched and name in allocations]
    return {"allocation": (*searched, UNIFORM)[0]}


def _write(table: Table, subject: Subject, settings: Mapping[str, Any]) -> None:
    """Put the settings into the address, those that are not as usual; of lists what can be."""
    lists = {name: tuple(settings[name]) for name in ("methods", "allocations", "rescales") if name in settings}
    readers = {"keeps": lambda word: _share(str(share(word))), "bits": _bits}
    lists |= {name: _good(settings[name], readers[name]) for name in budgets(settings)}
    lists["seeds"] = _good(settings["seeds"], _seed)
    said = prune_form.say(table, subject, {**settings, **lists})
    FORM.write(said, **({"view": "new"} if said else {}))


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError(text)
    return value


def _bits(text: str) -> float:
    value = float(text.replace(",", "."))
    if not 0 < value <= MOST_BITS:
        raise ValueError(text)
    return value


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise ValueError(text)
    return int(text)


def _good(typed: Sequence[str], one: Callable[[str], Any]) -> tuple[Any, ...]:
    """What was typed, without what cannot be: the form says that itself."""
    found = {}
    for word in typed:
        try:
            found[one(word)] = word
        except (SpecError, ValueError):
            continue
    return tuple(found)


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
    sizes = {"keeps": shares, "bits": sizes_of}
    return SweepSpec.from_dict(
        settings | {name: sizes[name](settings[name]) for name in budgets(settings)} | {"seeds": seeds}
    )


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
        start(settings | {name: getattr(spec, name) for name in (*budgets(settings), "seeds")})


def _skipped_table(skipped: tuple[Skipped, ...]) -> None:
    shown = skipped_ways(skipped)
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
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
