"""Sections of the trade-off page: how a sweep goes, its chart, its tables, what to make of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app.app_pages.tradeoff import sweeps as tradeoff_sweeps
from app.charts import tradeoff as charts
from app.charts import tradeoff_data as tradeoff_curves
from app.charts import tradeoff_words
from app.charts.base import lines
from app.forms import sweep as tradeoff_form
from app.frame import choosing, links, parts, state, theme, veil
from app.frame.draw import csv_button, draw
from app.jobs import panel
from kencore.errors import KencoreError, SweepNotFoundError
from kencore.methods.table import method_label
from kencore.runs.reading import read_files
from kencore.settings.source import same_source
from kencore.sweeps.pairs import could_be_chance
from kencore.sweeps.places import point_folder
from kencore.views import tradeoff
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words import sweep as sweep_words

if TYPE_CHECKING:
    from app.charts.tradeoff_data import Curves, Measure
    from kencore.sweeps.shelf import Sweep

POLL_SECONDS: Final = 2.0
SIZES: Final = {"share": "Share", "bytes": "Bytes"}
LOW, HIGH = "95 % from", "95 % to"
SCALES: Final = {"linear": "Linear", "log": "Log"}
EXPLAINED: Final = "A sweep prunes one model in several ways to several sizes and measures each on the same data."


def nothing_yet() -> None:
    """Two sentences, and a sweep that starts with one click."""
    st.markdown(EXPLAINED)
    methods = tradeoff_form.DEMO["methods"]
    named = ", ".join(method_label(name) for name in methods)
    number = len(methods) * len(tradeoff_form.DEMO["keeps"])
    if st.button(
        "Sweep the demo",
        type="primary",
        icon=":material/play_arrow:",
        key="tradeoff-demo",
        help=f"{number} prunings of the demo encoder: {named}, at five sizes each. Under a minute on two free cores.",
    ):
        tradeoff_form.start(tradeoff_form.DEMO)
    st.header("Or choose what to compare")


def results(sweep: str, *, listed: bool) -> None:
    """Everything about one sweep; read again while something works on it.

    Args:
        listed: whether the page's box of sweeps has it; one that has just begun is not there yet.
    """
    job = tradeoff_sweeps.job_of(sweep)
    try:
        found = tradeoff_sweeps.opened(sweep)
        live = (job is not None and job.live) or found.running
    except SweepNotFoundError as error:
        if job is None or not (job.live or job.state == "failed"):
            links.forget("sweep")
            state.show_error(error)
            return
        live = job.live
    except KencoreError as error:
        state.show_error(error)
        return
    if job is not None and (job.live or job.state == "failed"):
        panel.show(job.id)
    st.fragment(_results, run_every=POLL_SECONDS if live else None)(sweep, live, listed)


def _results(sweep: str, was_live: bool, listed: bool) -> None:
    try:
        found = tradeoff_sweeps.opened(sweep)
    except SweepNotFoundError:
        st.caption("Points appear here as they finish.")
        return
    job = tradeoff_sweeps.job_of(sweep)
    live = found.running or (job is not None and job.live)
    if (was_live and not live) or not listed:
        st.rerun()
    _whose(found)
    _how_far(found, live)
    parts.notes(found.notes)
    measures = tradeoff_curves.measures(found.points)
    if not found.points["quality"].notna().any():
        st.info(
            "No point is measured yet."
            if found.spec.evaluation is not None
            else "This sweep measured nothing, so there is no curve. Its runs are in the table below."
        )
    else:
        left = found.progress["planned"] - found.progress["done"]
        _curve(found, measures, f"Waits for {wording.plural(left, 'point')}" if live and left else None)
    _points(found)
    _note(found)


# --- how it goes ------------------------------------------------------------------------------


def _whose(sweep: Sweep) -> None:
    """Say whose quality is drawn where it is not that of the run in the sidebar."""
    try:
        run = state.current_run()
    except KencoreError:
        return
    if not same_source(run.spec.model, sweep.spec.model):
        own, other = (facts.model_title(spec.model) for spec in (sweep.spec, run.spec))
        st.info(f"This sweep is of {state.plain(own)}; the run in the sidebar is of {state.plain(other)}.")


def _how_far(sweep: Sweep, live: bool) -> None:
    """Counts of points, and how to continue with what is missing."""
    counts = sweep.progress
    said = [f"{counts['done']} of {wording.plural(counts['planned'], 'point')} done"]
    said += [f"{counts['failed']} failed"] if counts["failed"] else []
    said += [f"{counts['missing']} missing"] if counts["missing"] and not live else []
    skipped = sweep.skipped
    if skipped:
        said.append(f"{wording.plural(len(skipped), 'combination')} not possible")
    left = counts["planned"] - counts["done"]
    if not left:
        st.caption(state.plain(" · ".join(said)))
    elif live:
        st.caption(state.plain(" · ".join(said) + " · points appear as they finish"))
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(
                state.plain(" · ".join(said)) + ". Finished points stay; only the rest is computed.", width="stretch"
            )
            if st.button(
                f"Continue with {left}",
                icon=":material/play_arrow:",
                key="tradeoff-go-on",
                help="Starts the same settings again; failed points are retried.",
            ):
                tradeoff_form.start(json.loads(sweep.spec.to_json()))
    if skipped:
        with st.expander("What is not possible, and why", icon=":material/block:"):
            st.dataframe(
                tradeoff_form.skipped_ways(skipped),
                hide_index=True,
                placeholder="–",
                column_config={"Why": st.column_config.TextColumn(width="large")},
                alt="Impossible combinations, each with the reason",
            )


# --- the chart and the best -------------------------------------------------------------------


def _curve(sweep: Sweep, measures: dict[str, Measure], waits: str | None) -> None:
    usual = next(iter(measures))
    try:
        with st.container(horizontal=True, vertical_alignment="center"):
            which = choosing.view(
                "measure", {name: _capital(one.label) for name, one in measures.items()}, usual, label="Quality"
            )
            size = choosing.view("size", SIZES, _usual_size(sweep), label="Size")
            scale = choosing.view("scale", SCALES, "linear", label="Size axis")
            beside = len(sweep.baselines) > 0 and _with_baselines()
    except links.LinkError as error:
        state.show_error(error)
        return
    found = tradeoff_curves.curves(
        sweep,
        measures[which],
        baselines=beside,
        base=tradeoff_sweeps.base_quality(sweep),
        sizes=tradeoff_sweeps.sizes(sweep) if size == "bytes" else None,
    )
    drawn: charts.Size = "bytes" if size == "bytes" else "share"
    chart = charts.quality_by_size(found, theme.palette(), size=drawn, log=scale == "log")
    draw(chart, key=f"tradeoff-{which}-{size}-{scale}", custom=_open)
    st.caption(
        ("Shaded or barred: 95 % intervals. " if found.table["value_low"].notna().any() else "")
        + "Wide gray line: Pareto front. Rings: knees"
        + (". Thin lines: baselines" if found.table["baseline"].any() else "")
        + ". Click a point to open its run."
    )
    st.header("Best way for each budget")
    with veil.over(waits, "best"):
        _best(found)


def _usual_size(sweep: Sweep) -> str:
    """A share of weights says nothing of coded differences."""
    return "bytes" if sweep.spec.bits or sweep.spec.bytes else "share"


def _with_baselines() -> bool:
    shown = links.choice("show_baselines", ("on", "off"), "on")
    st.session_state["tradeoff_baselines"] = shown == "on"

    def changed() -> None:
        hidden = not st.session_state["tradeoff_baselines"]
        links.write(show_baselines="off" if hidden else None)

    return st.toggle("Baselines", key="tradeoff_baselines", on_change=changed)


def _open(run: Any) -> None:
    run = run[0] if isinstance(run, (list, tuple)) else run
    if run:
        links.go("overview", run=run, matrix=None)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _best(curves: Curves) -> None:
    """The best way at each budget, and who cannot be told from it."""
    st.table(
        best_table(curves),
        border="horizontal",
        hide_index=True,
        alt="The best way to prune for each budget, and its ties",
    )
    st.caption(
        "Tied: compared in pairs on the same data, the difference could be chance (McNemar, p ≥ .05, or a 95 % "
        "interval that includes zero). Without pairs: the interval of the difference by Newcombe includes zero."
        if curves.table["value_low"].notna().any()
        else "This measure has no intervals here, so only exact ties are shown."
    )


def best_table(curves: Curves) -> pd.DataFrame:
    """`kencore.views.tradeoff.best_per_budget` in words."""
    say = curves.measure.say
    by_key = {(line.name, line.budget): line for line in lines(curves.table)}
    shown = []
    for best in lines(tradeoff.best_per_budget(curves.table, could_be_chance)):
        budget = sweep_words.budget(best)
        line = by_key[best.best, budget]
        interval = "" if pd.isna(line.value_low) else f"{say(line.value_low)} to {say(line.value_high)}"
        shown.append(
            {
                "Budget": budget,
                "Best": curves.ways[best.best].label,
                _capital(curves.measure.label): say(line.value),
                "95 % interval": interval,
                "Tied with it": ", ".join(curves.ways[name].label for name in best.tied) or "none",
            }
        )
    table = pd.DataFrame(shown)
    return table if table["95 % interval"].any() else table.drop(columns="95 % interval")


# --- every point ------------------------------------------------------------------------------


def _points(sweep: Sweep) -> None:
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.header("Every point", width="stretch")
        csv_button(lambda: sweep.points.to_csv(index=False).encode(), f"sweep-{sweep.id}", key="tradeoff-points-csv")
    table = points_table(sweep)
    plain = st.column_config.NumberColumn(format="%.2f")
    percent = st.column_config.NumberColumn(format="%.1f %%")
    bounds = plain if "Perplexity" in table else percent
    st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        alt="Every point of the sweep, with a link to its run",
        height="content" if len(table) < 12 else 420,
        column_config={
            "Kept": percent,
            "Bits": st.column_config.NumberColumn(format="%.3g", help="Asked for: of each weight of the model."),
            "Bytes": st.column_config.NumberColumn(format="bytes", help="Asked for: of the file."),
            "Accuracy": percent,
            "Similarity": percent,
            "Macro F1": percent,
            LOW: bounds,
            HIGH: bounds,
            "Perplexity": plain,
            "Loss": st.column_config.NumberColumn(format="%.4f"),
            "Kept part": st.column_config.NumberColumn(format="bytes", help="Kept values and one bit per weight."),
            "Took": st.column_config.NumberColumn(format="%.1f s", help="Without shared work"),
            "Open": st.column_config.LinkColumn(display_text="run", width="small"),
        },
    )
    failed = sweep.points[sweep.points["state"] == "failed"]
    if len(failed):
        st.markdown(f"**{wording.plural(len(failed), 'point')} failed**")
        for reason, part in failed.groupby("reason", sort=False):
            names = ", ".join(_point_words(line) for line in lines(part))
            st.caption(f":material/error: {state.plain(names)}: {state.plain(str(reason))}")


def points_table(sweep: Sweep) -> pd.DataFrame:
    """One line per point that is done or failed, with names for people; columns that none of them
    fills are left out.
    """
    table = sweep.points[sweep.points["state"] != "missing"]
    specs = [sweep.plan[run] for run in table["run"]]
    quality = next(iter(table["metric"].dropna()), "accuracy").capitalize()
    scale = 1 if quality == "Perplexity" else 100
    shown = pd.DataFrame(
        {
            "Way": [wording.method(spec) for spec in specs],
            "Kept": 100 * table["keep"],
            "k": table["k"],
            "Bits": table["bits"],
            "Bytes": table["bytes"],
            "Seed": table["seed"],
            "State": table["state"],
            quality: scale * table["quality"],
            LOW: scale * table["low"],
            HIGH: scale * table["high"],
            "Macro F1": 100 * table["f1_macro"],
            "Loss": table["loss"],
            "Kept part": table["bytes_stored"],
            "Took": table["seconds"],
            "Open": [links.link("overview", run=line.run) if line.state == "done" else None for line in lines(table)],
        }
    )
    return shown.dropna(axis="columns", how="all")


def _point_words(line: Any) -> str:
    budget = sweep_words.budget(line)
    name = tradeoff.way(line.method, line.allocation, line.rescale)
    return f"{name} at {budget}, seed {line.seed}"


# --- what to make of it -----------------------------------------------------------------------


def _note(sweep: Sweep) -> None:
    st.header("About these numbers")
    st.caption(state.plain(tradeoff_words.note(sweep, _metrics(sweep))))


def _metrics(sweep: Sweep) -> dict[str, Any]:
    for run in sweep.points.loc[sweep.points["quality"].notna(), "run"]:
        try:
            files = read_files(point_folder(run), "metrics.json")
        except KencoreError:
            continue
        found: dict[str, Any] = files["metrics.json"]
        return found
    return {}
