"""Parts of the page Runs: the table, and what is done with the runs that are chosen in it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from app.frame import links, state
from app.parts import compare_runs
from kencore.runs import shelf
from kencore.runs.labels import LONGEST_NAME
from kencore.system import people
from kencore.words import numbers as wording
from kencore.words import run_list

if TYPE_CHECKING:
    from kencore.runs.shelf import RunSummary
    from kencore.words.run_list import Judged, RunLine

TABLE: Final = "runs_table"
ROW: Final = 84  # pixels of a row of the narrow table: four lines of text
MOST: Final = 1000  # rows, unless more are asked for
MEASURES: Final = {"accuracy": "Accuracy", "similarity": "Similarity", "perplexity": "Perplexity"}
ROUND: Final = "kenviz_runs_round"  # how often the table was made anew: rows that are gone are not chosen


def title(lines: list[RunLine]) -> str:
    """How many runs there are, and how many are safe."""
    levels = Counter(line.judged.level for line in lines if line.judged.level is not None)
    said = ", ".join(
        f"{levels[level]:,} {level}" for level in ("safe", "unclear", "damaged", "ruined") if levels[level]
    )
    return wording.plural(len(lines), "run") + (f": {said}" if said else "")


def tags_of(lines: list[RunLine]) -> list[str]:
    """All tags in use."""
    return sorted({tag for line in lines for tag in line.found.tags})


def tagged(lines: list[RunLine]) -> list[RunLine]:
    """The runs with the tag that is chosen, all where none is."""
    tags = tags_of(lines)
    if not tags:
        return lines
    asked = links.value("tag")
    st.session_state["runs_tag"] = asked if asked in tags else None

    def chosen() -> None:
        links.write(tag=st.session_state["runs_tag"])

    tag = st.pills("Tag", tags, key="runs_tag", on_change=chosen, format_func=state.plain)
    return [line for line in lines if tag is None or tag in line.found.tags]


def newest(runs: list[RunSummary]) -> list[RunSummary]:
    """The runs that the table shows: the first `MOST` of a great many, or all where a person asked."""
    if len(runs) <= MOST:
        return runs
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"The first {MOST:,} of {len(runs):,} runs.")
        every = st.toggle("Show all", key="runs_all")
    return runs if every else runs[:MOST]


def table(lines: list[RunLine]) -> list[RunLine]:
    """The table; returns the runs that are chosen in it."""
    if not lines:
        st.caption("No finished run yet.")
        return []
    with st.container(key="runs-wide"):
        rows = _wide(lines)
    with st.container(key="runs-narrow"):  # one of the two is seen, by the width of the page: see page.css
        rows |= _narrow(lines)
    return [lines[at] for at in sorted(rows) if at < len(lines)]


def _wide(lines: list[RunLine]) -> set[int]:
    """A column for each thing that is known; returns the rows that are chosen."""
    percent = st.column_config.NumberColumn(format="%.1f %%")
    event = st.dataframe(
        frame(lines),
        key=f"{TABLE}_{st.session_state.get(ROUND, 0)}",
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height="content" if len(lines) < 12 else 520,
        placeholder="",
        alt="All runs with verdict, method, share kept, quality and date",
        column_config={
            # at 1440 pixels the link at the end is in view, at 900 the quality
            "Run": st.column_config.TextColumn(width=265),
            "Method": st.column_config.TextColumn(width=150),
            "Kept": percent,
            "Accuracy": percent,
            "Similarity": percent,
            "Perplexity": st.column_config.NumberColumn(format="localized", step=0.1),  # cut to tenths, not rounded
            "Made": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Tags": st.column_config.ListColumn(),
            "Open": st.column_config.LinkColumn(display_text="run", width="small"),
        },
    )
    return set(event.selection.rows)


def _narrow(lines: list[RunLine]) -> set[int]:
    """For a phone: the name of a run, and beside it all else in one text; returns the rows that are chosen."""
    event = st.dataframe(
        pd.DataFrame({"Run": [line.found.label for line in lines], "Result": [run_list.brief(line) for line in lines]}),
        key=f"{TABLE}_narrow_{st.session_state.get(ROUND, 0)}",
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        row_height=ROW,
        height=520 if len(lines) > 520 // ROW else "content",
        placeholder="",
        alt="All runs, each with verdict, quality, share kept and method",
        column_config={name: st.column_config.TextColumn(width=155) for name in ("Run", "Result")},
    )
    return set(event.selection.rows)


def frame(lines: list[RunLine]) -> pd.DataFrame:
    """One line per run; columns that no run fills are left out."""
    judged = [line.judged for line in lines]
    shown = pd.DataFrame(
        {
            "Run": [line.found.label for line in lines],
            "Verdict": [one.level for one in judged],
            **{  # beside the verdict that they lead to: a page of 900 pixels shows both
                label: [_value(one) if one.measure == name else None for one in judged]
                for name, label in MEASURES.items()
            },
            "Kept": [None if line.kept is None else 100 * line.kept for line in lines],
            "Method": [line.rule for line in lines],
            "Made": pd.to_datetime([line.found.created for line in lines], errors="coerce", utc=True, format="ISO8601"),
            "Tags": [list(line.found.tags) or None for line in lines],
            "Owner": [line.found.owner for line in lines],
            "Open": [links.link("overview", run=line.found.id) for line in lines],
        }
    )
    return shown.dropna(axis="columns", how="all")


def _value(judged: Judged) -> float | None:
    """A share in percent; a perplexity in tenths, as the table cuts off the rest."""
    if judged.pruned is None:
        return None
    return round(judged.pruned, 1) if judged.measure == "perplexity" else 100 * judged.pruned


# --- what is done with the chosen ones --------------------------------------------------------


def change(picked: list[RunLine], tags: list[str]) -> None:
    """Open or compare what is chosen, and change what is a person's own."""
    own = [line.found for line in picked if shelf.may_change(line.found.path)]
    with st.container(border=True):
        _look(picked)
        if len(picked) == 1 and own:
            _rename(own[0])
        if own:
            _tags(own, tags)
            with st.container(horizontal=True, vertical_alignment="center"):
                if people.viewer() is not None:
                    _share(own)
                _delete(own)
        elif any(line.found.owner for line in picked):
            st.caption("Shared runs are changed by their owner.")
        else:
            st.caption("Runs that belong to nobody, such as those that come with KEN_viz, keep their name.")


