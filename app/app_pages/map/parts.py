"""Parts of the Map page: the second run, what is known of the matrix or weight in view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.frame import links, matrices, parts, state
from app.parts import matrix as matrix_parts
from app.viewer import map_view
from kencore.errors import KencoreError, MatrixNotFoundError
from kencore.views import tables as summaries
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

MAP = "model_map"
NONE = ""


def finding(run: Run) -> str:
    """The heading: how much of how many weights was kept."""
    total = summaries.totals(run.matrices)
    share = wording.short_percent(total.share_pruned)
    return f"{share} of {wording.count(total.pruned)} weights kept, all on one map"


def choose_other(run: Run) -> None:
    """The box for the run that is shown beside this one; its choice goes into the address."""
    labels = parts.told_apart({one.id: one.label for one in state.runs() if one.problem is None and one.id != run.id})
    asked = links.value("other")
    options = [NONE, *labels]
    if asked is not None and asked not in labels and asked != run.id:
        options.append(asked)
    st.session_state["map_other"] = asked if asked in options else NONE

    def chosen() -> None:
        links.write(other=st.session_state["map_other"] or None)

    st.selectbox(
        "Compare with",
        options,
        key="map_other",
        on_change=chosen,
        width=320,
        format_func=lambda name: labels.get(name, name) or "No other run",
        help="A second run of the same model, on a linked map.",
    )


def other(run: Run) -> Run | None:
    """The run to show beside this one, ``None`` where the address names none.

    Raises:
        KencoreError: no such run, or one whose matrices are other ones.
    """
    name = links.value("other")
    if name is None:
        return None
    found = state.open_cached(name)
    shapes = {matrix: run.shape(matrix) for matrix in run.matrices["name"]}
    same = [matrix for matrix in found.matrices["name"] if shapes.get(matrix) == found.shape(matrix)]
    different = [
        matrix for matrix in found.matrices["name"] if matrix in shapes and shapes[matrix] != found.shape(matrix)
    ]
    if different or not same:
        raise MatrixNotFoundError(
            f"run {name} beside run {run.id}",
            got=f"{different[0]} of another shape" if different else "no matrix in common",
            wanted="two runs of the same model",
            remedy="Choose another run beside this one.",
        )
    return found


def title_of(run: Run) -> str:
    """A run above its map."""
    share = wording.short_percent(summaries.totals(run.matrices).share_pruned)
    return f"{run.id}: {wording.method(run.spec)}, {share} kept"


def in_view(view: map_view.View) -> tuple[str | None, tuple[int, int] | None]:
    """The matrix that the map looks at now, and the weight that is outlined on it."""
    kept: Mapping[str, Any] = st.session_state.get(MAP) or {}
    cell = kept.get("cell") or {"matrix": view.at, "row": view.row, "col": view.col}
    if cell.get("matrix") is None:
        return None, None
    at = None if cell.get("row") is None else (int(cell["row"]), int(cell["col"]))
    return str(cell["matrix"]), at


def details(run: Run, name: str | None, at: tuple[int, int] | None) -> None:
    """What is known of the matrix in view and of the selected weight, and where to go on."""
    if name is None:
        st.markdown("**In view**")
        st.caption("Zoom in or click a matrix to see its numbers.")
        return
    try:
        line = run.matrix(name)
    except KencoreError as error:
        st.caption(str(error))
        return
    st.markdown(f"**{matrices.title(line, run.matrices)}**")
    if line["status"] != "pruned":
        st.caption(f"Not pruned: {line['reason']}.")
        return
    kept, params = int(line["kept"]), int(line["params"])
    parts.pairs(
        (
            ("Kept", f"{wording.short_percent(kept / params)} of {params:,}"),
            matrix_parts.per_row(line),
            ("Shape", f"{int(line['rows']):,} × {int(line['cols']):,}"),
        )
    )
    row, col = at or (None, None)
    links.page_link("matrix", "Open the matrix", icon=":material/grid_on:", matrix=name, row=row, col=col)
    links.page_link("layers", "In every block", icon=":material/layers:", matrix=name)
    st.divider()
    matrix_parts.weight(run, name, at)
