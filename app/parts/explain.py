"""Parts of the explain page: the sentence, its answers, the two paths, one neuron."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from app.charts import effects as moved
from app.charts import explain as charts
from app.charts import neuron as neurons
from app.frame import links, parts, state
from app.frame.draw import draw
from app.jobs import question
from app.parts import explain_ask
from kencore.errors import KencoreError
from kencore.explain import LONGEST_TEXT
from kencore.words import matrices
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.explain import Explanation
    from kencore.runs.run import Run
    from kencore.words.palette import Palette


def title(found: Explanation | None, dense: str) -> str:
    """What the models say, as the page's title; plain text."""
    if found is None:
        return "Explain one prediction"
    return state.plain(charts.answers_finding(found.facts, dense))


def sentence_form(text: str, example: str) -> None:
    """The sentence and the button; another one goes into the address. ``example`` stands for none."""
    st.session_state["explain_text"] = text

    def asked() -> None:
        typed = str(st.session_state["explain_text"] or "")
        question.allow(typed if typed.strip() else example)
        same = {} if (typed.strip() or example) == text else {"token": None}
        links.write(text=typed if typed.strip() else None, **same)

    with st.form("explain_form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("A sentence", key="explain_text", max_chars=LONGEST_TEXT, width="stretch")
        st.form_submit_button("Ask", type="primary", icon=":material/send:", on_click=asked)


def what_was_read(found: Explanation, truth: str = "") -> None:
    """How many tokens were read, which of them the model does not know, and what the data says of it."""
    tokens, cut = found.facts["tokens"], int(found.facts["cut"])
    said = [f"Read as {wording.plural(len(tokens), 'token')}"]
    strange = sum(bool(token["unknown"]) for token in tokens)
    if strange:
        said.append(f"{strange:,} unknown to the tokenizer, so the answer says little")
    if cut:
        end = "first" if found.facts["task"] == "language" else "last"
        said.append(f"the {end} {cut:,} left out: the model reads no more")
    said += [f"in the data {truth}"] if truth else []
    st.caption(state.plain("; ".join(said) + "."))


def answers(found: Explanation, run: Run, palette: Palette) -> None:
    """Probabilities of every state side by side, and what the states are."""
    terms = wording.TERMS[run.restore]
    draw(charts.answers(found.facts, palette, terms.dense), key="answers")
    base = (
        " Base: all resettable values are reset; what has no base, such as the head, is tuned."
        if "base" in found.facts["states"]
        else ""
    )
    st.caption(f"{_states(found, terms.dense)}{base}{_loss(found, terms.dense)}")


def _states(found: Explanation, dense: str) -> str:
    what = "the next token" if found.facts["task"] == "language" else "a label"
    return f"Probability that each model gives {what}. {dense.capitalize()}: before pruning. Pruned: this run."


def _loss(found: Explanation, dense: str) -> str:
    loss = found.facts["loss"]
    if not loss or loss["dense"] is None:
        return ""
    return (
        f" Loss on the sentence: {loss['dense']:.2f} {dense}, {loss['pruned']:.2f} pruned (nats per token; lower "
        "is better)."
    )


def where_paths_part(found: Explanation, dense: str, palette: Palette) -> None:
    """Distance of the hidden states, by block and by token."""
    with st.grid(2, min_column_width=420, gap="medium") as grid:
        with grid.cell():
            draw(charts.paths(found.facts, palette), key="paths")
        with grid.cell():
            draw(charts.token_map(found.facts, palette), key="paths-by-token")
    st.caption(
        f"Length of the difference of hidden states, relative to the {dense} ones. “Input” enters the first block."
    )


# --- one neuron ------------------------------------------------------------------------------


def one_neuron(found: Explanation, run: Run, palette: Palette) -> None:
    """A matrix, a neuron of it and a token: what its changed weights did."""
    listed = found.facts["matrices"]
    if not listed and not found.facts["left_out"]:
        st.caption("No pruned matrix of a block could be recorded on this sentence.")
        return
    try:
        name = _matrix(found, run)
    except KencoreError as error:
        state.show_error(error)
        _choose_matrix(run, found, _first(found, run), asked=False)
        return
    what_moved_it(found, run, name, palette)
    _choose_matrix(run, found, name)
    inside = found if name in listed else _block_alone(found, run, name)
    if inside is None:
        return
    try:
        row, token = _row_and_token(inside, run, name)
    except KencoreError as error:
        state.show_error(error)
        _choose_neuron(inside, run, name, *inside.chosen(run, name), asked=False)
        return
    found = inside
    _choose_neuron(found, run, name, row, token)
    with state.messages():
        told = found.contributions(run, name, row, token)
    _show(found, run, (name, row, token), told, palette)


def what_moved_it(found: Explanation, run: Run, name: str, palette: Palette) -> None:
    """What the changed weights of every matrix did to the answer; a click looks into one."""
    if not found.effects:
        if isinstance(why := found.facts.get("effects"), str):
            st.caption(f"Which matrix moved the answer is not told: {state.plain(why)}.")
        return
    names, dense = moved.ranked(found.facts), wording.TERMS[run.restore].dense

    def look(place: int) -> None:
        if place < min(len(names), moved.TOP) and names[place] != name:
            links.write(matrix=names[place], block=None, neuron=None, token=None)
            st.rerun()

    chart = moved.effects(found.facts, _titles(run, names), name, palette)
    with st.container(key="effects"):
        draw(chart, key=f"effects-{name}", point=look)  # another matrix, another key: the click is done with
    st.caption(moved.effects_caption(found.facts, dense))


def _titles(run: Run, names: list[str]) -> dict[str, str]:
    """Matrices in words, told apart."""
    table = run.matrices
    return parts.told_apart({n: matrices.title(run.matrix(n), table) for n in names})


def _matrix(found: Explanation, run: Run) -> str:
    """The matrix that the address names, else one of the block it names, else what moved the answer most."""
    known = list(found.facts["matrices"]) + list(found.facts["left_out"])
    asked, block = st.query_params.get("matrix"), links.number("block")
    if asked is not None:
        run.matrix(asked)  # says it where there is no such matrix
        if asked in known:
            return asked
    inside = [n for n in known if block is not None and run.matrix(n)["block"] == block]
    if block is not None and not inside:
        last = max(int(run.matrix(n)["block"]) for n in known)
        links.number("block", high=last)
    return str((inside or [_first(found, run)])[0])


def _first(found: Explanation, run: Run) -> str:
    return found.telling(run) if found.facts["matrices"] else str(next(iter(found.facts["left_out"])))


def _block_alone(found: Explanation, run: Run, name: str) -> Explanation | None:
    """Look into the block of a matrix that was too much to keep with all others."""
    reason = str(found.facts["left_out"].get(name, ""))
    block = int(run.matrix(name)["block"])
    if "ask for its block" not in reason:
        st.caption(f"This matrix cannot be analyzed: {state.plain(reason)}.")
        return None
    wider = explain_ask.ask(run, found.facts["text"], block=block, key="ask-block")
    return wider if wider is not None and name in wider.facts["matrices"] else None


def _row_and_token(found: Explanation, run: Run, name: str) -> tuple[int, int]:
    rows, tokens = run.shape(name)[0], len(found.facts["tokens"])
    row = links.number("neuron", high=rows - 1)
    token = links.number("token", high=tokens - 1)
    return found.chosen(run, name, row, token)


def _choose_matrix(run: Run, found: Explanation, name: str, *, asked: bool = True) -> None:
    """Which matrix; ``asked``: it is the one that is shown, not a way on from a bad address."""
    names = [*found.facts["matrices"], *found.facts["left_out"]]
    if name not in names:
        names.append(name)
    labels = _titles(run, names)
    st.session_state["explain_matrix"] = name if asked else None

    def chosen() -> None:
        links.write(matrix=st.session_state["explain_matrix"], block=None, neuron=None, token=None)

    st.selectbox(
        "Matrix",
        names,
        key="explain_matrix",
        on_change=chosen,
        width=360,
        format_func=labels.__getitem__,
        placeholder="Choose a matrix",
    )


def _choose_neuron(found: Explanation, run: Run, name: str, row: int, token: int, *, asked: bool = True) -> None:
    """Which neuron, on which token. ``asked`` as in `_choose_matrix`."""
    rows = run.shape(name)[0]
    top = found.neurons(name)
    tokens = found.facts["tokens"]
    st.session_state["explain_neuron"] = row if asked else None
    st.session_state["explain_token"] = token
    st.session_state["explain_top"] = row if row in top and asked else None

    def to(**params: int | None) -> None:
        links.write(matrix=name, block=None, **params)

    def typed() -> None:
        number = min(max(int(st.session_state["explain_neuron"] or 0), 0), rows - 1)
        to(neuron=number, token=token if asked else None)

    def picked() -> None:
        if st.session_state["explain_top"] is not None:
            to(neuron=int(st.session_state["explain_top"]), token=token if asked else None)

    def other_token() -> None:
        to(neuron=row, token=int(st.session_state["explain_token"]))

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            f"Neuron, 0 to {rows - 1:,}",
            0,
            rows - 1,
            key="explain_neuron",
            on_change=typed,
            width=160,
            help="One row of the matrix: the weights of one output.",
        )
        st.selectbox(
            "Token",
            range(len(tokens)),
            key="explain_token",
            on_change=other_token,
            width=220,
            format_func=lambda i: f"{i}: {charts.shown(str(tokens[i]['text']))}",
        )
    st.pills(
        "Neurons that moved the answer most" if found.effects else "Neurons that changed most on this sentence",
        top,
        key="explain_top",
        on_change=picked,
    )


