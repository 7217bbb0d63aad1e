"""How this package compiles: no fast math (float32 roundings decide ties), no GIL, kept on disk.

A kernel that Python calls is declared with its types and compiled, or read from disk, when its module is imported;
it takes no others, so nothing compiles later. What kernels call of each other is compiled into them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from kencore.methods.sources import digest

Function = Callable[..., Any]
DIGEST = digest()
KERNELS: dict[str, Any] = {}
"""Compiled kernels that Python calls, by name; filled as the files that declare them are imported."""

inlined: Callable[[Function], Function] = numba.njit(nogil=True)
"""Decorates what only kernels call."""


def compiled(signature: str) -> Callable[[Function], Function]:
    """Decorates a kernel that Python calls, with arguments of the types in ``signature`` alone.

    Its machine code is kept on disk where a folder for it can be written: the one that ``NUMBA_CACHE_DIR`` names,
    the kernel's own ``__pycache__`` or the user's cache. Another processor gets code of its own.
    """

    def compile_or_read(function: Function) -> Function:
        name = function.__name__
        # numba looks for a change in the function's own file only, but kernels of other files are
        # part of it: the digest in the name makes a change anywhere a new entry
        function.__qualname__ = f"{name}_{DIGEST}"
        try:
            kernel = numba.njit(signature, nogil=True, cache=True)(function)
        except (RuntimeError, OSError):  # no folder can be written, or the disk is full
            kernel = numba.njit(signature, nogil=True)(function)
        KERNELS[name] = kernel
        return kernel  # type: ignore[no-any-return]

    return compile_or_read
