"""A prepared form: the settings of a new sweep in its address, by the names of `SweepSpec`.

    tradeoff?view=new&model=demo-lm&methods=wanda,random&keeps=0.5,0.25&seeds=0,1

As `app.forms.prepared` has it for one pruning. The words are in the address only while the form is
shown, and with them ``view=new``, so that a link opens the form also where there are sweeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.forms import fields as form_address
from app.forms import prepared_model, prune_language
from app.forms import prune as prune_form
from app.forms import sweep as tradeoff_form
from app.forms.fields import Table
from app.forms.prune import Subject
from app.forms.sweep import FORM
from app.frame import links
from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.errors import SpecError
from kencore.settings.prune import RESCALES


def fill_in() -> list[links.LinkError]:
    """Fill in the form as the address says, if it says something new; what cannot be is returned.

    Call it before any widget of the form.
    """
    said = FORM.news()
    if said is None:
        return []
    table, found, wrong = prepared_model.read(said, fields, tradeoff_form.uses_text)
    form_address.fill(table, found)
    return wrong


def write(subject: Subject, settings: Mapping[str, Any]) -> None:
    """Put the form's settings into the address, those that are not as usual; of lists what can
    be."""
    table = fields(subject, streams=tradeoff_form.uses_text(settings))
    lists = {name: tuple(settings[name]) for name in ("methods", "allocations", "rescales") if name in settings}
    lists["keeps"] = _good(settings["keeps"], lambda word: _share(str(tradeoff_form.share(word))))
    lists["seeds"] = _good(settings["seeds"], _seed)
    said = prepared_model.say(table, subject, {**settings, **lists})
    FORM.write(said, **({"view": "new"} if said else {}))


def fields(subject: Subject, *, streams: bool) -> Table:
    """Every setting of the form for that model, by its name in the address.

    Args:
        streams: some point runs the model on text, so that some settings have widgets of their own.
    """
    own = f"{subject.kind}_{subject.rest}"
    found = {
        "methods": _words("methods", own, tradeoff_form.usual_methods(subject), prune_form.methods_for(subject)),
        "keeps": form_address.several(
            "keeps",
            "tradeoff_keeps",
            tradeoff_form.shares(tradeoff_form.USUAL_SHARES),
            "shares above 0 and up to 1 with commas between them",
            one=_share,
            shown=tradeoff_form.percent,
        ),
        "seeds": form_address.several(
            "seeds",
            "tradeoff_seeds",
            (0,),
            "whole numbers with commas between them, 0 or more and below 2**63",
            one=_seed,
        ),
    } | prepared_model.shared(subject, streams=streams)
    if prune_language.offered(subject):
        found["allocations"] = _words("allocations", own, (UNIFORM,), tuple(ALLOCATIONS))
    if subject.rest == "base":
        found["rescales"] = _words("rescales", own, ("none",), RESCALES)
    return found


def _words(name: str, own: str, usual: tuple[str, ...], options: tuple[str, ...]) -> form_address.Field:
    return form_address.several(
        name,
        f"tradeoff_{name}_{own}",
        usual,
        f"some, with commas between them, of {', '.join(options)}",
        one=form_address.one_of(options),
    )


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
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
