"""The recover page: what a tuning would be, how it goes, and what it won back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.charts import tuning as charts
from app.forms import recover as recover_form
from app.frame import links, parts, state
from app.frame.draw import draw
from app.jobs import panel
from app.parts import quality as quality_parts
from kencore import jobs
from kencore.errors import JobNotFoundError, KencoreError
from kencore.recovery.gap import recovered
from kencore.runs.reading import notes_of
from kencore.words import measured
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.search_and_recover import gap_text
from kencore.words.verdict import points_apart, times

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.words.palette import Palette


def title(run: Run) -> str:
    """What tuning did to the run, or what it is for, in one sentence."""
    told = run.tuning
    if told is None:
        return "Recover what pruning lost"
    text = f"Tuned for {wording.plural(int(told['steps']), 'step')}"
    if "untuned" not in run.metrics:
        return f"{text}; quality not measured"
    name, before, after = _before_after(run.metrics)
    return f"{text}: {name} {before} → {after}"


def _before_after(metrics: dict[str, Any]) -> tuple[str, str, str]:
    steps = (metrics["untuned"], metrics["pruned"])
    if facts.is_language(metrics):
        before, after = (facts.perplexity(step["perplexity"]) for step in steps)
        return "perplexity", before, after
    before, after = (wording.percent(step["accuracy"]) for step in steps)
    return "accuracy", before, after


def what_it_will_be(run: Run) -> None:
    """What is held, what may move, and what it takes."""
    held = run.totals["reset"]
    becomes = "zero" if run.restore == "zero" else "the base's value"
    st.caption(
        f"{wording.exact(held)} of {wording.exact(run.totals['params'])} weights were pruned and stay {becomes}, "
        f"bit for bit. Memory: about {wording.size(recover_form.BYTES * run.totals['params'])}, plus the data."
    )
    if run.tuning is not None:
        st.caption(
            ":material/info: This run was tuned before: keep seed and held-out share, or it may be judged on "
            "data it learned from."
        )


def made_before(run: Run) -> Run | None:
    """The newest run that was recovered from this one; ``None``: there is none."""
    found = [one for one in state.runs() if one.tuned_from == run.id and one.problem is None]
    if not found:
        return None
    try:
        return state.open_cached(max(found, key=lambda one: one.created).id)
    except KencoreError as error:
        state.show_error(error)
        return None


def watch(job_id: str, palette: Palette) -> Run | None:
    """One tune job: how far it is, its curve as it grows; its run once it is there."""
    panel.show(job_id, shown=True)
    try:
        job = jobs.status(job_id)
    except JobNotFoundError:  # the panel says so
        return None
    if job.kind != "tune":
        return None
    if job.state == "succeeded":
        with state.messages():
            return state.open_cached(job_id)
    st.fragment(_curve, run_every=panel.POLL_SECONDS if job.live else None)(job_id, palette)
    return None


def _curve(job_id: str, palette: Palette) -> None:
    found = points(job_id)
    if found:
        draw(charts.curve(found, palette), key="recover-live")


def points(job_id: str) -> list[dict[str, Any]]:
    """The curve of a job so far; of a job that was started again, each step once."""
    told = [event for event in jobs.events(job_id, limit=10_000) if event.kind == "point"]
    by_step = {int(event.data["step"]): event.data for event in told}
    return [by_step[step] for step in sorted(by_step)]


# --- a tuned run -----------------------------------------------------------------------------


def outcome(run: Run, palette: Palette, heading: Callable[..., Any] = st.header) -> None:
    """What a tuned run won back, how it learned and what that did, under headings of that level."""
    told = run.tuning
    assert told is not None
    with st.grid(3, min_column_width=300):
        _quality(run)
        _won_back(run)
        _gap(told)
    with st.grid(2, min_column_width=440, gap="medium") as grid:
        with grid.cell():
            heading("How it learned")
            draw(charts.curve(told["curve"], palette, best=told["best_step"]), key="recover-curve")
        with grid.cell():
            heading("Training data against held-out data")
            draw(charts.gap(told, palette), key="recover-gap")
            st.caption(state.plain(_gap_explained(told)))
    if run.metrics:
        heading("Quality on one set of data")
        quality_parts.figures(run)
    heading("How it was tuned")
    st.table(_how(told), border="horizontal", alt="How the run was tuned")
    parts.notes(notes_of(told, run.metrics))
    _onward(run, told)


def _quality(run: Run) -> None:
    found = run.metrics
    if "untuned" not in found:
        st.metric("Quality", "not measured", "measure it on the Overview", **quality_parts.QUIET)
        return
    name, before, after = _before_after(found)
    if facts.is_language(found):
        dense = facts.perplexity(found["dense"]["perplexity"])
        change = times(found["pruned"]["perplexity"], found["untuned"]["perplexity"], "the pruned model's")
        beside = measured.perplexity_interval(found["pruned"])
    else:
        dense = wording.percent(found["dense"]["accuracy"])
        change = points_apart(found["pruned"]["accuracy"], found["untuned"]["accuracy"], "better", "worse")
        beside = facts.interval(found["pruned"])
    short = [text.removesuffix("\u00a0%") for text in (dense, before)]
    st.metric(
        f"{name.capitalize()}: dense → pruned → tuned",
        " → ".join((*short, after)),
        f"{change} by recovery",
        delta_description=beside,
        help="All on the same data, none of it learned from. In gray: the tuned model's 95 % interval.",
        **quality_parts.QUIET,
    )


def _won_back(run: Run) -> None:
    share, beside = recovered(run.metrics), None
    untuned = run.metrics.get("untuned")
    if untuned is None:
        value, below = "not measured", "no data to measure on"
    elif share is None:
        value, below = "n/a", "pruning lost nothing here"
    else:
        value = wording.percent(share, 0).replace("-", "−")
        below = "of what pruning lost"
        beside = "could be chance" if measured.could_be_chance(untuned) else None
    st.metric(
        "Won back",
        value,
        below,
        delta_description=beside,
        help="(tuned − pruned) / (dense − pruned), of accuracies or nats per token; 100 %: as good as dense. "
        "Where pruning lost little, one or two sentences decide it.",
        **quality_parts.QUIET,
    )


def _gap(told: dict[str, Any]) -> None:
    before, after = told["gap"]["untuned"], told["gap"]["tuned"]
    ends = None
    if "gap_low" in after:
        scale, unit = (1, "nats") if told["task"] == "language" else (100, "points")
        low, high = (f"{scale * after[f'gap_{end}']:+.2g}" for end in ("low", "high"))
        ends = f"{low} to {high} {unit}".replace("-", "−")
    st.metric(
        "Generalization gap, after recovery",
        gap_text(after, told),
        f"{gap_text(before, told)} before",
        delta_description=ends,
        help="How much better the model is on training than on held-out data. In gray: 95 % interval.",
        **quality_parts.QUIET,
    )


def _gap_explained(told: dict[str, Any]) -> str:
    sizes = " and ".join(
        f"{told[side]['count']:,} {what}" for side, what in (("train", "learned from"), ("held_out", "held out"))
    )
    unit = "windows" if told["task"] == "language" else "sentences"
    return (
        f"At most {told['spec']['sample']:,} of each, of {sizes} ({unit}). Held-out data chose the kept step, "
        "which flatters it a little."
    )


def _how(told: dict[str, Any]) -> dict[str, str]:
    spec = told["spec"]
    early = ", stopped early" if told["stopped_early"] else f" of {told['steps_asked']:,}"
    sides = {"train": "Learned from", "held_out": "Held out"}
    unit = "windows" if told["task"] == "language" else "sentences"
    lines = {f"{label}": f"{told[side]['count']:,} {unit}: {told[side]['data']}" for side, label in sides.items()}
    lines |= {
        "Steps": f"{told['steps']:,}{early}, {spec['batch']} {unit} each; kept step {told['best_step']:,}",
        "Learning rate": f"{spec['lr']:g}, {spec['schedule']}, weight decay {spec['weight_decay']:g}",
        "Trained": f"{told['trained']:,} weights ({recover_form.TRAINED[spec['train']].lower()})",
        "Took": f"{wording.seconds(told['seconds']['training'])} of training on {told['device']}",
        "Seed": str(spec["seed"]),
    }
    return {name: state.plain(text) for name, text in lines.items()}


def _onward(run: Run, told: dict[str, Any]) -> None:
    with st.container(horizontal=True):
        links.page_link("overview", "Open its Overview", icon=":material/dashboard:", run=run.id)
        parent = told["parent"]["id"]
        try:
            state.open_cached(parent)
        except KencoreError:
            st.caption(f"Tuned from {state.plain(parent)}, which is no longer in the store.")
            return
        links.page_link("overview", "The run before", icon=":material/history:", run=parent)
