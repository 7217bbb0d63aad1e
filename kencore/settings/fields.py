"""A setting, declared once: its check, its option on the command line, its widget and its word in an
address are made from what is said here.

    keep: float | None = setting("share", None, label="Kept of each row", help="Share of ... kept.")
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, field, fields
from math import inf
from typing import Any, Literal

Kind = Literal["text", "choice", "switch", "count", "number", "share", "several"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is declared of one setting.

    Args:
        kind: ``text``; ``choice``: one of some words; ``switch``: yes or no; ``count``: a whole
            number; ``number``; ``share``: a number that is shown in percent; ``several`` values.
        default: `dataclasses.MISSING` where it has to be given.
        help: a sentence or two, the same on the command line and beside the widget.
        label: the heading of its widget.
        wanted, remedy: what a message asks for, and says to do; by default what the rest says.
        choices: words that it may be. Read at each use: what joins them later counts.
        low, high, without: bounds of a number, and which of them are not allowed themselves; of
            ``several``: how many there are at least.
        offered: least and most that a form offers and an address may say.
        optional: it may be ``None``.
        nothing: what says ``None`` in an address, and on the command line where it is not the default.
        each: of ``several``: what each of the values is.
        commas: of ``several``: on the command line in one option with commas, else one option each.
        check: in place of the check of its kind: name and value to the value that is kept.
        tidy: of ``text``: puts it into the form in which it is kept.
        flags: names on the command line, where the field's own is not the only one.
        argument: on the command line it has a place instead of a name.
    """

    kind: Kind
    default: Any
    help: str = ""
    label: str = ""
    wanted: str = ""
    remedy: str = ""
    choices: Collection[str] = ()
    low: float = -inf
    high: float = inf
    without: tuple[float, ...] = ()
    offered: tuple[float, float] = (1, 1_000_000)
    optional: bool = False
    nothing: Any = "none"
    each: Declared | None = None
    commas: bool = False
    check: Callable[[str, Any], Any] | None = None
    tidy: Callable[[str], str] | None = None
    flags: tuple[str, ...] = ()
    argument: bool = False

    def allows(self, number: float) -> bool:
        """Whether a number is within the bounds; NaN is not."""
        return self.low <= number <= self.high and number not in self.without


def setting(kind: Kind, default: Any = MISSING, **declared: Any) -> Any:
    """A field of a dataclass of settings; ``declared`` as in `Declared`. ``None`` as default: optional."""
    known = Declared(kind=kind, default=default, **{"optional": default is None} | declared)
    return field(default=default, metadata={"setting": known})


def settings_of(asked: type[Any]) -> dict[str, Declared]:
    """Every setting of a dataclass by its name, in order."""
    found: dict[str, Declared] = {one.name: one.metadata["setting"] for one in fields(asked)}
    return found


def in_order(asked: type[Any], *first: str) -> tuple[str, ...]:
    """The names of all settings as a person reads them: ``first``, those of its own, those shared with others."""
    known = settings_of(asked)
    own = [name for name in asked.__annotations__ if name in known]
    return tuple(dict.fromkeys((*first, *own, *known)))
