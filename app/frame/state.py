"""What the pages share: the run being looked at, opened once, and errors said as messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import links
from kencore.errors import KencoreError, MatrixNotFoundError, RunNotFoundError
from kencore.runs import CELLS
from kencore.system import people
from kencore.system.plain import markdown
from kencore.words import numbers as wording

if TYPE_CHECKING:
    import pandas as pd

    from kencore.runs.run import Run
    from kencore.runs.shelf import RunSummary

plain: Final = markdown  # text that others wrote, for all that Streamlit reads as Markdown
_LIST_SECONDS = 2.0
_lock = threading.Lock()
_listed: dict[str | None, tuple[float, tuple[Path, int], list[RunSummary]]] = {}  # by who looks


def runs() -> list[RunSummary]:
    """The runs of the store that who looks may see, the demo first; listed again when a run came or went, and after
    two seconds at most.
    """
    from kencore.runs.shelf import list_runs

    with _lock:
        now, place, who = time.monotonic(), _store(), people.viewer()
        held = _listed.get(who)
        if held is None or now - held[0] > _LIST_SECONDS or held[1] != place:
            for other in [name for name, (when, _, _) in _listed.items() if now - when > _LIST_SECONDS]:
                del _listed[other]
            held = _listed[who] = (now, place, list_runs())
        return held[2]


def _store() -> tuple[Path, int]:
    """The folder of runs and when one came or went last."""
    from kencore.system.places import runs_folder

    folder = runs_folder(make=False)
    try:
        return folder, folder.stat().st_mtime_ns
    except OSError:
        return folder, 0  # the list says what is wrong


def forget_runs() -> None:
    """List the store anew at the next call, as after a job has finished."""
    with _lock:
        _listed.clear()


def open_cached(run_id: str) -> Run:
    """The run of that id, opened once and again when its files change.

    Only ids of the store are opened: an id from an address never becomes a path.

    Raises:
        RunNotFoundError: the store has no run of that id.
        CorruptRunError: the run's folder is broken.
    """
    from kencore.runs.shelf import find_stored_run

    folder = find_stored_run(run_id)
    return _open(run_id, folder, stamp(folder))


def stamp(folder: Path) -> str:
    """Identity of a run's files: another text when the folder is written anew."""
    parts = []
    for name in ("record.json", "metrics.json", "masks.safetensors", CELLS):
        try:
            info = (folder / name).stat()
            parts.append(f"{info.st_mtime_ns:x}-{info.st_size:x}")
        except OSError:
            parts.append("0")
    return ".".join(parts)


@lru_cache(maxsize=8)
def _open(run_id: str, folder: Path, _stamp: str) -> Run:
    from kencore.runs.run import Run

    return Run(folder, name=run_id)


def current_run() -> Run:
    """The run that the address names, else the one seen last, else the first of the store."""
    run_id = links.value("run")
    if run_id is None:
        usable = [summary for summary in runs() if not summary.problem]
        if not usable:
            raise RunNotFoundError(
                "store", got="no finished run", wanted="at least one", remedy="Prune a model on the Prune page."
            )
        run_id = usable[0].id
    try:
        return open_cached(run_id)
    except RunNotFoundError:
        links.forget("run")
        raise


def current_matrix(run: Run) -> pd.Series:
    """The line of the matrix that the address names, else of the first pruned one of a block.

    Raises:
        MatrixNotFoundError: the run has no matrix of that name.
    """
    name = links.value("matrix")
    if name is not None:
        try:
            return run.matrix(name)
        except MatrixNotFoundError:
            links.forget("matrix")
            raise
    table = run.matrices
    pruned = table[table["status"] == "pruned"]
    for wanted in (pruned[pruned["block"].notna() & (pruned["rows"] > 1)], pruned, table):
        if len(wanted):
            return wanted.iloc[0]
    raise MatrixNotFoundError(
        f"run {run.id}", got="no parameters", wanted="at least one", remedy="Choose another run in the sidebar."
    )


def without_its_layers(run_id: str) -> dict[str, None]:
    """``{"layer": None}`` where the address names a layer that another run does not have."""
    if links.value("layer") not in wording.PAIRED:
        return {}
    try:
        return {} if open_cached(run_id).restore == "base" else {"layer": None}
    except KencoreError:  # the page says it
        return {}


@contextmanager
def messages() -> Iterator[None]:
    """Show a mistake as a message on the page, and stop the page there."""
    try:
        yield
    except KencoreError as error:
        show_error(error)
        st.stop()


def show_error(error: KencoreError) -> None:
    """One look for every mistake: what is wrong, what was wanted, what to do."""
    subject, got, wanted = map(plain, (error.subject, error.got, error.wanted))
    st.error(f"**{subject}**: got {got}; wanted {wanted}.\n\n{plain(error.remedy)}", icon=":material/error:")
