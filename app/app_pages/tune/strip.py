"""The strip of sliders: how much is kept, by which rule, and a balance of roles and blocks; of coded differences how
large the file may be.

A browser script (`strip.js`): each move paints the map and asks for its totals; Python hears
of a setting when the sliders rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app import viewer
from kencore.allocate.balance import parse_balance
from kencore.allocate.table import ALLOCATIONS
from kencore.live import setting as retune
from kencore.methods.table import METHODS, method_label, rules
from kencore.settings.fields import settings_of
from kencore.settings.prune import PruneSpec
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

    from kencore.live.setting import Setting
    from kencore.runs.run import Run

ART: Final = Path(__file__).resolve().parent
KEY: Final = "tune-strip"
LAMBDAS: Final = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.25)
BALANCE: Final = "Each slider multiplies a share; all shares are then scaled to hold the total."


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component(
        "kenviz.tune",
        html='<div class="strip" data-testid="tune-strip"></div>',
        css=(ART / "strip.css").read_text("utf-8"),
        js=(ART / "strip.js").read_text("utf-8"),
    )


def strip(run: Run, matrix: str, setting: Setting, *, due: str | None, on_rest: Callable[[], None]) -> None:
    """Draw the sliders at a setting.

    Args:
        due: what the picture of another setting waits for; ``None``: the open matrix is painted at every move.
        on_rest: called when the sliders rest at another setting, see `rested`.
    """
    _mount()(key=KEY, data=strip_data(run, matrix, setting, due=due), on_setting_change=on_rest)


def rested() -> str | None:
    """The setting that the sliders rest at, as text."""
    found: Any = (st.session_state.get(KEY) or {}).get("setting")
    return None if found is None else str(found)


def strip_data(run: Run, matrix: str, setting: Setting, *, due: str | None) -> dict[str, Any]:
    """What the script is given."""
    spec, own = run.spec, retune.own_setting(run)
    names = retune.balance_names(run)
    whole = spec.exact
    return {
        "api": viewer.api(),
        "run": run.id,
        "matrix": matrix,
        "live": due is None,
        "text": setting.text,
        "own": own.text,
        "setting": {
            "keep": setting.keep,
            "k": setting.k,
            "bits": setting.bits,
            "rule": setting.method,
            "slope": setting.block_lambda,
            "spread": setting.row_lambda,
            "balance": parse_balance(setting.balance),
        },
        "own_rule": spec.method,
        "rules": [[rule, method_label(rule)] for rule in _rules(run)],
        "most": 0 if spec.streams or spec.coded else int(run.matrices["cols"].max()),
        "bits": settings_of(PruneSpec)["bits"].offered if spec.coded else None,
        "balance": not (spec.published or spec.coded),
        "open": bool(setting.balance),
        "groups": [
            {"title": title, "names": [_named(kind, name) for name in names[kind]]}
            for kind, title in (("role", "Roles"), ("block", "Blocks"))
            if len(names[kind]) > 1
        ],
        **_lambdas(run),
        "words": {
            "share": "% of all prunable weights" if whole else "% of each row",
            "k": "weights per row",
            "bits": "bits per weight",
            "due": due,
            "balance": BALANCE,
            "slope": "Slope over blocks",
            "spread": "Spread over rows",
        },
    }


def _rules(run: Run) -> tuple[str, ...]:
    """The rules that the run's own can be replaced by without a model."""
    if run.spec.streams or METHODS[run.spec.method].rule is None:
        return ()
    paired = run.restore == "base"
    return tuple(rule for rule in rules() if paired or not METHODS[rule].needs_base)


def _named(kind: str, name: str) -> list[str]:
    """The name of a balance slider, what stands above it, and what it is called."""
    if kind == "role":
        return [name, wording.ROLES.get(name, name), wording.ROLES_EXPLAINED.get(name, name)]
    stack, _, number = name.rpartition(".")
    label = wording.block_label(int(number.removeprefix("b")), stack, bool(stack))
    return [name, name, label]


def _lambdas(run: Run) -> dict[str, Any]:
    """The sliders of a run with lambdas, NeuroAL's: lambdas with what the run's search measured at each."""
    spec = run.spec
    found: dict[str, Any] = {}
    for name, step, trace in (("slope", "block", "block_search"), ("spread", "row", "row_search")):
        used = "step" in ALLOCATIONS[spec.allocation].options and spec.step in (step, "both") and not spec.published
        searched = (run.trace or {}).get(trace) or {}
        costs = dict(zip(searched.get("lambdas") or (), searched.get("costs") or (), strict=False))
        best = min((cost for cost in costs.values() if cost), default=None)
        found[f"{name}s"] = [
            {"value": value, "note": _note(costs.get(value), best)}
            for value in (sorted({*LAMBDAS, *costs}) if used else ())
        ]
        found[f"own_{name}"] = searched.get("chosen", 0.0)
    return found


def _note(cost: float | None, best: float | None) -> str:
    if cost is None or not best:
        return ""
    return ", least cost" if cost == best else f", cost +{100 * (cost / best - 1):.1f} %"
