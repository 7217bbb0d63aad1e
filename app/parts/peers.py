"""Other rules at a run's own budget, one click away: found in the store, else made by a job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import links, state
from app.jobs import submit as submitting
from app.parts import compare_runs
from kencore.errors import KencoreError
from kencore.runs.shelf import list_runs
from kencore.views.compare import peers as compare_peers
from kencore.words import compare as compare_words
from kencore.words import numbers as wording
from kencore.words.verdict import listed

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.settings.prune import PruneSpec
    from kencore.views.compare.peers import Peer

LAST: Final = ("random",)  # chosen only where there is little else
USUAL: Final = 3


def offer(run: Run, *, key: str) -> None:
    """Which rules to lay beside the run, and the button that does it."""
    peers = compare_peers.peers(run)
    usable = {peer.key: peer.spec for peer in peers if peer.spec is not None}
    if not usable:
        st.caption("No other rule fits this run's budget.")
        return
    usual = [key for key in usable if key not in LAST]
    usual = usual if len(usual) >= USUAL else list(usable)
    picked = st.pills(
        "Rules",
        list(usable),
        selection_mode="multi",
        default=usual,
        key=f"{key}-rules",
        format_func=compare_words.peer,
        persist_state="session",
        help="Same models, scope, budget and evaluation as this run.",
    )
    st.caption(state.plain(_said(run, peers)))
    if st.button(
        _button(picked), icon=":material/compare_arrows:", type="primary", key=f"{key}-compare", disabled=not picked
    ):
        try:
            ids = [run_of(usable[name]) for name in picked]
        except KencoreError as error:
            state.show_error(error)
            return
        links.go("compare", run=run.id, **compare_runs.address(ids))


def _button(picked: list[str]) -> str:
    names = [compare_words.peer(name) for name in picked]
    if not names:
        return "Compare at the same budget"
    return f"Compare with {listed(names)}"


def run_of(spec: PruneSpec) -> str:
    """The id of the run with these settings: of the store, or of the job that makes it now.

    Raises:
        KencoreError: settings that cannot work, or a store that cannot be written.
    """
    found = compare_peers.find(spec, list_runs(points=True))
    return found or submitting.start(json.loads(spec.to_json()))


def _said(run: Run, peers: list[Peer]) -> str:
    """What the button will do, and which rules it cannot offer."""
    text = f"Same budget ({wording.budget(run.spec)}), models and data. Runs missing from the store are made by a job."
    missing = [f"{compare_words.peer(peer.key)}: {peer.why}." for peer in peers if peer.spec is None]
    return " ".join([text, *missing])