def _look(picked: list[RunLine]) -> None:
    ids = [line.found.id for line in picked]
    with st.container(horizontal=True, vertical_alignment="center"):
        named = picked[0].found.label if len(ids) == 1 else wording.plural(len(ids), "run")
        st.markdown(f"**{state.plain(named)}**", width="stretch")
        if len(ids) == 1:
            links.page_link("overview", "Open", icon=":material/arrow_forward:", run=ids[0])
        elif len(ids) <= compare_runs.MOST:
            beside = compare_runs.address(ids[1:])
            links.page_link("compare", "Compare", icon=":material/compare_arrows:", run=ids[0], **beside)


def _rename(run: RunSummary) -> None:
    def renamed() -> None:
        _saved([run], name=str(st.session_state[key] or ""))

    key = f"name-{run.id}"
    st.session_state[key] = run.name or ""
    st.text_input("Name", key=key, max_chars=LONGEST_NAME, placeholder=run.label, on_change=renamed)


def _tags(runs: list[RunSummary], known: list[str]) -> None:
    """Tags that all of the chosen runs have; a change is made to each of them."""
    common = [tag for tag in runs[0].tags if all(tag in run.tags for run in runs)]
    key = f"tags-{'-'.join(run.id for run in runs)[:80]}"
    st.session_state[key] = common

    def changed() -> None:
        now = list(st.session_state[key])
        gone = [tag for tag in common if tag not in now]
        _saved(runs, add=[tag for tag in now if tag not in common], remove=gone)

    options = list(dict.fromkeys([*known, *common]))
    st.multiselect(
        "Tags", options, key=key, on_change=changed, accept_new_options=True, placeholder="Choose or type a tag"
    )


def _saved(runs: list[RunSummary], **changes: object) -> None:
    with state.messages():
        for run in runs:
            shelf.relabel_run(run.id, **changes)  # type: ignore[arg-type]
    state.forget_runs()


def _share(runs: list[RunSummary]) -> None:
    """Whether all people of the server see the chosen runs; they can change nothing of them."""
    key = f"share-{'-'.join(run.id for run in runs)[:80]}"
    st.session_state[key] = all(run.shared for run in runs)

    def changed() -> None:
        with state.messages():
            for run in runs:
                shelf.share_run(run.id, bool(st.session_state[key]))
        state.forget_runs()

    st.toggle("Shared: all people of this server may look", key=key, on_change=changed)


def _delete(runs: list[RunSummary]) -> None:
    what = "this run" if len(runs) == 1 else f"these {len(runs)} runs"
    with st.popover("Delete", icon=":material/delete:", type="tertiary", width="content"):
        st.markdown(f"Delete {what} for good?")
        st.button(f"Delete {what}", type="primary", icon=":material/delete:", on_click=_deleted, args=(runs,))


def _deleted(runs: list[RunSummary]) -> None:
    with state.messages():
        for run in runs:
            shelf.delete_run(run.id)
    state.forget_runs()
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
    if links.value("run") in {run.id for run in runs}:
        links.write(run=None, matrix=None)


def broken(runs: list[RunSummary]) -> None:
    """Folders of the store that cannot be opened, and why."""
    if not runs:
        return
    st.header("Folders that cannot be read")
    for run in runs:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"**{state.plain(run.id)}**: {state.plain(run.problem or '')}", width="stretch")
            st.button(
                "Delete",
                icon=":material/delete:",
                type="tertiary",
                key=f"broken-{run.id}",
                on_click=_deleted,
                args=([run],),
            )
