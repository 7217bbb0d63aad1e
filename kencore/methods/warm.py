"""Compile every kernel now, once for this machine, and not when somebody waits for a selection."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kencore.methods.sources import FOLDER, digest, kernel_files

PACKAGE = "kencore"


def warm() -> dict[str, Any]:
    """Compile what is not on disk yet; a second call takes a second.

    Returns:
        ``kernels``: how many there are; ``compiled``: how many were not on disk; ``seconds`` it took; ``folder``: where
        their machine code is kept, ``None`` where no folder can be written: each process then compiles for itself.
    """
    started = time.perf_counter()
    for file in kernel_files():
        import_module(".".join([PACKAGE, *file.relative_to(FOLDER.parent).with_suffix("").parts]))
    from kencore.methods.compiled import KERNELS

    folders = [kernel.stats.cache_path for kernel in KERNELS.values()]
    kept = all(folders)
    read = sum(1 for kernel in KERNELS.values() if kernel.stats.cache_hits)
    if kept:
        (Path(folders[0]) / mark()).touch()
    return {
        "kernels": len(KERNELS),
        "compiled": len(KERNELS) - read,
        "seconds": round(time.perf_counter() - started, 2),
        "folder": os.path.commonpath(folders) if kept else None,
    }


def needs_warming() -> bool:
    """Whether `warm` would compile and could keep it: told from the names of files, without numba."""
    for folder, pattern in _places():
        if os.access(_nearest(folder), os.W_OK):
            return not any(folder.glob(pattern))
    return False


def mark() -> str:
    """The name of an empty file beside the machine code, made when all of it is there."""
    made_by = (str(FOLDER), digest(), version("numba"), str(sys.implementation.cache_tag))
    return f"kencore-{hashlib.sha256('|'.join(made_by).encode()).hexdigest()[:12]}.warm"


def _places() -> Iterator[tuple[Path, str]]:
    """Where numba looks for machine code, of these in the first that can be written; and what finds the mark there."""
    import platformdirs

    name = mark()
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(named), f"*/{name}"
    yield kernel_files()[0].parent / "__pycache__", name
    yield platformdirs.user_cache_path("numba", appauthor=False), f"*/{name}"


def _nearest(folder: Path) -> Path:
    """The folder, or what is there of the path to it."""
    return next(place for place in (folder, *folder.parents) if place.exists())
