"""Parts of the tune page: the setting of the address, the worker's job, what was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.app_pages.tune import jobs as tune_jobs
from app.app_pages.tune import strip as tune_strip
from app.charts.settings import Point, settings_chart
from app.frame import draw as drawing
from app.frame import links, state
from app.jobs import panel, question
from kencore.errors import KencoreError, SpecError
from kencore.live import setting as retune
from kencore.live.setting import Setting
from kencore.methods.table import method_label
from kencore.models.figures import measure_of
from kencore.words import measured
from kencore.words import numbers as wording
from kencore.words import run as facts

if TYPE_CHECKING:
    from kencore.jobs import JobStatus
    from kencore.runs.run import Run
    from kencore.words.palette import Palette

PARAMS: Final = ("keep", "k", "bits", "rule", "eq", "slope", "spread")
_IN_THE_ADDRESS: Final = {
    "balance": "eq",
    "method": "rule",
    "block_lambda": "slope",
    "row_lambda": "spread",
    "setting": "keep, eq and rule",
}
AUTOMATIC: Final = "tune_automatic"


def asked_setting(run: Run) -> Setting:
    """The setting that the address asks for; the run's own where it says nothing.

    Raises:
        LinkError: a value that is none, or that this run cannot have.
    """
    said = {name: links.value(name) for name in PARAMS}
    own = retune.own_setting(run)
    if not any(said.values()):
        return own
    said["slope"] = said["slope"] or _number(own.block_lambda)
    said["spread"] = said["spread"] or _number(own.row_lambda)
    budget = next((f"{name}{said[name]}" for name in ("k", "bits") if said[name]), said["keep"])
    if budget is None:
        budget = own.text.split("~")[0]
    parts = [budget, *(f"{name}*{said[name]}" for name in ("rule", "slope", "spread") if said[name])]
    parts += [said["eq"]] if said["eq"] else []
    try:
        setting = Setting.from_text("~".join(parts))
        retune.check(run, setting)
    except SpecError as error:
        name = _IN_THE_ADDRESS.get(error.subject, error.subject)
        raise links.LinkError(
            f"{name} in the address",
            got=error.got,
            wanted=error.wanted,
            remedy="Correct the address or move the sliders.",
        ) from error
    return setting


def write_setting(run: Run, setting: Setting) -> None:
    """Put a setting into the address; the run's own leaves it empty."""
    own = setting == retune.own_setting(run)
    found: dict[str, Any] = dict.fromkeys(PARAMS)
    if not own:
        found |= {
            "keep": None if setting.keep is None else f"{setting.keep:.6g}",
            "k": setting.k,
            "bits": _number(setting.bits),
            "rule": setting.method,
            "slope": _number(setting.block_lambda),
            "spread": _number(setting.row_lambda),
            "eq": "~".join(factor.replace("=", "*") for factor in setting.balance) or None,
        }
    links.write(**found, made=None)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def take_rest(run: Run) -> None:
    """The sliders rest at another setting: the address says it from now on."""
    text = tune_strip.rested()
    if text is None:
        return
    try:
        setting = Setting.from_text(text)
        retune.check(run, setting)
    except KencoreError:  # the strip says it
        return
    _moved_to(run, setting)


def _moved_to(run: Run, setting: Setting) -> None:
    """A hand moved the sliders there: the address says it, and it may be measured."""
    question.allow(_about(run, setting))
    write_setting(run, setting)


def _about(run: Run, setting: Setting) -> str:
    return f"{run.id} {setting.text}"


def title(run: Run, setting: Setting) -> str:
    """What the page shows, as a finding."""
    own = setting == retune.own_setting(run)
    if setting.bits is not None:
        if own:
            return f"This run was made for {wording.budget(run.spec)}: move the slider to try another size"
        return f"The run at {setting.bits:g} bits per weight"
    budget = f"k = {setting.k}" if setting.keep is None else wording.short_percent(setting.keep)
    if own:
        return f"This run keeps {budget}: move a slider to try another setting"
    balance = f", {wording.plural(len(setting.balance), 'balance slider')} moved" if setting.balance else ""
    rule = f" by {method_label(setting.method)}" if setting.method else ""
    return f"The run at {budget} kept{rule}{balance}"


def waits_for(reason: str | None) -> str | None:
    """What the map of another setting waits for; ``reason``: why only a worker knows what it keeps."""
    return None if reason is None else f"Painted once this setting is measured: {reason}"


# --- the worker -------------------------------------------------------------------------------


def measuring(run: Run, setting: Setting) -> None:
    """The switch and the button that give a setting to the worker, and how its job goes."""
    own = setting == retune.own_setting(run)
    small = run.totals["params"] <= tune_jobs.SMALL
    moved = question.allowed(_about(run, setting)) or question.came_by_a_click()
    with st.container(horizontal=True, vertical_alignment="center"):
        automatic = st.toggle(
            "Measure at rest",
            value=small,
            key=AUTOMATIC,
            persist_state="session",
            help="When the sliders rest, a worker prunes the model and measures it on the run's own data. A new "
            "setting cancels the job.",
        )
        known = tune_jobs.find(run, setting)
        clicked = False
        if not (automatic and moved) and not own and known is None:
            clicked = st.button("Measure this setting", icon=":material/play_arrow:")
    if own:
        st.caption("This is the run itself, as measured.")
        return
    if ((automatic and moved) or clicked) and known is None:
        try:
            tune_jobs.measure(run, setting)
        except KencoreError as error:
            state.show_error(error)
            return
        known = tune_jobs.find(run, setting)
    if known is None:
        st.caption("Not measured yet.")
        return
    watch(run, setting, known.job)


