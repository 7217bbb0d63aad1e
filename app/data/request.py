"""What a request asks for, checked strictly, and how long its answer may be kept."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from app import viewer
from app.frame import state
from kencore.errors import SpecError

if TYPE_CHECKING:
    from kencore.runs.run import Run

FOREVER: Final = "private, max-age=31536000, immutable"
CHECK: Final = "private, no-cache"


def strict(request: Request, *names: str, need: int) -> dict[str, str]:
    """The query, each name once, none unknown, the first ``need`` present.

    Raises:
        SpecError: anything else.
    """
    pairs = request.query_params.multi_items()
    asked = dict(pairs)
    unknown = [name for name in asked if name not in names]
    missing = [name for name in names[:need] if not asked.get(name)]
    if unknown or missing or len(asked) != len(pairs):
        raise SpecError(
            request.url.path,
            got=f"unknown {', '.join(unknown)}"
            if unknown
            else f"no {', '.join(missing)}"
            if missing
            else "a parameter twice",
            wanted=f"{', '.join(names[:need])}, and at most {', '.join(names[need:])}",
            remedy="Correct the address.",
        )
    return asked


def whole_number(asked: dict[str, str], name: str, low: int = 0, high: int = 10**9) -> int | None:
    """A whole number of the query, ``None`` where it is not given."""
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 11 and low <= int(text) <= high):
        raise SpecError(
            name, got=repr(text), wanted=f"a whole number from {low} to {high}", remedy="Correct the address."
        )
    return int(text)


def cache_headers(request: Request, run: Run, asked: dict[str, str]) -> dict[str, str]:
    """Identity of the run's files decides what may be kept."""
    identity = stamp(run, asked.get("other"))
    digest = sha256(f"{identity}|{viewer.VERSION}|{request.url.query}".encode()).hexdigest()
    fresh = asked.get("v") == identity
    return {"ETag": f'"{digest[:24]}"', "Cache-Control": FOREVER if fresh else CHECK}


def stamp(run: Run, other: str | None) -> str:
    """Identity of the files of a run, and of those of the run beside it."""
    own = state.stamp(run.path)
    return own if other is None else f"{own}+{state.stamp(state.open_cached(other).path)}"


def download(name: str) -> dict[str, str]:
    """Headers of an answer that the browser saves under ``name``, odd characters replaced."""
    safe = "".join(char if char.isalnum() or char in "._-" else "_" for char in name)
    return {"Content-Disposition": f'attachment; filename="{safe}"', "Cache-Control": CHECK}
