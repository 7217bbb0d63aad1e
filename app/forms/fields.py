"""Forms in the address: words of the address to settings, settings to words, what was seen last.

Each form has a table of its own: `app.forms.prepared` (Prune), `app.forms.prepared_sweep`,
`app.forms.prepared_recover`. What is as usual is left out. A value that cannot be is said, left as
usual, and leaves the address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from app.frame import links
from app.frame.links import LinkError
from kencore.errors import SpecError
from kencore.system.devices import check_device

LARGE: Final = 2**53 - 1
_WIDGETS: Final = ("prune_", "tradeoff_", "recover_")
_CORRECT: Final = "Correct the address, or choose from what this page offers."


def plainly(setting: Any) -> str | None:
    """A setting as text; ``None`` and a text without letters say nothing."""
    return None if setting is None else str(setting) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting in the address.

    Attributes:
        key: of its widget.
        usual: what it is without a word in the address, as a setting.
        read: text of the address to a setting; raises `LinkError`.
        say: a setting as text of the address; ``None``: it has nothing to say.
        widget: a setting as the value of the widget.
        empty: the widget can show ``None``; else it is left alone then.
    """

    key: str
    usual: Any
    read: Callable[[str], Any]
    say: Callable[[Any], str | None] = plainly
    widget: Callable[[Any], Any] = lambda value: value
    empty: bool = False


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


def _widgets() -> dict[str, Any]:
    """The values of all widgets of forms."""
    return {
        str(key): value
        for key, value in st.session_state.items()
        if str(key).startswith(_WIDGETS) and not isinstance(value, _Known)
    }


Table = dict[str, Field]


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
            st.session_state[field.key] = field.widget(settings[name])


def say(table: Table, settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings that are not as usual, as text."""
    changed = {
        name: field.say(settings[name])
        for name, field in table.items()
        if name in settings and settings[name] != field.usual
    }
    return {name: text for name, text in changed.items() if text is not None}


# --- kinds of fields --------------------------------------------------------------------------


def choice(name: str, key: str, options: tuple[str, ...], usual: str | None = None) -> Field:
    """One of some words, the first of them as usual."""

    def read(text: str) -> str:
        if text not in options:
            raise wrong(name, text, f"one of {', '.join(options)}")
        return text

    return Field(key=key, usual=options[0] if usual is None else usual, read=read)


def several(
    name: str,
    key: str,
    usual: tuple[Any, ...],
    wanted: str,
    *,
    one: Callable[[str], Any] = str,
    say: Callable[[Any], str] = str,
    shown: Callable[[Any], str] = str,
) -> Field:
    """Values with commas between them, at least one, none twice.

    Args:
        one: the text of one to its value; raises ValueError.
        say, shown: a value as text of the address, and as an option of the widget.
    """

    def read(text: str) -> tuple[Any, ...]:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        try:
            found = tuple(dict.fromkeys(map(one, parts)))
        except ValueError:
            found = ()
        if not found:
            raise wrong(name, text, wanted)
        return found

    return Field(
        key=key,
        usual=usual,
        read=read,
        say=lambda values: ",".join(map(say, values)) or None,
        widget=lambda values: [shown(value) for value in values],
    )


def one_of(options: Iterable[str]) -> Callable[[str], str]:
    """For `several`: a word of these."""
    known = frozenset(options)

    def one(text: str) -> str:
        if text not in known:
            raise ValueError(text)
        return text

    return one


def switch(name: str, key: str, *, on: bool) -> Field:
    """1 or 0."""

    def read(text: str) -> bool:
        if text not in ("0", "1"):
            raise wrong(name, text, "0 or 1")
        return text == "1"

    return Field(key=key, usual=on, read=read, say=lambda value: str(int(value)))


def number(name: str, key: str, usual: int | None, low: int, high: int, *, empty: bool = False) -> Field:
    """A whole number; ``empty``: the widget may be."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text[:17]) <= high):
            raise wrong(name, text, f"a whole number, {low:,} to {high:,}")
        return int(text)

    return Field(key=key, usual=usual, read=read, empty=empty)


def real(name: str, key: str, usual: float | None, low: float, high: float, *, empty: bool = False) -> Field:
    """A number; written so that reading gives the same one."""

    def read(text: str) -> float:
        value = _float(text)
        if value is None or not low <= value <= high:
            raise wrong(name, text, f"a number, {low:g} to {high:g}")
        return value

    return Field(key=key, usual=usual, read=read, empty=empty)


def hundredths(name: str, key: str, usual: float, high: float, *, sparsity: bool = False) -> Field:
    """A share in hundredths, whose widget shows percent: of what is kept, or of the rest."""

    def read(text: str) -> float:
        value = _float(text)
        if value is None or not 0.01 <= value <= high or abs(value - round(value, 2)) > 1e-8:
            raise wrong(name, text, f"a share in hundredths, 0.01 to {high:g}")
        return round(100 * value) / 100

    return Field(
        key=key,
        usual=usual,
        read=read,
        say=lambda share: None if share is None else f"{share:g}",
        widget=lambda share: round(100 * (1 - share if sparsity else share)),
    )


def words(name: str, key: str, usual: str | None, labels: Mapping[str, str]) -> Field:
    """A name or a path; the widget shows the known ones by their labels."""

    def read(text: str) -> str:
        if not text.strip():
            raise wrong(name, text, "a name or the path of a file")
        return text.strip()

    return Field(key=key, usual=usual, read=read, widget=lambda text: labels.get(text, text))


def device(key: str) -> Field:
    """What a job runs on."""

    def read(text: str) -> str:
        try:
            check_device(text)
        except SpecError as error:
            raise wrong("device", text, error.wanted) from None
        return text

    return Field(key=key, usual="auto", read=read)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def wrong(name: str, text: str, wanted: str) -> LinkError:
    """The error for a value that cannot be."""
    return LinkError(
        f"{name} in the address", got=repr(text), wanted=wanted, remedy=f"It was left as usual. {_CORRECT}"
    )


def _unknown(name: str, table: Table) -> LinkError:
    return LinkError(
        f"{name} in the address",
        got="a setting that this form does not have for such a model",
        wanted=f"one of {', '.join(table)}",
        remedy=_CORRECT,
    )
