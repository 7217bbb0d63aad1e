"""Every measured run of the model in the sidebar by the size of its file: which is the smallest that is near enough."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.charts import closeness as charts
from app.frame import choosing, links, state, theme
from app.frame.draw import draw
from app.jobs import panel
from kencore.runs.run import Run
from kencore.runs.shelf import list_runs
from kencore.settings.demo import data_of
from kencore.views.closeness import by_bytes
from kencore.words import numbers as wording


def show() -> None:
    """The plot, its table, and how to get a smaller file."""
    with state.messages():
        run = state.current_run()
        table = by_bytes(list_runs(points=True), run)
        st.caption(
            f"Measured runs of {state.plain(run.spec.model)}, the model of the run in the sidebar, whatever their "
            "method. Answers are compared with the dense model's; a KL of 0 is the same."
        )
        if table.empty:
            st.info("No run of this model has both a measured quality and a file whose size is known.")
        else:
            _plot(table)
    _smaller(run)
    if (job := links.value("job")) is not None:
        panel.show(job)


def _plot(table: Any) -> None:
    measures = charts.known(table)
    with st.container(horizontal=True, vertical_alignment="center"):
        which = choosing.view("near", measures, next(iter(measures)), label="Closeness")
        scale = choosing.view("bytes_scale", {"log": "Log", "linear": "Linear"}, "log", label="Size axis")
    chart = charts.bytes_plot(table, theme.palette(), which, log=scale == "log")
    draw(chart, key=f"tradeoff-bytes-{which}-{scale}", custom=_open)
    st.caption("Each mark is a run; click one to open it.")
    with st.expander("Every run", icon=":material/table_rows:"):
        _table(table)


def _table(table: Any) -> None:
    measure = str(table["measure"].iloc[0])
    shares = {"same_answer": 100 * table["same_answer"]}
    if measure != "perplexity":
        shares["quality"] = 100 * table["quality"]
    shown = table.assign(**shares, open=[links.link("overview", run=run) for run in table["run"]])
    st.dataframe(
        shown[["label", "bytes", "bits", "kl", "same_answer", "quality", "open"]],
        hide_index=True,
        placeholder="–",
        alt="Every measured run of the model with the size of its file, its closeness and its quality",
        column_config={
            "label": "Run",
            "bytes": st.column_config.NumberColumn("File, bytes", format="localized"),
            "bits": st.column_config.NumberColumn("Bits per weight", format="%.3g"),
            "kl": st.column_config.NumberColumn("KL, nats", format="%.3g"),
            "same_answer": st.column_config.NumberColumn("Same answers", format="%.1f %%"),
            "quality": st.column_config.NumberColumn(
                measure.capitalize(), format="localized" if measure == "perplexity" else "%.1f %%", step=0.1
            ),
            "open": st.column_config.LinkColumn("Open", display_text="run", width="small"),
        },
    )


def _smaller(run: Run) -> None:
    """A link to the form, asked for by same answers, where the model has a base."""
    spec = run.spec
    if spec.base is None:
        st.caption("Files this small are differences to a base; this run has none.")
        return
    data = spec.evaluation or data_of(spec.model)
    links.page_link(
        "prune",
        f"Find the smallest file with {wording.percent(charts.NEAR, 0)} same answers",
        icon=":material/content_cut:",
        run=None,
        model=spec.model,
        base=None if data_of(spec.model) else spec.base,
        method="bytes",
        same=charts.NEAR,
        evaluation=None if data == data_of(spec.model) else data,
    )
    st.caption(
        "It measures ten sizes or more and keeps the smallest of them that reaches this share; the form "
        "takes other shares."
    )


def _open(run: Any) -> None:
    run = run[0] if isinstance(run, (list, tuple)) else run
    if run:
        links.go("overview", run=run, matrix=None)
