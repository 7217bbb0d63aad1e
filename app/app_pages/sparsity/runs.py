"""Which runs the sparsity page lays side by side, and what they cost in quality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import pandas as pd
import streamlit as st

from app.charts import depth
from app.frame import links, parts, state
from kencore.allocate.table import UNIFORM
from kencore.errors import KencoreError
from kencore.models.figures import measure_of
from kencore.views import sparsity
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.palette import RUNS

if TYPE_CHECKING:
    from kencore.runs.run import Run

BESIDE: Final = 3  # runs beside the open one
_ORDER: Final = ("Run", "Not kept", "Measure", "Dense", "Pruned", "Note")


def choose_beside(run: Run) -> list[Run]:
    """The runs beside the open one: chosen here, named in the address; a bad id is said."""
    usable = {found.id: found for found in state.runs() if found.problem is None}
    usable.pop(run.id, None)
    asked = _asked(run.id)
    good = [name for name in asked if name in usable][:BESIDE]
    st.session_state["sparsity_compare"] = good

    def chosen() -> None:
        names = st.session_state["sparsity_compare"]
        links.write(compare=",".join(quote(name, safe="") for name in names) or None)

    labels = parts.told_apart({name: found.label for name, found in usable.items()})
    st.multiselect(
        "Compare with",
        list(usable),
        key="sparsity_compare",
        format_func=labels.__getitem__,
        on_change=chosen,
        max_selections=BESIDE,
        disabled=not usable,
        placeholder="Choose up to three more runs" if usable else "No other run yet",
    )
    _say_unknown([name for name in asked if name not in usable], len(asked))
    return [found for name in good if (found := _opened(name)) is not None]


def _asked(own: str) -> list[str]:
    """The ids in the address, each once, without the open run's own."""
    words = (unquote(word) for word in (links.value("compare") or "").split(","))
    return [word for word in dict.fromkeys(words) if word and word != own]


def _say_unknown(unknown: list[str], number: int) -> None:
    if unknown:
        state.show_error(
            links.LinkError(
                "compare in the address",
                got=", ".join(map(repr, unknown)),
                wanted="ids of finished runs, separated by commas",
                remedy="They may have been deleted. Choose runs from the list.",
            )
        )
    if number - len(unknown) > BESIDE:
        state.show_error(
            links.LinkError(
                "compare in the address",
                got=f"{number} runs",
                wanted=f"at most {BESIDE}",
                remedy="The first ones are shown.",
            )
        )


def _opened(name: str) -> Run | None:
    try:
        return state.open_cached(name)
    except KencoreError as error:
        state.show_error(error)
        return None


def depths(runs: list[Run]) -> list[depth.Depth]:
    """Each run over depth, with its color and mark; runs without blocks are left out."""
    labels = facts.short_labels({run.id: run.spec for run in runs})
    found = []
    for run, color, symbol in zip(runs, RUNS, depth.SYMBOLS, strict=False):
        blocks = sparsity.by_block(run.matrices)
        if len(blocks):
            found.append(
                depth.Depth(
                    label=labels[run.id],
                    color=color,
                    symbol=symbol,
                    blocks=blocks,
                    target=target(run),
                    level="whole model" if run.spec.coded else "target",
                )
            )
    return found


def target(run: Run) -> float:
    """The sparsity asked for; with a number per row, or whole rows, what it came to."""
    if run.spec.exact and run.spec.sparsity is not None:
        return run.spec.sparsity
    gone, params = sparsity.overall(run.matrices)
    return gone / params if params else 0.0


def title(run: Run) -> str:
    """How the run spreads its sparsity, in one sentence."""
    blocks = sparsity.by_block(run.matrices)
    gone, params = sparsity.overall(run.matrices)
    if not params:
        return "Nothing was pruned"
    whole = wording.short_percent(gone / params)
    name = wording.method(run.spec)
    if run.spec.coded:
        said = f"{name}: {whole} of the weights stay at the base's value"
        if blocks.empty or sparsity.alike(blocks):
            return said
        low, high = float(blocks["sparsity"].min()), float(blocks["sparsity"].max())
        return f"{said}, {wording.percent(low, 0)} to {wording.percent(high, 0)} over the blocks"
    if blocks.empty:
        return f"{name}: sparsity {whole}"
    if sparsity.alike(blocks):
        return f"{name}: sparsity {whole} in every block"
    low, high = float(blocks["sparsity"].min()), float(blocks["sparsity"].max())
    return f"{name}: sparsity {whole}, {wording.percent(low, 0)} to {wording.percent(high, 0)} over the blocks"


# --- quality ---------------------------------------------------------------------------------


def quality_table(runs: list[Run]) -> pd.DataFrame:
    """One line per run: its exact sparsity, its quality before and after, its baselines."""
    labels = facts.short_labels({run.id: run.spec for run in runs})
    first = runs[0].metrics
    table = [_quality_line(run, labels[run.id], first) for run in runs]
    shown = pd.DataFrame(table).fillna("")
    known = [name for name in _ORDER if name in shown]
    return shown[[*known, *(name for name in shown if name not in _ORDER)]]


def _quality_line(run: Run, label: str, first: dict[str, Any]) -> dict[str, Any]:
    gone, params = sparsity.overall(run.matrices)
    found, at = run.metrics, " at the base's value" if run.spec.coded else ""
    line: dict[str, Any] = {
        "Run": label,
        "Not kept": f"{gone:,} of {params:,} ({wording.percent(gone / params, 3)}){at}" if params else "nothing pruned",
    }
    if not found:
        return line | {"Measure": "not measured"}
    language = facts.is_language(found)
    line |= {
        "Measure": f"{'perplexity ↓' if language else f'{facts.share_name(found)} ↑'} on {_where(found)}",
        "Dense": _score(found["dense"], language),
        "Pruned": _score(found["pruned"], language),
    }
    if first and (why := sparsity.why_not_comparable(first, found)):
        line["Note"] = f"not comparable with the first: {why}"
    for rule, quality in (found.get("baselines") or {}).items():
        line["Uniform" if rule == UNIFORM else wording.baseline(rule)] = _score(quality, language)
    return line


def _where(found: dict[str, Any]) -> str:
    """The data, and of a perplexity the windows, without which it says nothing."""
    data = str(found.get("data", ""))
    if not facts.is_language(found):
        return data
    return f"{data}, {wording.plural(found['windows'], 'window')} of {found['window']:,} tokens"


def _score(found: dict[str, Any], language: bool) -> str:
    if language:
        return facts.perplexity(found["perplexity"])
    return wording.percent(found[measure_of(found)])


def show_quality(runs: list[Run]) -> None:
    """The table, a column for each run, with the sentence that says what can be read off it."""
    table = quality_table(runs)
    # columns of runs: four at most, however many rules were measured beside them
    shown = table.map(state.plain).set_index("Run").T
    st.table(shown, border="horizontal", alt="Quality and exact sparsity of the chosen runs")
    measured = [run for run in runs if run.metrics]
    if not measured:
        st.caption("None of these runs was measured. Measure them on their Overview pages.")
        return
    st.caption(
        "Perplexity: lower is better (↓). Accuracy: higher is better (↑). Other rules: same budget. Uniform: the "
        "run's own rule, the same sparsity everywhere."
    )
    if "Note" in table and table["Note"].astype(bool).any():
        st.caption("Numbers on other data or other windows cannot be compared.")
