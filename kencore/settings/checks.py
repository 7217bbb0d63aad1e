"""The words that settings are made of, and the check of one setting by what is declared of it.

Every check raises `SpecError` before any model is loaded. What contradicts another setting is told
by the settings themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from kencore.errors import SpecError
from kencore.settings.fields import Declared, settings_of
from kencore.system.devices import check_device

STEPS = ("block", "row", "both")
REFERENCES = ("local", "global")
REFINEMENTS = ("none", "dsnot")
PROPAGATIONS = ("pruned", "dense")
RESCALES = ("none", "share", "energy")
SCOPES = ("all", "blocks", "attention", "feed-forward")


def check(asked: Any) -> None:
    """Check every setting of a dataclass by itself, and put it into the form in which it is kept."""
    for name, setting in settings_of(type(asked)).items():
        object.__setattr__(asked, name, checked(name, getattr(asked, name), setting))


def checked(name: str, value: Any, setting: Declared) -> Any:
    """One value in the form in which it is kept.

    Raises:
        SpecError: it cannot be.
    """
    if value is None and setting.optional:
        return None
    if setting.check is not None:
        return setting.check(name, value)
    return _CHECKS[setting.kind](name, value, setting)


def _text(name: str, value: Any, setting: Declared) -> str:
    if isinstance(value, str) and value.strip():
        return value if setting.tidy is None else setting.tidy(value)
    got = "nothing" if value is None or not str(value).strip() else repr(value)
    raise _refused(name, got, setting, "text", "Fill it in." + (" Or leave it out." if setting.optional else ""))


def _choice(name: str, value: Any, setting: Declared) -> str:
    if isinstance(value, str) and value in setting.choices:
        return value
    one_of = "one of " if len(setting.choices) > 1 else ""
    raise _refused(name, repr(value), setting, f"{one_of}{', '.join(setting.choices)}", "Choose one of these.")


def _switch(name: str, value: Any, setting: Declared) -> bool:
    if isinstance(value, bool):
        return value
    raise _refused(name, repr(value), setting, "True or False", "Pass a bool.")


def _count(name: str, value: Any, setting: Declared) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and setting.allows(value):
        return value
    remedy = "Pass such a number" + (", or leave it out." if setting.optional else ".")
    raise _refused(name, repr(value), setting, f"a whole number {_bounds(setting)}", remedy)


def _number(name: str, value: Any, setting: Declared) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and setting.allows(value):
        return value
    remedy = "Pass such a number" + (", or leave it out." if setting.optional else ".")
    raise _refused(name, repr(value), setting, f"a number {_bounds(setting)}", remedy)


def _share(name: str, value: Any, setting: Declared) -> float:
    return float(_number(name, value, setting))


def _several(name: str, value: Any, setting: Declared) -> tuple[Any, ...]:
    """Each value once."""
    if not isinstance(value, (list, tuple)):
        raise _refused(name, repr(value), setting, "a list of values", "Pass a list, also for one.")
    if len(value) < setting.low:
        raise _refused(name, "nothing", setting, "one or more", "Name one.")
    assert setting.each is not None
    if None in value:  # a setting that may be left out by itself is none of several
        raise _refused(name, "None among the values", setting, "values", "Leave it out.")
    return tuple(dict.fromkeys([checked(name, one, setting.each) for one in value]))


_CHECKS: dict[str, Callable[[str, Any, Declared], Any]] = {
    "text": _text,
    "choice": _choice,
    "switch": _switch,
    "count": _count,
    "number": _number,
    "share": _share,
    "several": _several,
}


def _refused(name: str, got: str, setting: Declared, wanted: str, remedy: str) -> SpecError:
    return SpecError(name, got=got, wanted=setting.wanted or wanted, remedy=setting.remedy or remedy)


def _bounds(setting: Declared) -> str:
    low, high = setting.low, setting.high
    words = f"above {low:g}" if low in setting.without else f"{low:g} or more"
    if high == math.inf:
        return words
    return f"{words} and {'below' if high in setting.without else 'at most'} {high:g}"


# --- settings with a check of their own -------------------------------------------------------


def checked_keep(name: str, keep: Any) -> float:
    """A share that may be kept, each mistake in words of its own."""
    if isinstance(keep, bool) or not isinstance(keep, (int, float)) or not math.isfinite(keep):
        got = f"{keep!r}, which is no share"
    elif keep > 1:
        got = f"keep {keep:g}, that is sparsity {complement(keep):g}: more than everything kept"
    elif keep < 0:
        got = f"keep {keep:g}, that is sparsity {complement(keep):g}: more than everything pruned"
    elif keep == 0:
        got = "keep 0, that is sparsity 1: nothing would be left"
    else:
        return float(keep)
    raise no_share(name, got, "up to", _meant(keep))


def _meant(keep: Any) -> str:
    """What a number of two or more may mean: percent, of what is kept or (below zero) of what is pruned."""
    if isinstance(keep, bool) or not isinstance(keep, (int, float)) or not math.isfinite(keep):
        return ""
    said, number = ("keep", float(keep)) if keep > 1 else ("sparsity", complement(keep))
    return f"Did you mean {said} {number / 100:g}? " if 2 <= number <= 100 else ""


def no_share(name: str, got: str, end: str, meant: str = "") -> SpecError:
    """The error for a share that cannot be kept; ``end``: ``up to`` 1 or ``below`` it."""
    return SpecError(
        name,
        got=got,
        wanted=f"a share above 0 and {end} 1 (sparsity is 1 - keep)",
        remedy=f"{meant}To keep half and prune half, keep is 0.5 and sparsity is 0.5.",
    )


def checked_scope(name: str, scope: Any) -> tuple[str, ...]:
    """The terms of a scope, one given alone included."""
    given: Any = (scope,) if isinstance(scope, str) else scope
    terms = tuple(given) if isinstance(given, (list, tuple)) else ()
    if not terms or not all(isinstance(term, str) and term.strip() for term in terms):
        raise SpecError(
            name,
            got=repr(scope) if scope else "nothing",
            wanted=f"one or more of {', '.join(SCOPES)}, roles or name patterns",
            remedy="Choose all for everything.",
        )
    return tuple(term.strip() for term in terms)


def checked_balance(name: str, balance: Any) -> tuple[str, ...]:
    """The factors of a balance, one given alone included, in one form and order."""
    from kencore.allocate.balance import parse_balance

    given: Any = (balance,) if isinstance(balance, str) else balance
    if not isinstance(given, (list, tuple)):
        given = (given,)
    found = {name: factor for name, factor in parse_balance(given).items() if factor != 1}
    return tuple(f"{name}={found[name]:.6g}" for name in sorted(found))


def checked_device(name: str, device: Any) -> str:
    """A device by the name that people give it."""
    check_device(device)
    return str(device)


def complement(share: float) -> float:
    """1 - share, to the last bit of its decimal form: 1 - 0.9 is not 0.1 in floats."""
    return float(1 - Decimal(repr(float(share))))
