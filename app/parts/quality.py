"""The quality of a run on its overview: cards, chart, and how to measure what is missing."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app.charts import perplexity, quality
from app.frame import choosing, links, state
from app.frame.draw import draw
from app.jobs import panel
from app.jobs import submit as submitting
from kencore.errors import KencoreError
from kencore.settings.common import TABLE_FILE, TEXT_FILE
from kencore.settings.demo import data_of
from kencore.words import cards, measured
from kencore.words import numbers as wording
from kencore.words import run as facts

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.words.palette import Palette

QUIET: Final[dict[str, Any]] = {"delta_color": "off", "delta_arrow": "off", "border": True, "height": "stretch"}


def card(number: cards.Number) -> None:
    """One number in a frame."""
    st.metric(
        state.plain(number.label),
        state.plain(number.value),
        state.plain(number.below) if number.below else number.below,
        delta_description=state.plain(number.beside) if number.beside else number.beside,
        help=state.plain(number.explained),
        **QUIET,
    )


def before_and_after(run: Run) -> None:
    """A card: accuracy, similarity or perplexity of the dense and of the pruned model."""
    if "dense" in run.metrics:
        card(cards.quality(run.metrics))
        return
    st.metric(
        "Quality",
        "not measured",
        "measure it below",
        help="Measure it on text or labeled sentences, under “What it cost”.",
        **QUIET,
    )


def baseline(run: Run) -> None:
    """A card: the best of the other rules at the same budget."""
    if run.metrics.get("baselines"):
        card(cards.baseline(run.metrics, run.spec.method))
        return
    st.metric(
        "Baselines",
        "not measured",
        "measure them below",
        help="Shows whether another rule does better at the same budget. Measure under “What it cost”.",
        **QUIET,
    )


def what_it_cost(run: Run, palette: Palette) -> None:
    """The chart of what was measured, and how to measure what was not."""
    found = run.metrics
    if "dense" not in found:
        _not_measured(run)
        return
    language = facts.is_language(found)
    if language:
        draw(perplexity.perplexity_dots(found, run.spec.method, palette), key="quality")
    else:
        draw(quality.quality_dots(found, run.spec.method, palette, _measure_shown(found)), key="quality")
    if (near := facts.near(found)) is not None:
        st.caption(state.plain(near))
    if found.get("baselines"):
        st.caption(f"Other rules: {'at least as many bytes' if run.spec.coded else 'same budget'}, same data.")
    elif run.spec.coded:
        st.caption("No other rule was measured beside this run. Compare lays another run beside it.")
    else:
        _without_baselines(run)


def _measure_shown(found: dict[str, Any]) -> str:
    """Which measure the chart is of: chosen here, kept in the address."""
    known = measured.scores(found)
    if len(known) < 2:
        return facts.share_name(found)
    with state.messages():
        return choosing.view("score", known, "accuracy", label="Measure")


def figures(run: Run) -> None:
    """Every figure of the run itself with its interval, and whether its change may be chance."""
    found = run.metrics
    language = facts.is_language(found)
    st.table(
        _columns(found, language),
        border="horizontal",
        alt="Every measured figure of the dense and the pruned model, with 95 % intervals",
    )
    if (said := measured.change(found["pruned"], found.get("examples"))) is not None:
        st.markdown(state.plain(f"{said}."))
    where = cards.windows(found) if language else str(found.get("data", ""))
    st.caption(f"Measured on {state.plain(where)}.")
    if not language:
        st.caption(state.plain(measured.explained(found)))
    elif "perplexity_low" in found["pruned"]:
        st.caption("In brackets: 95 % intervals, from the spread over windows.")


def _columns(found: dict[str, Any], language: bool) -> pd.DataFrame:
    """Measures down, models across."""
    tuned = "untuned" in found
    models = {"dense": "Dense"} | ({"untuned": "Before recovery"} if tuned else {})
    models["pruned"] = "After recovery" if tuned else "This run"
    table = {}
    for step, label in models.items():
        one = found[step]
        if language:
            cells = {"Perplexity": measured.perplexity(one), "Loss (nats)": f"{one['nll']:.3f}"}
        else:
            cells = {text: measured.score(one, name) for name, text in measured.scores(found).items() if name in one}
            cells |= {"Loss (nats)": f"{one['loss']:.3f}"} if "loss" in one else {}
        if (near := facts.nearness_of(one)) is not None:
            cells |= {"Same answers": wording.percent(near[1]), "KL (nats)": f"{near[0]:.2g}"}
        table[label] = cells
    return pd.DataFrame(table).fillna("")


def _not_measured(run: Run) -> None:
    st.markdown("**Quality was not measured**")
    st.caption("Quality and baselines at the same budget are measured together.")
    if _learned(run):
        return
    _measure(run, data_of(run.spec.model) or ("pydoc" if run.spec.streams else ""))


def _learned(run: Run) -> bool:
    """Whether the run was tuned after pruning: then it must not be measured on just any data."""
    if not run.record.get("tuned"):
        return False
    st.caption(
        ":material/info: This run learned from data after pruning. Recover again with what is missing, or run "
        "`python -m kencore evaluate` on unseen data."
    )
    return True


def _without_baselines(run: Run) -> None:
    st.markdown("**Baselines were not measured**")
    if _learned(run):
        return
    st.caption("Shows whether another rule does better at the same budget. Measures this run again, too.")
    _measure(run, str(run.metrics.get("data") or ""))


def _measure(run: Run, data: str) -> None:
    language = run.language
    title = "Text to predict" if language else "Labeled sentences"
    data = st.text_input(
        title,
        data,
        key="overview_data",
        persist_state="session",
        placeholder="pydoc, wikitext2, or path of a text file" if language else f"path of a {TABLE_FILE}",
        help=f"pydoc: Python's own help texts. Or a {TEXT_FILE} on the machine that runs KEN_viz."
        if language
        else "A file on the machine that runs KEN_viz with columns sentence and label, or demo for the demo's "
        "sentences. For a language model: a text; for an encoder without a head: sentences, one a line.",
    )
    if st.button("Measure now", icon=":material/straighten:", disabled=not data.strip()):
        params = {"model": run.id, "examples": data.strip(), "baselines": True, "save": True}
        try:
            links.write(job=submitting.submit_once("evaluate", params))
        except KencoreError as error:
            state.show_error(error)
    if (job := links.value("job")) is not None:
        panel.show(job)
    with st.expander("From the command line", icon=":material/terminal:"):
        named = shlex.quote(data.strip() or ("pydoc" if language else "sentences.tsv"))
        st.code(f"python -m kencore evaluate {shlex.quote(run.id)} --data {named} --baselines --save", "bash")
