"""Files and folders that appear whole, under their name, or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kencore.errors import RunExistsError
from kencore.system.places import not_writable

LOG = logging.getLogger("kencore")


@contextlib.contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A hidden path beside ``path`` to write to; it gets the name when the block ends well.

    Args:
        force: put it in the place of a file that is there.

    Raises:
        RunExistsError: something is there already.
        StoreNotWritableError: it cannot be written.
    """
    if not force:
        check_new(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        if not force:
            check_new(path)  # somebody may have written it meanwhile
        publish(temporary, path)
    except OSError as error:
        raise not_writable(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside ``folder`` to fill; it gets the name when the block ends well.

    Raises:
        RunExistsError: the folder is there and not empty.
        StoreNotWritableError: it cannot be written.
    """
    check_free(folder)
    folder = Path(os.path.realpath(folder))  # a link to an empty folder cannot be replaced
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        yield temporary
        temporary.chmod(0o755)
        publish(temporary, folder)
    except OSError as error:
        check_free(folder)  # somebody may have filled it meanwhile
        raise not_writable(folder, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def publish(temporary: Path, place: Path) -> None:
    """Give what was written beside ``place`` that name, so that after a power cut all of it is there, or nothing.

    Every file and folder is brought to the disk before the name, and the name after it: a system may write in
    another order than it was asked to. What is at ``place`` is replaced if it is a file or an empty folder.

    Args:
        temporary: a file, or a folder with all that is in it, on the same disk.

    Where the disk does not take the name, what is there is whole all the same: that is logged, and no error.

    Raises:
        OSError: the disk is full, or a folder that is not empty is there.
    """
    if temporary.is_dir():
        for parent, _, names in os.walk(temporary, topdown=False):
            for name in names:
                _to_disk(Path(parent, name))
            _to_disk(Path(parent))
    else:
        _to_disk(temporary)
    temporary.replace(place)
    try:
        _to_disk(place.parent)
    except OSError as error:
        LOG.warning("%s is there, but a power cut may take its name: %s", place, error)


def _to_disk(path: Path) -> None:
    """Bring a file, or the names in a folder, from the system's memory to the disk."""
    windows, folder = os.name == "nt", path.is_dir()
    if path.is_symlink() or (folder and windows):
        return  # Windows cannot open a folder, and keeps its names by itself
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some disks know it of files alone
            raise
    finally:
        os.close(descriptor)


def check_new(path: Path) -> None:
    """Raise `RunExistsError` unless nothing of that name is there."""
    try:
        there = path.exists() or path.is_symlink()
    except OSError as error:
        raise not_writable(path, error) from error
    if there:
        raise RunExistsError(
            str(path),
            got="something is there already",
            wanted="a file that does not exist",
            remedy="Choose another name: nothing is overwritten.",
        )


def check_free(folder: Path) -> None:
    """Raise `RunExistsError` unless the folder is new or empty."""
    if is_taken(folder):
        raise RunExistsError(
            str(folder),
            got="a folder that is not empty",
            wanted="a new or an empty folder",
            remedy="Choose another folder: nothing is overwritten.",
        )


def is_taken(path: Path) -> bool:
    """Whether something is there that is not an empty folder.

    Raises:
        StoreNotWritableError: the path cannot be looked at: too long a name, no permission.
    """
    try:
        return path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as error:
        raise not_writable(path, error) from error
