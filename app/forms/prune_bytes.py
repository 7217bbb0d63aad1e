"""How large the file of a method that codes differences may be: bits per weight, bytes, or how near its answers come.

Exactly one of these is asked for; the address says which: it is the one that stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import streamlit as st

from app.forms.address import Table
from app.forms.fields import KEEP, Field, Percent, row
from app.forms.model import Subject
from app.frame import state
from kencore.settings.demo import DEMOS, base_of
from kencore.settings.prune import BUDGETS, PruneSpec
from kencore.words import numbers as wording

UNIT: Final = "prune_bytes_unit"
UNITS: Final = {"bits": "Bits per weight", "bytes": "Bytes", "same": "Same answers", "kl": "Divergence"}
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "bits": {"step": 0.05, "format": "%.3g"},
    "bytes": {"step": 10_000},
    "kl": {"step": 0.005, "format": "%.4g"},
    "same": {"step": 1.0, "format": "%.4g", "label": "Same answers, %"},
}
NEAR: Final = {
    "kl": "The smallest file whose answers are at most so far from the tuned model's (mean KL in nats, 0: the same), "
    "as measured on the data below. On the classifiers measured for this project 0.01 nats kept 97 to 98 % of the "
    "answers the same.",
    "same": "The smallest file with which at least this share of the answers is the tuned model's own, as measured on "
    "the data below.",
}


def fields() -> list[Field]:
    """The budgets; bits are asked for where nothing is said."""
    return [
        row(PruneSpec, "bits", "prune_bits", usual=0.25),
        row(PruneSpec, "bytes", "prune_bytes", start=100_000),
        row(PruneSpec, "same", "prune_same", kind=Percent, start=0.97),
        row(PruneSpec, "kl", "prune_kl", start=0.01),
    ]


def fill_in(said: Mapping[str, str], found: Mapping[str, Any]) -> None:
    """Choose the budget that the address names."""
    named = [name for name in BUDGETS if name in said and found.get(name) is not None]
    st.session_state[UNIT] = named[-1] if named else BUDGETS[0]


def budget(table: Table, subject: Subject) -> dict[str, Any]:
    """The widgets, and what was chosen as fields of a `PruneSpec`."""
    st.header("How much", icon=":material/tune:")
    chosen = st.segmented_control(
        "Budget",
        list(UNITS),
        default=BUDGETS[0],
        required=True,
        key=UNIT,
        format_func=UNITS.__getitem__,
        label_visibility="collapsed",
        **KEEP,
    )
    unit = str(chosen or BUDGETS[0])
    asked = table[unit].draw(**LOOKS[unit], persist_state="session", on_change="rerun")
    said = NEAR.get(unit) or f"{_size(unit, asked, weights(subject))} {_expected(unit, asked, table, subject)}".strip()
    if said:
        st.caption(state.plain(said))
    return {"keep": None, "k": None, **dict.fromkeys(BUDGETS), unit: asked}


def _size(unit: str, asked: float, size: int | None) -> str:
    """What the file comes to; nothing where the model's size is not known without asking a network."""
    if size is None:
        return "" if unit == "bytes" else "Inspect says how many weights the model has; a byte has 8 bits."
    if unit == "bytes":
        return f"{8 * asked / size:.3g} bits for each of {wording.count(size)} weights."
    return f"A file of at most {wording.size(int(asked * size / 8))} for {wording.count(size)} weights."


def _expected(unit: str, asked: float, table: Table, subject: Subject) -> str:
    """How near a file of that size will come, by those of this model that were measured."""
    from kencore.runs.shelf import list_runs
    from kencore.views.closeness import of_files
    from kencore.words.spent import expectation

    size, scope = weights(subject), table["scope"]
    if size is None or tuple(st.session_state.get(scope.key) or scope.usual) != tuple(scope.usual):
        return ""  # what is measured codes the whole model
    model = str(subject.fields["model"])
    base = subject.fields.get("base") or base_of(model, method="bytes", rescale="none")
    return expectation(of_files(list_runs(points=True), model, base), asked if unit == "bytes" else asked * size / 8)


def weights(subject: Subject) -> int | None:
    """Weights of the chosen model, by the headers of its files; ``None`` where it is not a demo or a folder."""
    text = str(subject.fields.get("model") or "")
    if text not in DEMOS and not Path(text).expanduser().is_dir():
        return None
    return _weights(text)


@lru_cache(maxsize=16)
def _weights(text: str) -> int | None:
    from kencore.checkpoint.sizes import on_disk
    from kencore.checkpoint.source import resolve
    from kencore.errors import KencoreError

    try:
        found = on_disk(resolve(text).folder)
    except (KencoreError, OSError):
        return None
    return found.elements if found is not None and found.elements else None
