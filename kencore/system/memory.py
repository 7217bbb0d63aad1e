"""Memory that nobody uses any more, back to the system."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


def give_back() -> None:
    """Let the C library return the free memory that it keeps, where it is one that does (glibc).

    What tensors of a few megabytes leave behind lies between things that live on, so that a job with thousands of
    them would grow by half of what it works on.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
