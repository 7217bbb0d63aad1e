"""Every view is a link: page names, addresses, and what the address bar says.

The address is the truth. ``run``, ``matrix`` and ``sweep`` are also remembered for the session, so
that moving between pages from the menu (which empties the address) keeps what was being looked at.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import streamlit as st
from streamlit.errors import StreamlitAPIException

from kencore.errors import KencoreError

PAGES: Final = {
    "overview": "app_pages/overview/page.py",
    "story": "app_pages/story/page.py",
    "map": "app_pages/map/page.py",
    "matrix": "app_pages/matrix/page.py",
    "row": "app_pages/row/page.py",
    "layers": "app_pages/layers/page.py",
    "explain": "app_pages/explain/page.py",
    "flips": "app_pages/flips/page.py",
    "sparsity": "app_pages/sparsity/page.py",
    "runs": "app_pages/runs/page.py",
    "compare": "app_pages/compare/page.py",
    "tradeoff": "app_pages/tradeoff/page.py",
    "prune": "app_pages/prune/page.py",
    "tune": "app_pages/tune/page.py",
    "recover": "app_pages/recover/page.py",
}
STICKY: Final = ("run", "matrix", "sweep")
_MEMORY: Final = "kenviz_last_seen"
_WRONG: Final = "kenviz_not_there"
_OF: Final = "run of the matrix"
_PAGE: Final = "kenviz_page"
_VISIT: Final = "kenviz_visit"
_RUN: Final = "kenviz_run_in_the_address"
_JUMPS: Final = "kenviz_jumps"


class LinkError(KencoreError):
    """The address names something that is not there, or not of the right form."""


def link(page: str, **params: object) -> str:
    """A relative address of ``page`` with ``params``; ``None`` values are left out.

    Relative, so that it also works behind a base path. Raises KeyError for an unknown page.
    """
    path = PAGES[page].split("/")[1]
    given = [(key, str(value)) for key, value in params.items() if value is not None]
    address = "./" if page == "overview" else path
    return address + (f"?{urlencode(given)}" if given else "")


def page_link(page: str, label: str, *, icon: str | None = None, help: str | None = None, **params: object) -> None:
    """Draw a link to another page that keeps the session; the run is carried along."""
    carried = {"run": value("run"), **params}
    query = {key: str(item) for key, item in carried.items() if item is not None}
    st.page_link(PAGES[page], label=label, icon=icon, help=help, query_params=query)


def go(page: str, **params: object) -> None:
    """Switch to another page now; the run is carried along."""
    carried = {"run": value("run"), **params}
    query = {key: str(item) for key, item in carried.items() if item is not None}
    st.switch_page(PAGES[page], query_params=query)


def value(name: str) -> str | None:
    """What the address says for ``name``; for a sticky one, else what was seen last."""
    here: str | None = st.query_params.get(name)
    if name not in STICKY:
        return here
    if here is not None:
        if _wrong().get(name) != here:
            _remember(name, here)
        return here
    if name == "matrix" and _memory().get(_OF) != value("run"):
        return None  # of another run, which may have none of that name
    return _memory().get(name)


def forget(name: str) -> None:
    """What the address or the memory says for ``name`` is not there: do not carry it along."""
    text = st.query_params.get(name) or _memory().get(name)
    if text is not None:
        _wrong()[name] = text
    _memory().pop(name, None)


def arrive(page: str) -> None:
    """Note which page runs now, by its address; see `visit`.

    A link from a page to itself is followed without a change of the browser's address: that is made good here.
    """
    run = st.query_params.get("run")
    if st.session_state.get(_PAGE) != page:
        st.session_state[_VISIT] = visit() + 1
    elif run is not None and run != st.session_state.get(_RUN):
        st.session_state[_JUMPS] = jumps() + 1
        query = {key: st.query_params.get_all(key) for key in st.query_params}
        _replace(query, query)
    st.session_state[_PAGE], st.session_state[_RUN] = page, run


def jumps() -> int:
    """How many times in this session a link led from a page to itself, for another run."""
    count: int = st.session_state.get(_JUMPS, 0)
    return count


def visit() -> int:
    """How many times a page was come to in this session. An address that says nothing comes from
    the menu in the first run of a visit, and from going back in a later one.
    """
    count: int = st.session_state.get(_VISIT, 0)
    return count


def restore(*names: str) -> None:
    """Put what was seen last back into an address that says nothing of it (after the menu)."""
    silent = [name for name in names if name not in st.query_params]
    write(**{name: seen for name in silent if (seen := value(name)) is not None})


def number(name: str, *, low: int = 0, high: int | None = None) -> int | None:
    """A whole number from the address, ``None`` where it says nothing.

    Raises:
        LinkError: not a whole number, or outside ``low`` to ``high`` (both included).
    """
    text = value(name)
    if text is None:
        return None
    limit = f"{low} to {high}" if high is not None else f"{low} or more"
    plain = text.isascii() and text.isdigit() and len(text) <= 12
    if not plain or int(text) < low or (high is not None and int(text) > high):
        raise LinkError(
            f"{name} in the address",
            got=repr(text),
            wanted=f"a whole number, {limit}",
            remedy="Correct the address, or use the controls on this page.",
        )
    return int(text)


def choice(name: str, options: tuple[str, ...], default: str) -> str:
    """One of ``options`` from the address, ``default`` where it says nothing.

    Raises:
        LinkError: the address says something else.
    """
    text = value(name)
    if text is None:
        return default
    if text not in options:
        raise LinkError(
            f"{name} in the address",
            got=repr(text),
            wanted=f"one of {', '.join(options)}",
            remedy="Correct the address, or use the controls on this page.",
        )
    return text


def write(**params: object) -> None:
    """Put ``params`` into the address (``None`` removes) and remember the sticky ones.

    One change of the address for all of them, so that "back" takes one step.
    """
    query = {key: st.query_params.get_all(key) for key in st.query_params}
    changed = dict(query)
    for key, item in params.items():
        if item is None:
            changed.pop(key, None)
        else:
            changed[key] = [str(item)]
        if key in STICKY and item is None:
            _memory().pop(key, None)
        elif key in STICKY:
            _remember(key, str(item))
    if changed != query:
        _replace(query, changed)
        st.session_state[_RUN] = st.query_params.get("run")


def _replace(old: dict[str, list[str]], new: dict[str, list[str]]) -> None:
    try:
        st.query_params.from_dict(new)
    except StreamlitAPIException:  # a widget of this page holds one of them: leave that one alone
        fresh = {key: item for key, item in new.items() if old.get(key) != item}
        st.query_params.update(fresh)
        for key in old.keys() - new.keys():
            del st.query_params[key]


def _remember(name: str, text: str) -> None:
    _memory()[name] = text
    if name == "matrix":
        run = st.query_params.get("run") or _memory().get("run")
        _memory()[_OF] = run


def _wrong() -> dict[str, str]:
    """What was not there, by name: the last of each."""
    wrong: dict[str, str] = st.session_state.setdefault(_WRONG, {})
    return wrong


def _memory() -> dict[str, str | None]:
    memory: dict[str, str | None] = st.session_state.setdefault(_MEMORY, {})
    return memory