def watch(run: Run, setting: Setting, job: str) -> None:
    """One job of the sliders: polls while it is live, and runs the page again at its end."""
    found = tune_jobs.status(job)
    if found is None:
        st.caption("The job is no longer in the store. Move a slider to measure again.")
        return
    st.fragment(_watch, run_every=panel.POLL_SECONDS if found.live else None)(run, setting, job, found.live)


def _watch(run: Run, setting: Setting, job: str, was_live: bool) -> None:
    found = tune_jobs.status(job)
    if found is None or (was_live and not found.live):
        st.rerun()
    assert found is not None
    if found.live:
        st.progress(found.share, text=state.plain(found.message or "Starting the worker"))
        st.button(
            "Cancel",
            icon=":material/stop_circle:",
            key=f"cancel-{job}",
            disabled=found.cancelling,
            on_click=_cancel,
            args=(job,),
        )
    elif found.state == "failed":
        panel.show_failure(found)
        _again(run, setting)
    elif found.state == "cancelled":
        st.caption("Cancelled. Nothing was written.")
        _again(run, setting)
    else:
        _made(found)


def _cancel(job: str) -> None:
    from kencore import jobs

    jobs.cancel(job)


def _again(run: Run, setting: Setting) -> None:
    if st.button("Measure again", icon=":material/refresh:"):
        with state.messages():
            tune_jobs.measure(run, setting)
        st.rerun()


def _made(job: JobStatus) -> None:
    """What a finished job found, and the way to keep its run."""
    from kencore.jobs.tasks import keep_run

    found = tune_jobs.result(job.id)
    if found is None:
        st.caption("The result was deleted. Move a slider to measure again.")
        return
    pruned = found["metrics"].get("pruned")
    took = wording.seconds((job.finished or 0) - (job.started or 0))
    if pruned is None:
        st.markdown(f"Pruned in {took}; this run has no data to measure quality on.")
    else:
        name = facts.share_name(found["metrics"])
        text = (
            f"Perplexity {measured.perplexity(pruned)}"
            if facts.is_language(found["metrics"])
            else f"{measured.SCORES[name]} {measured.score(pruned, name)}"
        )
        st.markdown(f"**{text}**, measured in {took}")
        change = measured.change(pruned, found["metrics"].get("examples"))
        if change:
            st.caption(state.plain(change))
    kept: dict[str, str] = st.session_state.setdefault("tune_kept", {})
    if job.id not in kept:
        if st.button("Save as a run", icon=":material/save:", type="primary"):
            with state.messages():
                kept[job.id] = keep_run(job.id)
            state.forget_runs()
            st.rerun()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Saved as {state.plain(kept[job.id])}", width="content")
        links.page_link("overview", "Open it", icon=":material/arrow_forward:", run=kept[job.id])


# --- what was tried ---------------------------------------------------------------------------


def history(run: Run, setting: Setting, palette: Palette) -> None:
    """The last ten settings with what was measured; a click goes back to one."""
    settings, points = [retune.own_setting(run)], []
    coded = run.spec.coded
    own = _point("The run itself", run.metrics, run.totals, coded)
    if own is None:
        settings = []
    else:
        points.append(own)
    for one in tune_jobs.tried(run):
        found = tune_jobs.result(one.job)
        if found is None:
            continue
        point = _point(one.setting.replace("~", ", "), found["metrics"], found["totals"], coded)
        if point is not None:
            points.append(point)
            settings.append(Setting.from_text(one.setting))
    if not points:
        st.caption("Measured settings appear here.")
        return
    now = settings.index(setting) if setting in settings else None
    lower = facts.is_language(run.metrics) or "perplexity" in (run.metrics.get("pruned") or {})
    dense = (run.metrics.get("dense") or {}).get("perplexity" if lower else facts.share_name(run.metrics))

    def back(index: int) -> None:
        if settings[index] != setting:
            _moved_to(run, settings[index])
            st.rerun()

    name = facts.share_name(run.metrics)
    chart = settings_chart(points, now, dense, palette, lower=lower, name=name, coded=coded)
    drawing.draw(chart, key=f"tune-settings-{len(points)}-{now}", point=back)


def _point(label: str, metrics: dict[str, Any], totals: dict[str, int], coded: bool) -> Point | None:
    pruned = metrics.get("pruned") or {}
    name = measure_of(pruned)
    if pruned.get(name) is None:
        return None
    nan = float("nan")
    return Point(
        label=label,
        size=8 * (facts.file_bytes(metrics) or totals["bytes_stored"]) / totals["params"]
        if coded
        else totals["kept"] / totals["pruned"],
        value=float(pruned[name]),
        low=float(pruned.get(f"{name}_low") or nan),
        high=float(pruned.get(f"{name}_high") or nan),
    )


def same_as_a_command(run: Run, setting: Setting) -> None:
    """The command line that makes the setting a run."""
    spec = run.spec if setting == retune.own_setting(run) else setting.spec(run.spec)
    with st.expander("As a command", icon=":material/terminal:"):
        st.code(facts.command(spec), "bash")
