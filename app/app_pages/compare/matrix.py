"""One matrix of two runs: the picture with four categories, its numbers, its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app import viewer
from app.charts import compare as charts
from app.frame import choosing, links, parts, state
from app.frame.draw import draw
from app.parts import matrix as matrix_parts
from kencore.errors import KencoreError
from kencore.views.compare import masks as compare
from kencore.words import compare as compare_words
from kencore.words import matrices
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.compare.masks import Comparison
    from kencore.words.palette import Palette

    Line = pd.Series[Any]

ORDERS: Final = {"number": "By number", "overlap": "Most alike first"}
WHO: Final = {(True, True): "● both", (True, False): "◐ only A", (False, True): "◑ only B", (False, False): "○ neither"}


def open_matrix(name: str) -> None:
    """Show another matrix on this page."""
    if st.query_params.get("matrix") != name:  # a click stays with its chart
        links.write(matrix=name, **matrix_parts.NO_VIEW)
        st.rerun()


def current(run: Run, found: Comparison) -> Line:
    """The line of the matrix that the address names, else of the first one inside a block.

    The address alone decides: what was seen on another page would not be in a copied link.

    Raises:
        MatrixNotFoundError: the run has no matrix of that name.
    """
    name = st.query_params.get("matrix")
    line = None if name is None else run.matrix(name)
    if line is not None and name in set(found.matrices["name"]):
        return line
    table = found.matrices[found.matrices["block"].notna() & (found.matrices["rows"] > 1)]
    first = (found.matrices if table.empty else table).iloc[0]
    if line is not None:
        st.caption(f"{state.plain(str(name))} is not pruned in all of these runs; showing another matrix.")
    return run.matrix(str(first["name"]))


def picture(a: Run, b: Run, found: Comparison, names: list[str]) -> Line | None:
    """The map of one matrix; returns its line, ``None`` where the address names none of A's."""
    st.header("One matrix, weight by weight")
    common = a.matrices[a.matrices["name"].isin(found.matrices["name"])]
    try:
        line = current(a, found)
    except KencoreError as error:
        state.show_error(error)
        matrix_parts.choose(common, None)
        return None
    matrix_parts.choose(common, line)
    try:
        view = matrix_parts.view_of(line, a.restore, beside=True)
    except links.LinkError as error:
        state.show_error(error)
        st.caption("The whole matrix is shown instead.")
        view = viewer.View(layer="overlap")
    name = str(line["name"])
    shares = _line(found, name)
    title = f"{matrices.title(line, a.matrices)}, {compare_words.verb([a, b])[2]} by {names[0]} (A) and {names[1]} (B)"
    source = viewer.source(a, title, line, other=b)

    @st.fragment(key="compared-weight")
    def selected_weight() -> None:
        weight(a, b, name, matrix_parts.selected(name, view))

    st.markdown(f"**{state.plain(_finding(line, a, shares))}**")
    st.caption(state.plain(f"A is {names[0]}, B is {names[1]}."))
    with st.grid(4, min_column_width=230, gap="small") as grid:
        with grid.cell(column_span=3):
            viewer.weight_map([source], view, key=matrix_parts.MAP, on_cell=lambda: st.rerun("compared-weight"))
        with grid.cell():
            with st.container(border=True):
                selected_weight()
            with st.container(border=True, gap="small"):
                _facts(shares)
                for letter, run in (("A", a), ("B", b)):
                    links.page_link("matrix", f"Open in {letter}", icon=":material/grid_on:", run=run.id, matrix=name)
                st.caption(state.plain(name))
    return line


def _line(found: Comparison, name: str) -> Line:
    table = found.pair()
    return table[table["name"] == name].iloc[0]


def _finding(line: Line, run: Run, shares: Line) -> str:
    apart = int(shares["only_a"] + shares["only_b"]) / int(shares["params"])
    return (
        f"{matrices.title(line, run.matrices)}: the two differ on {wording.percent(apart)} of "
        f"{wording.exact(shares['params'])} weights"
    )


def _facts(shares: Line) -> None:
    st.markdown("**This matrix**")
    whole = int(shares["params"])
    parts.pairs(
        [
            (
                label.capitalize().replace(" a", " A").replace(" b", " B"),
                f"{int(shares[who]):,} ({wording.percent(shares[who] / whole)})",
            )
            for who, label in charts.WHO.items()
        ]
        + [("Overlap", wording.percent(shares["jaccard"])), ("By chance", wording.percent(shares["chance"]))]
    )


def weight(a: Run, b: Run, name: str, at: tuple[int, int] | None) -> None:
    """What is known of the selected weight, and who keeps it."""
    from kencore.views import window as views

    if at is None:
        st.markdown("**Selected weight**")
        st.caption(f"Click a weight to see its values and which run {compare_words.verb([a, b])[1]} it.")
        return
    row, col = at
    try:
        found = views.cell(a, name, row, col)
        by_b = bool(b.keep(name, slice(row, row + 1), slice(col, col + 1))[0, 0])
    except KencoreError as error:
        st.caption(state.plain(str(error)))
        return
    st.markdown(f"**Row {row:,}, column {col:,}**")
    terms = wording.TERMS[a.restore]
    base = [("Base", matrix_parts.number(found["base"]))] if a.restore == "base" else []
    parts.pairs(
        [
            (f"{compare_words.verb([a, b])[2].capitalize()} by", WHO[found["kept"], by_b]),
            (terms.dense.capitalize(), matrix_parts.number(found["tuned"])),
            *base,
            ("In A's model", matrix_parts.number(found["pruned"])),
            ("Rank in its row", f"{found['rank_value']:,} of {found['cols']:,}"),
        ]
    )
    for letter, run in (("A", a), ("B", b)):
        links.page_link(
            "row", f"Row {row:,} in {letter}", icon=":material/show_chart:", run=run.id, matrix=name, row=row
        )


def rows(a: Run, b: Run, line: Line, palette: Palette) -> None:
    """Overlap of every row of the open matrix, as a chart and as a table to sort."""
    name = str(line["name"])
    if int(line["rows"]) == 1:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.header("Rows")
        with state.messages():
            order = choosing.view("rows", ORDERS, "number", label="Order of rows")
    table = _rows(a.id, b.id, state.stamp(a.path) + state.stamp(b.path), name, _a=a, _b=b)

    def open_row(row: Any) -> None:
        links.go("row", run=a.id, matrix=name, row=int(row))

    draw(charts.row_points(table, order == "overlap", palette), key="compare-rows", custom=open_row)
    with st.expander("The rows as a table", icon=":material/table_rows:"):
        st.dataframe(
            table.drop(columns="by_chance").rename(columns=COLUMNS),
            hide_index=True,
            placeholder="–",
            height=260,
            alt="Overlap of the two runs in every row",
            column_config=dict.fromkeys(("Overlap", "By chance"), st.column_config.NumberColumn(format="percent")),
        )


COLUMNS: Final = {
    "row": "Row",
    "both": "Both",
    "only_a": "Only A",
    "only_b": "Only B",
    "neither": "Neither",
    "jaccard": "Overlap",
    "chance": "By chance",
}


@st.cache_resource(max_entries=16, show_spinner="Counting rows")
def _rows(a: str, b: str, stamp: str, name: str, *, _a: Run, _b: Run) -> pd.DataFrame:
    return compare.row_overlap(_a, _b, name)
