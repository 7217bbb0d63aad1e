"""Parts of the matrix page: choosing, the selected weight, the numbers of the matrix."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from app import viewer
from app.frame import links, parts, state
from kencore.errors import KencoreError
from kencore.views import walk as walks
from kencore.views.why import why
from kencore.words import matrices
from kencore.words import numbers as wording
from kencore.words import why as reasons

if TYPE_CHECKING:
    from kencore.runs.run import Run

    Line = pd.Series[Any]

MAP = "weight_map"
NO_VIEW = dict.fromkeys(("r0", "r1", "c0", "c1", "row", "col", "layer", "reset"))


def choose(table: pd.DataFrame, chosen: Line | None) -> None:
    """Group, matrix, and the same matrix one block back or on; changes go into the address."""
    groups = matrices.groups(table)
    name = None if chosen is None else str(chosen["name"])
    here = next((label for label, names in groups.items() if name in names), None)
    lines = {str(line["name"]): line for _, line in table.iterrows()}

    def open_group() -> None:
        open_matrix(_alike(lines, groups[st.session_state["matrix_group"]], chosen))

    def open_chosen() -> None:
        open_matrix(st.session_state["matrix_name"])

    st.session_state["matrix_group"] = here
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Block", list(groups), key="matrix_group", on_change=open_group, width=150, placeholder="Choose a block"
        )
        names = groups.get(here or "", [])
        labels = parts.told_apart({item: _option(lines[item]) for item in names})
        st.session_state["matrix_name"] = name if name in names else None
        st.selectbox(
            "Matrix",
            names,
            key="matrix_name",
            on_change=open_chosen,
            width=270,
            format_func=labels.__getitem__,
            placeholder="Choose a matrix",
            disabled=not names,
        )
        if chosen is not None:
            _steps(chosen, table)


def _steps(line: Line, table: pd.DataFrame) -> None:
    same = matrices.siblings(line, table)
    at = same.index(str(line["name"])) if str(line["name"]) in same else 0
    back, on = same[at - 1] if at > 0 else None, same[at + 1] if at + 1 < len(same) else None
    st.button(
        "Previous block",
        icon=":material/chevron_left:",
        disabled=back is None,
        on_click=open_matrix,
        args=(back,),
        help="The same matrix one block earlier",
        key="matrix_back",
    )
    st.button(
        "Next block",
        icon=":material/chevron_right:",
        icon_position="right",
        disabled=on is None,
        on_click=open_matrix,
        args=(on,),
        help="The same matrix one block later",
        key="matrix_on",
    )


def open_matrix(name: str | None) -> None:
    """Another matrix: the map keeps its window where the shapes are equal."""
    if name is not None:
        links.write(matrix=name, **NO_VIEW)


def _alike(lines: dict[str, Line], names: list[str], chosen: Line | None) -> str:
    """The matrix of another group that plays the part of the chosen one, else the first."""
    if chosen is not None:
        wanted = matrices.label(chosen)
        for name in names:
            if matrices.label(lines[name]) == wanted:
                return name
    return names[0]


def _option(line: Line) -> str:
    shape = f"{int(line['rows']):,} × {int(line['cols']):,}"
    what = matrices.label(line)
    return f"{what[:1].upper()}{what[1:]} · {shape}"


def usual_layer(coded: bool) -> str:
    """The layer that a map of single weights opens with."""
    return "levels" if coded else "kept"


def view_of(line: Line, restore: str = "base", *, beside: bool = False, coded: bool = False) -> viewer.View:
    """The view that the address asks for.

    Args:
        beside: another run is shown with it, and how the two overlap unless another layer is
            asked for.
        coded: the run stores changes in a code.

    Raises:
        LinkError: a number, layer or window that this matrix does not have.
    """
    rows, cols = int(line["rows"]), int(line["cols"])
    layers = (*wording.layers(restore, coded=coded), *(("overlap",) if beside else ()))
    found: dict[str, Any] = {}
    for first, last, count in (("r0", "r1", rows), ("c0", "c1", cols)):
        found[first] = links.number(first, high=count - 1)
        found[last] = links.number(last, low=(found[first] or 0) + 1, high=count)
    if any(found[key] is not None for key in found):
        whole = {"r0": 0, "r1": rows, "c0": 0, "c1": cols}
        found = {key: whole[key] if value is None else value for key, value in found.items()}
    found["row"] = links.number("row", high=rows - 1)
    found["col"] = links.number("col", high=cols - 1)
    if (found["row"] is None) != (found["col"] is None):
        found["row" if found["row"] is None else "col"] = 0
    return viewer.View(
        **found,
        layer=links.choice("layer", layers, "overlap" if beside else usual_layer(coded)),
        reset=links.choice("reset", viewer.RESET, "hidden"),
    )


def selected(name: str, view: viewer.View) -> tuple[int, int] | None:
    """The weight that is outlined on the map now."""
    state: Mapping[str, Any] = st.session_state.get(MAP) or {}
    cell = state.get("cell")
    if cell and cell.get("matrix") == name:
        return (int(cell["row"]), int(cell["col"])) if cell.get("row") is not None else None
    if view.row is None or view.col is None:
        return None
    return view.row, view.col


def weight(run: Run, name: str, at: tuple[int, int] | None) -> None:
    """What is known of the selected weight, and the way to its row."""
    from kencore.views import window as views

    if at is None:
        st.markdown("**Selected weight**")
        st.caption("Click a weight to see its values and ranks.")
        return
    try:
        found = views.cell(run, name, *at)
    except KencoreError as error:
        st.caption(state.plain(str(error)))
        return
    st.markdown(f"**Row {at[0]:,}, column {at[1]:,}**")
    parts.pairs(_weight_lines(found, wording.terms(run.restore, coded=run.spec.coded)))
    with contextlib.suppress(KencoreError):  # what cannot be read was said above
        st.caption(state.plain(_why(run.id, state.stamp(run.path), name, *at, _run=run)))
    links.page_link("row", f"Open row {at[0]:,}", icon=":material/show_chart:", matrix=name, row=at[0])


@st.cache_data(max_entries=64, show_spinner=False)
def _why(run_id: str, stamp: str, name: str, row: int, col: int, *, _run: Run) -> str:
    """Why the weight was kept, or passed over for which other."""
    line = slice(row, row + 1)
    tuned, base = _run.values(name, "tuned", line)[0], _run.values(name, "base", line)[0]
    walk = walks.run_walk(_run, name, tuned, base, _run.keep(name, line)[0])
    return reasons.reason(why(walk, col), _run.spec)


def _weight_lines(found: dict[str, Any], terms: wording.Terms) -> list[tuple[str, str]]:
    """What is known of one weight; without a base there is nothing to compare it with."""
    paired, coded = terms.dense == "tuned", terms is wording.CODED
    compared = [("Base", number(found["base"])), ("Difference", number(found["difference"]))]
    kept = found["pruned"] == found["tuned"]
    outcome = f"● {terms.done}" + ("" if kept or coded else ", updated") if found["kept"] else f"○ {terms.gone_long}"
    of = f"of {found['cols']:,}"
    rank = ("Rank of |difference|", f"{found['rank_difference']:,} {of}")
    return [
        (terms.dense.capitalize(), number(found["tuned"])),
        *(compared if paired else ()),
        ("Outcome", outcome),
        ("Pruned model", number(found["pruned"])),
        (f"{terms.done.capitalize()} neighbors", f"{found['neighbours']} of 4"),
        (f"Rank of |{terms.dense if paired else 'weight'}|", f"{found['rank_value']:,} {of}"),
        *((rank,) if paired else ()),
        (f"{terms.done.capitalize()} in row", f"{found['row_kept']:,} {of}"),
    ]


def number(value: float) -> str:
    """A float32 in the fewest digits that give it back."""
    return str(np.float32(value))


def matrix_or_choice(run: Run) -> Line:
    """The matrix that the address names; where there is none, what to choose, and the page ends."""
    try:
        return state.current_matrix(run)
    except KencoreError as error:
        st.title("No such matrix in this run")
        state.show_error(error)
        choose(run.matrices, None)
        st.stop()


def facts(line: Line, terms: wording.Terms) -> None:
    """The numbers of the whole matrix."""
    kept, params = int(line["kept"]), int(line["params"])
    named = terms.dense.capitalize()
    paired = terms.dense == "tuned"
    st.markdown("**This matrix**")
    parts.pairs(
        (
            (terms.done.capitalize(), f"{kept:,}"),
            (terms.gone_long.capitalize(), f"{params - kept:,}"),
            per_row(line, terms.done),
            *_bits(line, terms),
            ("Shape", f"{int(line['rows']):,} × {int(line['cols']):,}"),
            ("Stored as", str(line["dtype"])),
            _change(line, terms),
            ("Difference, RMS" if paired else "Weights, RMS", f"{float(line['diff_rms']):.3g}"),
            (f"{named}, mean", f"{float(line['tuned_mean']):.3g}"),
            (f"{named}, std", f"{float(line['tuned_std']):.3g}"),
            (f"{named}, smallest", f"{float(line['tuned_min']):.3g}"),
            (f"{named}, largest", f"{float(line['tuned_max']):.3g}"),
            ("Size", f"{_size(line['bytes_dense'])} → {_size(line['bytes_stored'])}"),
        )
    )


def _change(line: Line, terms: wording.Terms) -> tuple[str, str]:
    """The kept share of the squares; of rounded changes the lost one, as even a changed weight loses some."""
    if terms is wording.CODED:
        return terms.change_lost.capitalize(), wording.percent(float(line["diff_lost"]))
    return terms.change_kept.capitalize(), wording.percent(float(line["diff_share_kept"]))


def _bits(line: Line, terms: wording.Terms) -> list[tuple[str, str]]:
    """Bits per weight of a coded matrix."""
    if terms is not wording.CODED:
        return []
    return [("Bits per weight", f"{8 * float(line['bytes_stored']) / max(1, int(line['params'])):.3g}")]


def per_row(line: Line, done: str = "kept") -> tuple[str, str]:
    """Entries kept per row; their mean where rows differ."""
    cols = f"of {int(line['cols']):,}"
    if not pd.isna(line["k"]):
        return f"{done.capitalize()} per row", f"{int(line['k']):,} {cols}"
    return f"{done.capitalize()} per row, mean", f"{int(line['kept']) / int(line['rows']):,.1f} {cols}"


def onward(run_id: str, line: Line, done: str = "kept") -> None:
    """Where to go from here: every block, its rows, and the mask as a file."""
    name = str(line["name"])
    links.page_link(
        "map", "On the map", icon=":material/map:", at=name, help="This matrix on the map of the whole model"
    )
    links.page_link(
        "layers",
        "In every block",
        icon=":material/layers:",
        matrix=name,
        help="The same matrix in every block, side by side",
    )
    if not pd.isna(line["block"]):
        links.page_link(
            "sparsity",
            "Its rows and inputs",
            icon=":material/bar_chart:",
            matrix=name,
            help="Sparsity of its rows, and how pruning changed its inputs",
        )
    st.link_button(
        "Mask as .npy",
        viewer.api("mask.npy", run=run_id, matrix=name),
        type="tertiary",
        icon=":material/download:",
        help=f"True = {done}, rows are outputs (NumPy file)",
    )
    st.caption(state.plain(name))


def _size(nbytes: object) -> str:
    return wording.size(float(str(nbytes)))
