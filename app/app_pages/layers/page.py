"""The same matrix in every block, side by side."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.charts import blocks as charts
from app.charts import cells
from app.frame import links, state, theme
from app.frame.draw import draw
from app.parts import block_drawing, colours
from app.parts import blocks as block_views
from kencore.errors import KencoreError
from kencore.views import damage
from kencore.views import tables as summaries
from kencore.words import numbers as wording
from kencore.words.findings import measures

with state.messages():
    run = state.current_run()
palette, terms = theme.palette(), wording.terms(run.restore, coded=run.spec.coded)
named = {"lost": measures(terms)["diff_lost"].label} | wording.layers(run.restore)
if run.spec.coded:
    named["kept"] = terms.done.capitalize()
options = block_views.family_options(run.matrices)
if not options:
    st.title("The same matrix in every block")
    st.info("This model has no blocks; its weights are on the Overview page.")
    st.stop()
try:
    here = state.current_matrix(run)
    family = summaries.family(here["name"], here["block"])
    if family not in options:
        family = next(iter(options))
    blocks = summaries.family_blocks(run.matrices, family)
    usual = damage.usual(blocks)
    layer = links.choice("layer", tuple(named), colours.LAYER_OF[usual.measure])
    links.choice("range", colours.RANGES, colours.STRETCHED)
except KencoreError as error:
    missing = not isinstance(error, links.LinkError)
    st.title("No such matrix in this run" if missing else "No such view of the blocks")
    state.show_error(error)
    block_views.choose(run.matrices, options)
    st.stop()

st.title("The same matrix in every block")
if family != summaries.family(here["name"], here["block"]) and links.value("matrix"):
    st.caption(f"{state.plain(str(here['name']))} is outside the blocks; showing another matrix.")


def choose_layer() -> None:
    """Put the chosen layer into the address."""
    links.write(layer=st.session_state["layers_layer"])


st.session_state["layers_layer"] = layer
with st.container(horizontal=True, vertical_alignment="bottom"):
    block_views.choose(run.matrices, options, family)
    st.segmented_control(
        "Show",
        list(named),
        key="layers_layer",
        format_func=lambda name: named[name],
        on_change=choose_layer,
        required=True,
    )
    full = layer in cells.SHARES and colours.choose_range()

block_drawing.draw(
    run,
    here if not pd.isna(here["block"]) else blocks.iloc[0],
    key="layers-block",
    address=block_drawing.link_to("layers", "matrix", run),
    go=lambda name: links.write(matrix=name),
)
if not usual.known and layer == "kept":
    st.caption(colours.UNKNOWN)
with state.messages():
    found = block_views.pictures(run, family, layer)
names = block_views.labels(blocks)
rows, cols = found.span
draw(
    charts.block_pictures(
        block_views.indices(found, full=full),
        cells.colors(layer, palette),
        list(zip(names, block_views.below(blocks, found, layer, terms), strict=True)),
        blocks,
        palette,
        finding=block_views.finding(blocks, found, layer, terms),
        aspect=rows / cols,
        scale=cells.scale(layer, palette, found.limit, terms, found.ends(full=full), full=full),
    ),
    key="block-pictures",
    point=lambda index: links.go("matrix", matrix=blocks["name"].iloc[index], layer=None if layer == "lost" else layer),
)
st.caption(state.plain(block_views.legend(found, layer, run.shape(blocks["name"].iloc[0]), terms)))
draw(charts.block_lines(blocks, names, palette, terms), key="block-lines")
