"""A lock on a file, between processes; the system frees it when its holder dies."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class FileLock:
    """A lock held from `acquire` until `release` or the end of the process.

    Args:
        path: of its file.
        shared: several may hold it at once, if all of them share it. Windows knows no such lock: one holds it.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path, self.shared = path, shared
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock if it is free; say whether it is held now.

        Raises:
            OSError: the lock file cannot be made.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        if _try_lock(descriptor, shared=self.shared):
            self._descriptor = descriptor
            return True
        os.close(descriptor)
        return False

    def is_in_place(self) -> bool:
        """Whether the lock is held and its file is still the one at its path."""
        try:
            there = self.path.stat()
        except OSError:
            return False
        return self._descriptor is not None and os.path.samestat(os.fstat(self._descriptor), there)

    def release(self) -> None:
        """Free the lock; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def locked(path: Path, *, seconds: float = 30.0) -> Iterator[None]:
    """Hold the lock at ``path``, after waiting for it up to ``seconds``.

    Raises:
        TimeoutError: somebody else held it all the time.
        OSError: the lock file cannot be made.
    """
    lock, deadline = FileLock(path), time.monotonic() + seconds
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} was locked for {seconds} s")
        time.sleep(0.01)
    try:
        yield
    finally:
        lock.release()


def _try_lock(descriptor: int, *, shared: bool) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
