"""A setting of a form, its widget and its word in the address, made from what is declared of it.

`row` gives the field for the kind of setting; a form adds the key of the widget, and what is usual
or offered where that depends on the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import streamlit as st

from app.frame.links import LinkError
from kencore.errors import SpecError
from kencore.settings.fields import Declared, settings_of

KEEP: Final[dict[str, Any]] = {"persist_state": "session"}
QUIET: Final[dict[str, Any]] = {"persist_state": "session", "on_change": "ignore"}
"""Of a widget that changes nothing else on the page: it reports with the next click."""
CORRECT: Final = "Correct the address, or choose from what this page offers."


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting of a form. Each kind has its widget (`draw`) and its way to write a value.

    Attributes:
        name: of the setting, and its word in the address.
        declared: bounds, choices, label and help.
        key: of its widget.
        usual: what it is without a word in the address.
        label, help: of the widget, where what is declared does not fit this form.
        quiet: nothing else on the page depends on it.
    """

    name: str
    declared: Declared
    key: str
    usual: Any
    label: str = ""
    help: str | None = None
    quiet: bool = True

    @property
    def empty(self) -> bool:
        """Whether the widget can show ``None``; else it is left alone then."""
        return False

    def read(self, text: str) -> Any:
        """A text of the address as a setting.

        Raises:
            LinkError: it is none.
        """
        raise NotImplementedError

    def say(self, value: Any) -> str | None:
        """A setting as text of the address; ``None``: it has nothing to say."""
        return None if value is None else str(value) or None

    def shown(self, value: Any) -> Any:
        """A setting as the value of the widget."""
        return value

    def draw(self, **looks: Any) -> Any:
        """Draw the widget; ``looks`` go to Streamlit. Returns the setting."""
        raise NotImplementedError

    def wrong(self, text: str, wanted: str) -> LinkError:
        """The error for a text that cannot be."""
        return LinkError(
            f"{self.name} in the address", got=repr(text), wanted=wanted, remedy=f"It was left as usual. {CORRECT}"
        )

    def given(self, looks: dict[str, Any]) -> dict[str, Any]:
        """What every widget is given."""
        own = {"label": self.label or self.declared.label, "key": self.key}
        said = self.declared.help if self.help is None else self.help
        return own | (QUIET if self.quiet else KEEP) | {"help": said or None} | looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Field):
    """One of some words; ``options`` where the form does not offer all, ``labels`` as people read them."""

    options: tuple[str, ...] = ()
    labels: Callable[[str], str] | Mapping[str, str] = str

    @property
    def words(self) -> tuple[str, ...]:
        """What is offered."""
        return self.options or tuple(self.declared.choices)

    def read(self, text: str) -> str:
        if text not in self.words:
            raise self.wrong(text, f"one of {', '.join(self.words)}")
        return text

    def draw(self, form: Literal["list", "buttons", "bar"] = "list", **looks: Any) -> str:
        given: dict[str, Any] = self.given(looks) | {"options": self.words, "format_func": _labelled(self.labels)}
        if form == "bar":
            return str(st.segmented_control(default=self.usual, required=True, **given))
        widget: Any = st.selectbox if form == "list" else st.radio
        return str(widget(index=self.words.index(self.usual), **given) or self.usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Field):
    """One of two values, ``off`` and ``on``, as a checkbox; ``words`` are their texts in the address."""

    off: Any = False
    on: Any = True
    words: Mapping[str, Any] | None = None

    @property
    def texts(self) -> Mapping[str, Any]:
        """Texts of the address, and the value of each."""
        return self.words or {"0": self.off, "1": self.on}

    @property
    def empty(self) -> bool:
        return True

    def read(self, text: str) -> Any:
        if text not in self.texts:
            raise self.wrong(text, " or ".join(self.texts))
        return self.texts[text]

    def say(self, value: Any) -> str | None:
        return next(text for text, own in self.texts.items() if own == value)

    def shown(self, value: Any) -> bool:
        return bool(value != self.off)

    def draw(self, **looks: Any) -> Any:
        return self.on if st.checkbox(value=self.shown(self.usual), **self.given(looks)) else self.off


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Field):
    """A number; ``start`` is what the widget shows first where ``None`` is as usual and it is not empty."""

    start: float | None = None

    @property
    def first(self) -> Any:
        """What the widget starts with."""
        return self.usual if self.start is None else self.start

    @property
    def empty(self) -> bool:
        return self.first is None

    def read(self, text: str) -> float:
        low, high = self.declared.offered
        if self.declared.kind == "count":
            if not (text.isascii() and text.isdigit() and low <= int(text[:17]) <= high):
                raise self.wrong(text, f"a whole number, {low:,} to {high:,}")
            return int(text)
        value = _float(text)
        if value is None or not low <= value <= high:
            raise self.wrong(text, f"a number, {low:g} to {high:g}")
        return value

    def draw(self, **looks: Any) -> Any:
        kind = int if self.declared.kind == "count" else float
        low, high = map(kind, self.declared.offered)
        return st.number_input(min_value=low, max_value=high, value=self.first, **self.given(looks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent(Number):
    """A share that is typed in percent; the address has the share."""

    def shown(self, value: float) -> float:
        return round(100.0 * value, 4)

    def draw(self, **looks: Any) -> float:
        low, high, first = map(self.shown, (*self.declared.offered, self.first))
        return float(round(st.number_input(min_value=low, max_value=high, value=first, **self.given(looks)) / 100, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Field):
    """A share in hundredths, as a slider in percent: of it, or with ``rest`` of what it leaves."""

    high: float = 1
    rest: bool = False

    def read(self, text: str) -> float:
        value, high = _float(text), min(self.high, self.declared.offered[1])
        if value is None or not 0.01 <= value <= high or abs(value - round(value, 2)) > 1e-8:
            raise self.wrong(text, f"a share in hundredths, 0.01 to {high:g}")
        return round(100 * value) / 100

    def say(self, value: float | None) -> str | None:
        return None if value is None else f"{value:g}"

    def shown(self, value: float) -> int:
        return round(100 * (1 - value if self.rest else value))

    def draw(self, **looks: Any) -> float:
        high = round(100 * min(self.high, self.declared.offered[1]))
        percent = st.slider(
            min_value=1, max_value=high, value=self.shown(self.usual), format="%d %%", **self.given(looks)
        )
        return float((100 - percent) if self.rest else percent) / 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Field):
    """A name or a path. Known values are offered by their ``labels``; without any it is typed.

    Attributes:
        labels: known values as people read them, among them ``None`` where it may be left out.
        half: not typed yet is a value too: an empty text.
    """

    labels: Mapping[Any, str] | None = None
    half: bool = False

    @property
    def known(self) -> Mapping[Any, str]:
        """Values that are offered, by their labels."""
        if self.labels is None:
            return {word: word for word in self.declared.choices}
        return self.labels

    @property
    def empty(self) -> bool:
        return self.half or None in self.known

    def read(self, text: str) -> str | None:
        if self.half:
            return text.strip()
        if text == self.declared.nothing and None in self.known:
            return None
        if not text.strip():
            raise self.wrong(text, "a name or the path of a file")
        try:
            return text.strip() if self.declared.check is None else str(self.declared.check(self.name, text))
        except SpecError as error:
            raise self.wrong(text, error.wanted) from None

    def say(self, value: str | None) -> str | None:
        if value is None:
            return str(self.declared.nothing) if None in self.known else None
        return value if self.half else value or None

    def shown(self, value: str | None) -> str:
        return self.known.get(value, value or "")

    def draw(self, **looks: Any) -> str | None:
        if not self.known:
            return str(st.text_input(value=self.shown(self.usual), **self.given(looks))).strip()
        names, first = list(self.known.values()), self.shown(self.usual)
        index = names.index(first) if first in names else 0
        said = st.selectbox(options=names, index=index, accept_new_options=True, **self.given(looks))
        values: dict[Any, str | None] = {label: value for value, label in self.known.items()}
        if said in values:
            return values[said]
        return (said or "").strip() or (None if None in self.known else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Several(Field):
    """Some values, at least one and none twice.

    Attributes:
        options: what the widget offers.
        labels: of the options, as people read them.
        one: the text of one to its value; raises ValueError.
        word: a value as an option of the widget.
        typed: others can be typed.
        wanted: what a message asks for.
    """

    options: tuple[str, ...] = ()
    labels: Callable[[str], str] | Mapping[str, str] = str
    one: Callable[[str], Any] | None = None
    word: Callable[[Any], str] = str
    typed: bool = False
    wanted: str = ""

    def read(self, text: str) -> tuple[Any, ...]:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        try:
            found = tuple(dict.fromkeys(map(self.one or self._offered, parts)))
        except ValueError:
            found = ()
        if not found:
            wanted = self.wanted or f"some, with commas between them, of {', '.join(self.options)}"
            raise self.wrong(text, wanted)
        return found

    def say(self, value: tuple[Any, ...]) -> str | None:
        return ",".join(map(str, value)) or None

    def shown(self, value: tuple[Any, ...]) -> list[str]:
        return [self.word(one) for one in value]

    def draw(self, **looks: Any) -> list[str]:
        given: dict[str, Any] = {"format_func": _labelled(self.labels), "default": self.shown(self.usual)}
        given |= {"options": self.options, "accept_new_options": self.typed} | self.given(looks)
        return list(st.multiselect(**given))

    def _offered(self, text: str) -> str:
        if text not in self.options:
            raise ValueError(text)
        return text


_KINDS: Final[dict[str, type[Field]]] = {
    "text": Words,
    "choice": Choice,
    "switch": Switch,
    "count": Number,
    "number": Number,
    "share": Share,
    "several": Several,
}


def row(spec: type, name: str, key: str, kind: type[Field] | None = None, **own: Any) -> Field:
    """The field of a setting of ``spec``; ``own`` is what differs in this form."""
    declared = settings_of(spec)[name]
    return (kind or _KINDS[declared.kind])(name=name, declared=declared, key=key, **{"usual": declared.default} | own)


def _labelled(labels: Callable[[str], str] | Mapping[str, str]) -> Callable[[str], str]:
    return labels.__getitem__ if isinstance(labels, Mapping) else labels


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
