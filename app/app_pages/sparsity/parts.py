"""Sections of the sparsity page: blocks, rows of a matrix, the search, alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from app.charts import alignment, depth, search, spread
from app.frame import choosing, links, state
from app.frame.draw import draw
from app.parts import blocks as block_views
from app.parts import matrix as matrix_parts
from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.errors import KencoreError, MatrixNotFoundError
from kencore.methods.table import method_label
from kencore.views import sparsity
from kencore.views import tables as summaries
from kencore.words import numbers as wording
from kencore.words.palette import RUNS, Palette

if TYPE_CHECKING:
    from app.charts.base import Chart
    from kencore.runs.run import Run

AT_ONCE: Final = 24  # blocks shown unless more are asked for
SLIDER: Final = 4  # blocks from which on a range can be chosen
COLOR: Final = RUNS[0]  # of the open run
CODED: Final = (
    "Sparsity here: the share of weights whose change the code rounds to nothing, so that they stay at the base's "
    "value. The others are changed, most not all the way to the tuned value. Overview says where the bytes went."
)


def by_block(run: Run, drawn: depth.Depth, palette: Palette) -> None:
    """Bars of the open run, by block or by role."""
    cells = sparsity.by_block_and_role(run.matrices)
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.header("By block")
        with state.messages():
            shown = choosing.view("bars", {"block": "Blocks", "role": "Roles in each block"}, "block", label="Bars")
    if shown == "role":
        draw(depth.role_bars(cells, drawn, palette), key="sparsity-bars")
        return
    draw(depth.block_bars(drawn, palette), key="sparsity-bars")
    if sparsity.same_in_a_block(cells):
        st.caption("All roles of a block have the same sparsity.")


def by_row(run: Run, palette: Palette) -> None:
    """A violin for each matrix of a family; a click opens the matrix."""
    st.header("By row")
    options = families(run)
    if not options:
        st.caption("This run pruned no matrix with rows inside the blocks.")
        return
    try:
        family = chosen_family(run, options)
        table = summaries.family_blocks(run.matrices, family)
        table = table[table["status"] == "pruned"]
        block_views.choose(run.matrices, options, family)
        first, last = block_range(len(table))
    except KencoreError as error:
        state.show_error(error)
        return
    role = wording.ROLES_EXPLAINED.get(table["role"].iloc[0], table["role"].iloc[0])
    same = f"All rows of these matrices ({state.plain(role)}) have the same sparsity, up to one weight of rounding."
    every = tuple(table["name"])
    table = table.iloc[first : last + 1].reset_index(drop=True)
    names = tuple(table["name"])
    spreads = row_spreads(run, names)
    alike = all(found.even for found in spreads)
    if alike and all(found.even for found in row_spreads(run, every)):
        st.caption(same)
        return
    choose_blocks(len(every), first, last)
    if alike:
        st.caption(same)
        return
    chart = spread.row_violins(spreads, block_views.labels(table), names, role, COLOR, palette)
    draw(chart, key="sparsity-rows", point=lambda at: links.go("matrix", matrix=names[at]))
    st.caption("Bar: middle half of the rows. Ring: median. Click a violin to open its matrix.")


def families(run: Run) -> dict[str, str]:
    """Families of matrices with rows that the run pruned, with what a person calls them."""
    table = summaries.families(run.matrices)
    some = set(table.loc[table["two_d"] & (table["pruned"] > 0), "family"])
    return {name: text for name, text in block_views.family_options(run.matrices).items() if name in some}


def chosen_family(run: Run, options: dict[str, str]) -> str:
    """The family of the matrix in the address, else the first.

    Raises:
        MatrixNotFoundError: the address names a matrix that the run does not have.
    """
    line = state.current_matrix(run)
    found = summaries.family(line["name"], line["block"])
    return found if found in options else next(iter(options))


def block_range(blocks: int) -> tuple[int, int]:
    """First and last block to show, from the address.

    Raises:
        LinkError: the address names no such range.
    """
    first = links.number("from", high=blocks - 1)
    last = links.number("to", low=first or 0, high=blocks - 1)
    return first or 0, max(_usual_last(blocks), first or 0) if last is None else last


def choose_blocks(blocks: int, first: int, last: int) -> None:
    """A slider of the blocks to show, where there are many."""
    if blocks <= SLIDER:
        return
    st.session_state["sparsity_blocks"] = (first, last)

    def chosen() -> None:
        low, high = st.session_state["sparsity_blocks"]
        links.write(**{"from": low or None, "to": None if high == _usual_last(blocks) else high})

    st.slider("Blocks", 0, blocks - 1, key="sparsity_blocks", on_change=chosen, width=320)


def _usual_last(blocks: int) -> int:
    return min(blocks, AT_ONCE) - 1


def row_spreads(run: Run, names: tuple[str, ...]) -> list[sparsity.Spread]:
    """How sparsity differs between the rows of each matrix, read once per run."""
    return _row_spreads(run.id, state.stamp(run.path), names, _run=run)


@st.cache_resource(max_entries=32, show_spinner="Counting rows")
def _row_spreads(run_id: str, stamp: str, names: tuple[str, ...], *, _run: Run) -> list[sparsity.Spread]:
    return [sparsity.spread(_run.rows(name)["kept"].to_numpy(), _run.shape(name)[1]) for name in names]


def decided(run: Run) -> str:
    """Which rule decided how much each block gives, in one or two sentences."""
    spec = run.spec
    if spec.coded:
        return (
            "Every matrix was given the code that is worth its bits; how many of its weights stay at the base's value "
            "follows from the code."
        )
    if spec.allocation != UNIFORM:
        return ALLOCATIONS[spec.allocation].explained
    unit = "matrix" if spec.exact else "row"
    return (
        f"Nothing was searched: every {unit} was given the same budget, and "
        f"{method_label(spec.method)} chose the weights."
    )


def how_decided(run: Run, palette: Palette) -> None:
    """The rule in words, and what it looked at."""
    st.header("How sparsity was allocated")
    st.markdown(state.plain(decided(run)))
    try:
        charts = searches(run, palette)
    except KencoreError as error:
        state.show_error(error)
        return
    if not charts:
        return
    with st.grid(len(charts), min_column_width=420, gap="medium") as grid:
        for number, chart in enumerate(charts):
            with grid.cell():
                draw(chart, key=f"sparsity-search-{number}")


def searches(run: Run, palette: Palette) -> list[Chart]:
    """The charts of what the allocation looked at: searches first, then scores of blocks."""
    trace = run.trace or {}
    steps = (
        ("block_search", "sparsity-search-blocks", "Over blocks"),
        ("row_search", "sparsity-search-rows", "Over rows"),
    )
    found = [search.search_curve(trace[key], name, what, COLOR, palette) for key, name, what in steps if trace.get(key)]
    axis = ALLOCATIONS[run.spec.allocation].axis
    if found or axis is None:
        return found
    scores = search.block_scores(trace.get("blocks") or (), *axis, COLOR)
    return [scores] if scores is not None else []


ALIGNED: Final = "Alignment: the closer the two curves, the more these inputs resemble those the matrix was trained on."


def aligned(run: Run, palette: Palette) -> None:
    """Input norms of one matrix in the dense and in the pruned model."""
    st.header("Alignment")
    if not run.thin and not (run.path / "activations.safetensors").is_file():
        st.caption("This run used weights alone, so no activations were recorded.")
        return
    try:
        line = state.current_matrix(run)
        norms = run.activation_norms(str(line["name"]))
    except MatrixNotFoundError:  # said above, by the rows
        return
    except KencoreError as error:
        state.show_error(error)
        return
    matrix_parts.choose(run.matrices, line)
    if norms is None:
        st.caption("The inputs of this matrix were not recorded. Choose another one.")
        return
    draw(alignment.norm_curves(sparsity.alignment(*norms), COLOR, palette), key="alignment")
    st.caption(ALIGNED)
