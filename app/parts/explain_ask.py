"""A sentence put to the worker: one job for the same run and text, whoever asks, whenever."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import state
from app.jobs import question
from app.jobs import submit as submitting
from kencore.errors import KencoreError
from kencore.explain import ContinueSpec, ExplainSpec, Explanation, open_explanation
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

FORM: Final = 2  # of what is found out: answers of another form are asked for again
AT_ONCE_BYTES: Final = 200e6  # models up to this size are asked without a click
EXAMPLES: Final = {
    "language": "The function returns a list of",
    "classification": "The food was good, but the service was slow.",
}


def example(run: Run) -> str:
    """A sentence to start with, of the kind that the model reads."""
    return EXAMPLES["language" if run.language else "classification"]


def small(run: Run) -> bool:
    """Whether a sentence takes a second or two, so that it needs no click."""
    return run.totals["bytes_dense"] <= AT_ONCE_BYTES


def ask(run: Run, text: str, *, block: int | None = None, key: str = "ask") -> Explanation | None:
    """What was found out about a sentence; while there is nothing yet, how far it is.

    The same run and text are one job: its result is found again in another tab or after a reload.
    What cannot be asked is said in place, and the page goes on.
    """
    try:
        spec = ExplainSpec(run=run.id, text=text, block=block)
        name = request("explain", run, spec)
        folder = question.ask(
            name,
            lambda: submitting.sentence(spec, name),
            key,
            about=text,
            wait=lambda: _wait(run, text, None if block is None else key),
            unasked=small(run),
        )
        return None if folder is None else _open(folder)
    except KencoreError as error:
        state.show_error(error)
        return None


def request(kind: str, run: Run, spec: ExplainSpec | ContinueSpec) -> str:
    """Names the question: the run as it is now, and the text."""
    asked = [kind, spec.to_json(), state.stamp(run.path), FORM]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _wait(run: Run, text: str, key: str | None) -> None:
    """What a click does and takes; a button for it where no form stands above."""
    submitting.get_ready()
    size = wording.size(run.totals["bytes_dense"])
    takes = "" if small(run) else f" This model is {size}: loading and two or three passes take a while."
    if key is None:
        st.caption(f"Press Ask, and both models read the sentence.{takes}")
        return
    st.caption(f"Both models read the sentence on your click.{takes}")
    st.button("Ask the models", icon=":material/play_arrow:", on_click=question.allow, args=(text,), key=f"{key}-may")


def _open(folder: Path) -> Explanation:
    return _read(folder, (folder / "result.json").stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read(folder: Path, _when: int) -> Explanation:
    return open_explanation(folder)
