"""A form in the address: what it says of its settings, what was said last, and what cannot be.

What is as usual is left out. A value that cannot be is said, left as usual, and leaves the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from app.forms.fields import CORRECT, Field
from app.frame import links
from app.frame.links import LinkError

_WIDGETS: Final = ("prune_", "tradeoff_", "recover_")
Table = dict[str, Field]
"""Every setting of a form by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a form said last, of which thing, in which visit of its page, and its widgets then."""

    visit: int
    of: str
    said: dict[str, str]
    widgets: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The words of one form in the address, and what they said last in this session.

    Attributes:
        key: of that memory.
        names: all words that belong to the form, in the order in which they are written.
    """

    key: str
    names: tuple[str, ...]

    def news(self, of: str = "") -> dict[str, str] | None:
        """What the address says, where the form does not show it yet; else ``None``.

        Where the form is shown anew, or for another thing (``of``), an address that says nothing
        comes from the menu and changes nothing. Where it was shown before, somebody went back.
        """
        said, known = self._said(), self._known()
        away: bool = st.session_state.pop(self._away, False)
        if known is None or (known.visit, known.of) != (links.visit(), of):
            return said or None
        if said == known.said or (away and not said):
            return None
        now = st.session_state
        moved = any(now.get(key, value) != value for key, value in known.widgets.items())
        return None if moved else said  # the address may lag behind the click before this one

    def write(self, said: Mapping[str, str], of: str = "", **more: object) -> None:
        """Put what the form says into the address, in place of what it said, and ``more``."""
        st.session_state[self.key] = _Known(visit=links.visit(), of=of, said=dict(said), widgets=_widgets())
        links.write(**{**self.nothing(), **said, **more})

    def last(self) -> dict[str, str]:
        """What the form said last."""
        known = self._known()
        return {} if known is None else known.said

    def nothing(self) -> dict[str, str | None]:
        """Every word of the form, to be taken out of the address."""
        return dict.fromkeys(self.names)

    def leave(self) -> None:
        """The page shows something else: the words go, what was filled in stays."""
        st.session_state[self._away] = True
        links.write(**self.nothing())

    @property
    def _away(self) -> str:
        return f"{self.key}_away"

    def _known(self) -> _Known | None:
        known: _Known | None = st.session_state.get(self.key)
        return known

    def _said(self) -> dict[str, str]:
        params = st.query_params
        return {name: text for name in self.names if (text := params.get(name)) is not None}


def read(said: Mapping[str, str], table: Table) -> tuple[dict[str, Any], list[LinkError]]:
    """All settings of a table, as usual where nothing is said; and what cannot be."""
    found = {name: field.usual for name, field in table.items()}
    wrong: list[LinkError] = []
    for name, text in said.items():
        try:
            if name not in table:
                raise _unknown(name, table)
            found[name] = table[name].read(text)
        except LinkError as error:
            wrong.append(error)
    return found, wrong


def fill(table: Table, settings: Mapping[str, Any]) -> None:
    """Give the widgets their values, before any of them is drawn."""
    for name, field in table.items():
        if settings[name] is not None or field.empty:
            st.session_state[field.key] = field.shown(settings[name])


def say(table: Table, settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings that are not as usual, as text."""
    changed = {
        name: field.say(settings[name])
        for name, field in table.items()
        if name in settings and settings[name] != field.usual
    }
    return {name: text for name, text in changed.items() if text is not None}


def _widgets() -> dict[str, Any]:
    """The values of all widgets of forms."""
    return {
        str(key): value
        for key, value in st.session_state.items()
        if str(key).startswith(_WIDGETS) and not isinstance(value, _Known)
    }


def _unknown(name: str, table: Table) -> LinkError:
    return LinkError(
        f"{name} in the address",
        got="a setting that this form does not have for such a model",
        wanted=f"one of {', '.join(table)}",
        remedy=CORRECT,
    )
