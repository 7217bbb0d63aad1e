"""Damage to files, drawn from a seed: the same seed is the same damage everywhere."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    -0.0,
    0.5,
    2**31,
    2**63,
    10**12,
    10**40,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../..",
    "\x1b[31m",
    "\ud800",
    "a\x00b",
    "é" * 300,
    [],
    [[]],
    [None],
    ["a", 1],
    {},
    {"": {}},
    {"a": []},
)
DEEP = ("[" * 100_000, '{"a":' * 50_000, "[" * 900 + "]" * 900)
TOKENS = (
    b"NaN",
    b"Infinity",
    b"1e999",
    b'"\\ud800"',
    b"-9223372036854775809",
    b"1" * 5000,
    b"\xff\xfe",
    b"\x00",
    b"{}",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON value: the way to each entry, containers included."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def json_with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with another thing at one place."""
    found = copy.deepcopy(value)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return found


def damaged_json(text: str, rng: random.Random) -> bytes:
    """A JSON text with one to three things in it replaced, removed or nested, or its bytes damaged."""
    if rng.random() < 0.15:
        return damaged_bytes(text.encode(), rng)
    if rng.random() < 0.05:
        cut = rng.randrange(len(text) + 1)
        return (text[:cut] + rng.choice(DEEP) + text[cut:] * rng.randrange(2)).encode()
    value = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        known = list(places(value))
        if not known:
            break
        value = _changed(value, rng.choice(known), rng)
    return json.dumps(value).encode()


def _changed(value: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    found = copy.deepcopy(value)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    old, what = inner[path[-1]], rng.random()
    if what < 0.6:
        inner[path[-1]] = rng.choice(VALUES)
    elif what < 0.75:
        del inner[path[-1]]
    elif what < 0.85 and isinstance(old, int | float):
        inner[path[-1]] = old * rng.choice((-1, 0, 10**6, 10**12, 0.5))
    elif isinstance(inner, dict):
        inner[str(rng.choice(VALUES)).encode("utf-8", "replace").decode()] = old
    else:
        inner.extend([old] * rng.choice((1, 1000)))
    return found


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bytes with one to four of them changed, cut off, doubled, or with odd words put in."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(found) + 1)
        what = rng.randrange(6)
        if what == 0 and place < len(found):
            found[place] = rng.randrange(256)
        elif what == 1:
            del found[place : place + rng.choice((1, 4, 64, len(found)))]
        elif what == 2:
            found[place:place] = rng.choice(TOKENS)
        elif what == 3:
            found[place:place] = bytes(found[place : place + rng.choice((1, 8, 256))])
        elif what == 4:
            found[place : place + 8] = rng.choice((b"\xff" * 8, b"\x00" * 8, (2**62).to_bytes(8, "little")))
        elif place < len(found):
            found[place] ^= 1 << rng.randrange(8)
    return bytes(found)
