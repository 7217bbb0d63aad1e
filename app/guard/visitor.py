"""Who sent a request, and who looks at a page: from the door to whatever reads the store.

The door puts the name of who it let in on the request, in a header that nobody else can set (`enter` drops it first),
and into the context of the request, for the data routes. Streamlit keeps the header for the session of a page.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from kencore.system.people import NOBODY

if TYPE_CHECKING:
    from starlette.types import Scope

HEADER: Final = "x-kenviz-user"
KEY: Final = "kenviz_user"  # of `st.user`
MOST: Final = 200  # characters of a name
_sender: ContextVar[str] = ContextVar("kenviz_sender", default=NOBODY)


def is_name(text: object) -> bool:
    """Whether a text can be the name of a person."""
    return isinstance(text, str) and 0 < len(text) <= MOST and text.isprintable() and text.strip() == text != "local"


def enter(scope: Scope, name: str | None, *, dropped: tuple[str, ...] = ()) -> Scope:
    """The request as it goes on: with the name of who sent it, and without what anybody could have written.

    Args:
        name: of who sent it; ``None``: nobody knows, and nobody has to.
        dropped: further headers that say who somebody is.
    """
    gone = {one.lower().encode() for one in (HEADER, *dropped)}
    headers = [(key, value) for key, value in scope["headers"] if key.lower() not in gone]
    if name is not None:
        headers.append((HEADER.encode(), quote(name, safe="@.").encode()))
    _sender.set(name or NOBODY)
    return {**scope, "headers": headers}


def viewer() -> str:
    """Who looks: of a page, by its session; of a data route, by its request; else `NOBODY`."""
    from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return _sender.get()
    found = unquote(str(context.user_info.get(KEY) or ""))
    return found if is_name(found) else NOBODY
