"""What surrounds every page: settings of the browser tab, the menu, the choice of run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.forms import recover as recover_form
from app.frame import links, parts, state
from kencore.errors import KencoreError
from kencore.system import people

ART: Final = Path(__file__).resolve().parent / "frame"

MOST: Final = 500  # runs in the box of the sidebar, which every page sends to the browser
FITS: Final = 24  # letters that the box of runs has room for; longer names are said below it
OF_A_MATRIX: Final = ("matrix", "tune", "row", "layers", "sparsity")
OF_FORMS: Final = ("prune", "recover", "tradeoff")  # some of their fields report with the next click

# page, name in the menu, icon, what it is for
MENU: Final = {
    "See": (
        ("overview", "Overview", "dashboard", "What a run kept or changed, block by block, and the cost in quality."),
        ("story", "Story", "auto_stories", "The run explained step by step."),
        ("map", "Map", "map", "The whole model on one map, down to a single weight."),
        ("matrix", "Matrix", "grid_on", "One matrix, down to a single weight."),
        ("row", "Row", "show_chart", "One row: its values, and why each was kept, changed or not."),
        ("layers", "Layers", "layers", "The same matrix in every block, side by side."),
    ),
    "Understand": (
        ("explain", "Explain", "psychology", "How pruning changed the answer to one sentence."),
        ("flips", "Flips", "swap_vert", "Which answers pruning changed, one by one."),
        ("sparsity", "Sparsity", "bar_chart", "How sparsity is spread over blocks and rows, and why."),
    ),
    "Compare": (
        ("runs", "Runs", "table_rows", "All runs as a table: open, compare, rename, tag, delete."),
        ("compare", "Compare", "compare_arrows", "Two or more runs: what each keeps, and the cost."),
        ("tradeoff", "Trade-off", "stacked_line_chart", "Quality against size, from sweeps of many prunings."),
    ),
    "Make": (
        ("prune", "Prune", "content_cut", "Choose a model, a method and how much to keep."),
        ("tune", "Adjust", "tune", "Try other settings: painted at once, measured when the sliders rest."),
        ("recover", "Recover", "healing", "Train the kept weights to win back quality."),
    ),
}


if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

    from kencore.runs.shelf import RunSummary


def configure() -> None:
    """Title, icon and width of the browser tab. Own drawings: nothing comes from elsewhere."""
    st.set_page_config(page_title="KEN_viz", page_icon=str(ART / "icon.svg"), layout="wide")
    st.logo(str(ART / "logo.svg"), icon_image=str(ART / "icon.svg"), size="large")
    st.html(ART / "page.css")
    st.html(f"<style>{_titles_of_groups()}</style>")


def _titles_of_groups() -> str:
    """Each title of `MENU` above the first page of its group.

    Streamlit's own titles are items of the list of pages that a screen reader cannot make sense of.
    """
    rules, before = [], 0
    for title, pages in MENU.items():
        rules.append(f'[data-testid="stSidebarNavItems"] > li:nth-child({before + 1})::before {{content: "{title}"}}')
        before += len(pages)
    return "\n".join(rules)


def navigation() -> StreamlitPage:
    """The menu; returns the page to run. One list, all of it in view."""
    return st.navigation(
        [
            st.Page(
                links.PAGES[page],
                title=name,
                icon=f":material/{icon}:",
                help=words,
                url_path=page,
                default=page == "overview",
            )
            for pages in MENU.values()
            for page, name, icon, words in pages
        ],
        expanded=True,
    )


def sidebar(page: StreamlitPage) -> str | None:
    """The choice of run; returns which one is shown, if any.

    A store that cannot be read is said here and nowhere breaks a page.
    """
    links.arrive(page.url_path)
    links.restore("run", *(["matrix"] if page.url_path in OF_A_MATRIX else []))
    with st.sidebar:
        try:
            runs = state.runs()
        except KencoreError as error:
            state.show_error(error)
            return None
        usable = {run.id: run for run in runs if run.problem is None} | _point_of_a_sweep()
        broken = [run for run in runs if run.problem]
        if usable:
            _picker(usable, page.url_path)
        else:
            st.caption("No finished run yet. Prune a model on the Prune page.")
        _signed_in()
        if broken:
            with st.expander(f"{len(broken)} folder(s) cannot be read"):
                for run in broken:
                    st.caption(f"**{state.plain(run.id)}**: {state.plain(str(run.problem))}")
    shown: str | None = st.session_state.get("run_choice") if usable else None
    return shown


def _signed_in() -> None:
    """On a server of several people: who this is, and the way out where there is a login of its own."""
    name = people.viewer()
    if name is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/person: {state.plain(name)}", width="stretch")
        if st.user.get("is_logged_in"):
            st.button("Sign out", type="tertiary", on_click=st.logout)


def _picker(every: dict[str, RunSummary], page: str) -> None:
    asked = links.value("run")
    usable = _newest(every, asked)
    options = list(usable)
    index = options.index(asked) if asked in usable else (0 if asked is None else None)
    st.session_state["run_choice"] = options[index] if index is not None else None

    def chosen() -> None:
        name = st.session_state["run_choice"]
        form = recover_form.FORM.nothing() if page == "recover" else {}  # it is about one run
        links.write(
            run=name,
            matrix=None,
            at=None,
            row=None,
            col=None,
            r0=None,
            r1=None,
            c0=None,
            c1=None,
            neuron=None,
            token=None,
            block=None,
            **state.without_its_layers(name),
            **form,
        )

    labels = parts.told_apart({run.id: run.label for run in usable.values()})
    more = len(every) - len(usable)
    st.selectbox(
        "Run",
        options,
        key="run_choice",
        format_func=labels.__getitem__,
        on_change=chosen,
        placeholder="Choose a run",
        help="All pages show this run; the address names it.",
    )
    if more:
        links.page_link("runs", f"{more:,} more on Runs", icon=":material/table_rows:")
    name = st.session_state["run_choice"]
    if name is not None and len(labels[name]) > FITS:
        st.caption(state.plain(labels[name]))
    if name is not None and (sweep := usable[name].sweep) is not None:
        links.page_link("tradeoff", "A point of a sweep", icon=":material/stacked_line_chart:", sweep=sweep)


def _newest(every: dict[str, RunSummary], asked: str | None) -> dict[str, RunSummary]:
    """The runs that the box offers, in their order: the first `MOST`, and the one that is looked at."""
    if len(every) <= MOST:
        return every
    first = dict(list(every.items())[:MOST])
    return first | ({asked: every[asked]} if asked in every else {})


def _point_of_a_sweep() -> dict[str, RunSummary]:
    """The run being looked at, where it is one of the many that the list leaves out."""
    from kencore.runs.shelf import POINT, find_stored_run, summarise

    name = links.value("run")
    if name is None or not POINT.match(name):
        return {}
    try:
        found = summarise(find_stored_run(name))
    except KencoreError:  # the page says it
        return {}
    return {} if found.problem else {name: found}
