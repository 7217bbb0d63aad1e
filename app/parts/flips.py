"""Changed answers as several pages show them: the run's own, opened once, and examples of them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app.frame import links, state
from app.jobs import question
from kencore.errors import KencoreError
from kencore.runs.flips import FILE, Flips, read_flips, same_data
from kencore.views import flips as views
from kencore.words import flips as words
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

OFFERED: Final = 100  # on Explain
END: Final = 70  # characters before a token that are shown


def stored(run: Run) -> Flips | None:
    """What the run keeps of its changed answers, where it is about the data of its quality as it is now."""
    try:
        found = opened(run.path)
    except KencoreError as error:
        state.show_error(error)
        return None
    return found if found is not None and same_data(run.metrics, found.facts) else None


def opened(folder: Path) -> Flips | None:
    """The changed answers in a folder, read once. Raises as `read_flips`."""
    try:
        when = (folder / FILE).stat().st_mtime_ns
    except OSError:
        return None
    return _read(folder, when)


@lru_cache(maxsize=8)
def _read(folder: Path, _when: int) -> Flips | None:
    return read_flips(folder)


def has_answers(run: Run) -> bool:
    """Whether the model answers at all: an encoder without a head does not."""
    return run.metrics.get("task") != "embedding"


def asked_text(line: pd.Series[Any], *, token: bool) -> str | None:
    """What Explain is asked of a line: the sentence, or what stands before the token; ``None`` for a pair."""
    return None if line["pair"] or (token and not line["text"]) else str(line["text"])


def examples(table: pd.DataFrame, facts: dict[str, Any], run: Run) -> None:
    """A few lines as sentences, each with a link to Explain where the run has what that needs."""
    dense = wording.TERMS[run.restore].dense
    token = words.is_text(facts)
    for _, line in table.iterrows():
        before, after = (
            state.plain(words.answer(line[side], line[f"{side}_p"], token=token)) for side in ("dense", "pruned")
        )
        truth = words.shown(line["truth"]) if token else str(line["truth"])
        with st.container(border=True, gap=None):
            st.markdown(state.plain(text_of(line, token=token)))
            st.caption(
                f"{'Next token' if token else 'Label'}: **{state.plain(truth)}** · {dense} {before} → pruned {after}"
            )
            if (asked := asked_text(line, token=token)) is not None and not run.thin:
                links.page_link("explain", "Explain it", icon=":material/psychology:", text=asked)


def pick(run: Run, text: str) -> None:
    """On Explain: a sentence whose answer changed, in place of one that is typed."""
    found = stored(run)
    if found is None:
        return
    token = words.is_text(found.facts)
    table = views.chosen(found.table, "changed", OFFERED)
    offered = {i: asked for i, (_, line) in enumerate(table.iterrows()) if (asked := asked_text(line, token=token))}
    if not offered:
        return
    st.session_state["explain_pick"] = next((i for i, asked in offered.items() if asked == text), None)

    def chosen() -> None:
        number = st.session_state["explain_pick"]
        if number is not None:
            question.allow(offered[number])
        links.write(text=None if number is None else offered[number], token=None)

    def label(number: int) -> str:
        line = table.iloc[number]
        sides = (words.answer(line[side], line[f"{side}_p"], token=token) for side in ("dense", "pruned"))
        return f"{text_of(line, token=token)} ({' → '.join(sides)})"

    st.selectbox(
        "Or one whose answer pruning changed",
        list(offered),
        key="explain_pick",
        on_change=chosen,
        format_func=label,
        placeholder="Choose one, the largest KL first",
    )


def truth(run: Run, text: str) -> str:
    """What the data says of a sentence whose answer changed; "" of any other."""
    found = stored(run)
    if found is None:
        return ""
    token = words.is_text(found.facts)
    lines = found.table.loc[(found.table["text"] == text) & (found.table["pair"].fillna("") == ""), "truth"].unique()
    if len(lines) != 1:
        return ""
    return f"the text goes on with “{words.shown(lines[0])}”" if token else f"its label is “{lines[0]}”"


def text_of(line: pd.Series[Any], *, token: bool, end: int = END) -> str:
    """A sentence, a pair of them, or the end of what stands before a token, in one line."""
    if not token:
        return " / ".join(part for part in (line["text"], line["pair"]) if part)
    text = " ".join(line["text"].split())
    return text if len(text) <= end else "…" + text[-end + 1 :]
