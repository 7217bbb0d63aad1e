"""Where runs, results and jobs live on this machine, and where what ships with the project is.

``KENVIZ_HOME`` names the folder; without it, the platform's user data folder is taken.
Folders are made on demand and are private to the user (mode 0700): parameters of a job may name
private models.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from kencore.errors import StoreNotWritableError

PRIVATE = 0o700


def home() -> Path:
    """The store's folder, as an absolute path. Nothing is made."""
    named = os.environ.get("KENVIZ_HOME", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("kenviz", appauthor=False)


def assets_folder() -> Path:
    """The folder of what ships with the project: ``KENVIZ_ASSETS``, else inside the installed package, else beside it
    as in a checkout.
    """
    chosen = os.environ.get("KENVIZ_ASSETS")
    return Path(chosen) if chosen else _own_assets()


@cache
def _own_assets() -> Path:
    package = Path(__file__).resolve().parents[1]
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


def gallery_folder() -> Path:
    """Finished runs and sweeps that ship with the project beside the demos': folders ``runs`` and ``sweeps``.

    ``KENVIZ_GALLERY`` names another place; one that is not there hides them.
    """
    return Path(os.environ.get("KENVIZ_GALLERY") or assets_folder() / "gallery")


def runs_folder(*, make: bool = True) -> Path:
    """Finished prune runs, one folder each; made on demand.

    Args:
        make: off for who only looks: a store that is read-only, or not there yet, is no mistake then.

    Raises:
        StoreNotWritableError: the folder is not there and cannot be made, or is read-only.
    """
    folder = home() / "runs"
    return private_folder(folder) if make else folder


def sweeps_folder(*, make: bool = True) -> Path:
    """Sweeps, one folder each, made on demand; their points are runs. ``make`` and errors as of `runs_folder`."""
    folder = home() / "sweeps"
    return private_folder(folder) if make else folder


def folders_in(parent: Path) -> list[Path]:
    """The folders in a folder of the store, links left out; none where it is not there.

    Raises:
        StoreNotWritableError: it cannot be looked at.
    """
    try:
        with os.scandir(parent) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise not_writable(parent, error) from error


def models_folder() -> Path:
    """Models that were converted once, one folder each; made on demand. Raises as `runs_folder`."""
    return private_folder(home() / "models")


def jobs_folder() -> Path:
    """The job store: database, logs and locks; made on demand. Raises as `runs_folder`."""
    return private_folder(home() / "jobs")


def private_folder(folder: Path) -> Path:
    """Make ``folder`` and what is missing above it, each with mode 0700.

    A folder that is there already keeps its mode. Raises as `runs_folder`.
    """
    try:
        for missing in reversed([folder, *folder.parents]):
            # not mkdir(parents=True): that gives the mode to the last folder only
            if not missing.exists():
                missing.mkdir(mode=PRIVATE, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file")
    except OSError as error:
        raise not_writable(folder, error) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise not_writable(folder, "no permission to write")
    return folder


def not_writable(place: Path, why: OSError | str) -> StoreNotWritableError:
    """The error for a ``place`` (the store, a file, a folder) that cannot be written."""
    reason = why if isinstance(why, str) else why.strerror or str(why)
    return StoreNotWritableError(
        str(place),
        got=reason[:1].lower() + reason[1:],
        wanted="a place that can be written and has free space",
        remedy="Free some space, correct the permissions or choose another place (of the store: KENVIZ_HOME).",
    )
