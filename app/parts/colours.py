"""What pictures of a whole model are coloured by: the range of the colours, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from app.frame import choosing, state
from kencore.views import damage
from kencore.views import tables as summaries

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.words.findings import Measure

STRETCHED: Final = "present"
FULL: Final = "full"
LAYER_OF: Final = {"share": "kept", "diff_lost": "lost", "bits": "levels"}  # of Map and Layers, by the measure
RANGES: Final = (STRETCHED, FULL)
UNKNOWN: Final = (
    "What was lost is not known (an older run with changed values, or nothing to lose): colors show the kept share."
)


def choose_range(*, share: bool = True) -> bool:
    """Whether the colours span the full range; ``range`` in the address."""
    options = {STRETCHED: "Stretched", FULL: "0–100 %" if share else "From 0"}
    return choosing.view("range", options, STRETCHED, label="Range of the colors") == FULL


def explain(what: Measure, usual: damage.Usual) -> None:
    """What the colours measure; and where what was lost is not known, that it is not."""
    said = f"{what.label}: {what.explained}. – is not pruned."
    st.caption(said if usual.known else f"{said} {UNKNOWN}")


def with_input_errors(run: Run) -> pd.DataFrame:
    """The run's table of matrices with ``input_error``, read once per run, and ``coded_bytes``."""
    table = summaries.with_coded_bytes(run.matrices, coded=run.spec.coded)
    return damage.with_input_errors(table, _input_errors(str(run.id), state.stamp(run.path), _run=run))


@st.cache_data(max_entries=16, show_spinner=False)
def _input_errors(run_id: str, stamp: str, *, _run: Run) -> dict[str, float]:
    return damage.input_errors(_run)