def _show(found: Explanation, run: Run, chosen: tuple[str, int, int], told: Any, palette: Palette) -> None:
    name, row, token = chosen
    dense = wording.TERMS[run.restore].dense
    line = slice(row, row + 1)
    place = found.facts["matrices"][name]["input"]
    inputs = found.arrays[f"{place}.dense"][token]
    table = neurons.contribution_table(
        told, told.top(neurons.TOP), run.values(name, "tuned", line)[0], run.values(name, "pruned", line)[0], inputs
    )
    with st.grid(2, min_column_width=420, gap="medium") as grid:
        with grid.cell():
            draw(neurons.parts(told, palette, dense), key="neuron-parts")
        with grid.cell():
            if len(table):
                draw(neurons.contributions(table, told, palette), key="neuron-weights")
            else:
                st.caption("No changed weight of this neuron contributed here.")
    st.caption(
        f"Output = weights × input + bias. The change is the sum of two parts: changed weights on the {dense} "
        "model's input, and changed input from earlier matrices. Bars to the right: it raised the output; "
        "to the left: it lowered it."
    )
    if len(table):
        with st.expander("These weights as a table", icon=":material/table:"):
            st.dataframe(
                _named(table, wording.TERMS[run.restore]),
                hide_index=True,
                placeholder="–",
                alt="The weights that contributed most",
            )
    with st.container(horizontal=True):
        links.page_link("row", "How this row was chosen", icon=":material/show_chart:", matrix=name, row=row)
        links.page_link(
            "matrix",
            "Show it in the matrix",
            icon=":material/grid_on:",
            matrix=name,
            row=row,
            col=int(table["column"].iloc[0]) if len(table) else 0,
        )


def _named(table: pd.DataFrame, terms: wording.Terms) -> pd.DataFrame:
    dense = f"{terms.dense.capitalize()} weight"
    names = {
        "column": "Input",
        "dense": dense,
        "pruned": "Pruned weight",
        "input": "It reads",
        "contribution": "Contribution",
    }
    return table.rename(columns=names)
