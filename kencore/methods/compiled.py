"""How this package compiles: no fast math (float32 roundings decide ties), no GIL, cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def _digest() -> str:
    """Of every source file that kernels are made of."""
    folder = Path(__file__).parent
    files = sorted([*folder.rglob("*kernels*.py"), folder / "ken" / "bandwidth.py"])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


DIGEST = _digest()[:12]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` as machine code, kept on disk where a folder for it can be written."""
    # numba looks for a change in the function's own file only, but kernels are inlined into
    # kernels of other files: the digest in the name makes a change anywhere a new cache entry
    function.__qualname__ = f"{function.__name__}_{DIGEST}"
    try:
        return numba.njit(nogil=True, cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no writable cache folder: compile once per process
        return numba.njit(nogil=True)(function)  # type: ignore[no-any-return]
