"""JSON in files: the one place that reads what somebody else may have written, with bounds, and that writes it.

A text is refused before it is parsed where parsing it could take more memory than `MOST_PARTS` values do, and
afterwards where it is nested deeper than `DEEPEST` or holds half a character (a lone surrogate), which nothing can
show or write again. Every refusal is a `ValueError`; a file adds `OSError`.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

MOST_BYTES: Final = 32 * 2**20
MOST_PARTS: Final = 1_000_000  # commas and brackets: about 90 bytes of memory each at most
DEEPEST: Final = 64
LARGEST: Final = 2**63
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")

Pairs = Callable[[list[tuple[str, Any]]], Any]


def read_json(path: Path, *, ours: bool = False) -> Any:
    """The JSON value in a file.

    Args:
        ours: KEN_viz wrote it: NaN and infinity are read as ``None``, and numbers beyond 64 bits are refused.

    Raises:
        OSError: there is no such file, or it is no plain file.
        ValueError: it is too large, or see `parse_json`.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # never waits for who writes to a pipe
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path.name} is no file")
        text = file.read(MOST_BYTES + 1)
    return parse_json(text, ours=ours)


def read_json_object(path: Path, *, ours: bool = False) -> dict[str, Any]:
    """The JSON object in a file. Raises as `read_json`, and `ValueError` where it holds another value."""
    found = read_json(path, ours=ours)
    if not isinstance(found, dict):
        raise ValueError("it holds no object")
    return found


def parse_json(
    text: str | bytes, *, ours: bool = False, pairs: Pairs | None = None, most: int = MOST_BYTES, halves: bool = False
) -> Any:
    """The value that a JSON text stands for.

    Args:
        ours: as in `read_json`.
        pairs: what makes an object of its names and values, instead of `dict`.
        most: characters of the text.
        halves: half characters are fine: who asks says what is wrong with them.

    Raises:
        ValueError: it is not JSON in UTF-8, too large or too deep, or holds half a character.
    """
    if len(text) > most:
        raise ValueError(f"more than {most:,} bytes")
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if sum(map(text.count, ",[{")) > MOST_PARTS:
        raise ValueError(f"more than {MOST_PARTS:,} values")
    checks: dict[str, Any] = {}
    if ours:
        checks = {"parse_constant": lambda _: None, "parse_float": _finite, "parse_int": _whole}
    try:
        found = json.loads(text, object_pairs_hook=pairs, **checks)
    except RecursionError:
        raise ValueError(f"nested deeper than {DEEPEST}") from None
    _check(found, surrogates=not halves and _SURROGATE.search(text) is not None)
    return found


def json_text(data: Any) -> str:
    """A JSON value as the text of a file: sorted, so that equal content is equal bytes.

    JSON has neither NaN nor infinity: they become null.
    """
    return json.dumps(_without_nan(data), indent=1, sort_keys=True, allow_nan=False) + "\n"


def _without_nan(data: Any) -> Any:
    """The same tree with ``None`` for what is no finite number."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _without_nan(value) for key, value in data.items()}
    return [_without_nan(value) for value in data] if isinstance(data, list | tuple) else data


def fits(value: Any, form: Any) -> bool:
    """Whether a JSON value has a form.

    Args:
        form: a class or a tuple of them (``float`` takes whole numbers too, and no number is a bool); a list of one
            form, for a list of such or ``None``; a mapping of names to forms, of which any may be missing or ``None``,
            where the name ``...`` stands for all others.
    """
    if isinstance(form, list):
        return isinstance(value, list) and all(one is None or fits(one, form[0]) for one in value)
    if isinstance(form, Mapping):
        if not isinstance(value, dict):
            return False
        rest = form.get(...)
        wanted = ((one, form.get(name, rest)) for name, one in value.items() if one is not None)
        return all(other is None or fits(one, other) for one, other in wanted)
    kinds = form if isinstance(form, tuple) else (form,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, (*kinds, int) if float in kinds else kinds)


def _check(found: Any, *, surrogates: bool) -> None:
    """Refuse what is too deep, and half characters where there may be some; without recursion."""
    level, depth = [found], 0
    while level:
        if depth >= DEEPEST and any(isinstance(value, dict | list) for value in level):
            raise ValueError(f"nested deeper than {DEEPEST}")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
                if surrogates:
                    inner += value
            elif isinstance(value, list):
                inner += value
            elif surrogates and isinstance(value, str):
                _check_text(value)
        level = inner if surrogates else [value for value in inner if isinstance(value, dict | list)]
        depth += 1


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("half a character (a lone surrogate)") from None


def _finite(text: str) -> float | None:
    found = float(text)
    return found if math.isfinite(found) else None


def _whole(text: str) -> int:
    found = int(text) if len(text) < 21 else LARGEST
    if not -LARGEST <= found < LARGEST:
        raise ValueError(f"the number {text[:20]}..., which is beyond 64 bits")
    return found
