"""Which folders models and data may lie in, and which models of the hub may be used.

KENVIZ_ROOTS   a JSON list of folders; without it any, unless people are told apart: then none
KENVIZ_HUBS    a JSON list of patterns of hub ids, such as ``["org/*"]``; without it any

Processes of a server inherit both, so that a worker holds to them by itself.
"""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import Final

from kencore.errors import NotAllowedError, SpecError
from kencore.system import people
from kencore.system.places import assets_folder, home
from kencore.system.plain_json import parse_json

ROOTS: Final = "KENVIZ_ROOTS"
HUBS: Final = "KENVIZ_HUBS"
MOST_FILES: Final = 10_000  # below the folder of a model


def roots() -> tuple[Path, ...] | None:
    """The folders, links resolved; ``None``: any will do.

    Raises:
        SpecError: the variable holds no list of texts.
    """
    named = _listed(ROOTS)
    if named is None:
        return None if people.viewer() is None else ()
    return tuple(Path(os.path.realpath(name)) for name in named)


def check_path(place: str | Path, what: str, *, written: str | None = None) -> None:
    """Refuse a path outside the roots, there or not, with the same words. Links are followed first.

    Args:
        place: what a person named.
        what: the word for it: a model, data.
        written: how it is told, where that is not ``place``.

    Raises:
        NotAllowedError: it is.
    """
    allowed = roots()
    if allowed is None:
        return
    try:
        real = Path(os.path.realpath(Path(place).expanduser()))
    except (OSError, RuntimeError, ValueError):  # nothing that a path can be
        real = None
    own = (home() / "models", assets_folder())
    places = (*allowed, *(Path(os.path.realpath(folder)) for folder in own))
    if real is None or not any(real.is_relative_to(folder) for folder in places):
        raise NotAllowedError(
            f"{what} {place if written is None else written}",
            got="a place outside the folders of this server",
            wanted=f"one inside {', '.join(map(str, allowed))}" if allowed else "a demo or a hub id",
            remedy="Choose one that lies there, or ask who runs the server.",
        )


def check_folder(folder: Path, what: str, *, written: str) -> None:
    """Refuse a folder outside the roots, and one in which a link leads out of them.

    Args:
        written: as a person named it.

    Raises:
        NotAllowedError: it is, or there are more than `MOST_FILES` files to look at.
    """
    check_path(folder, what, written=written)
    if roots() is None:
        return
    seen = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            seen += 1
            path = Path(place) / name
            if seen > MOST_FILES:
                raise NotAllowedError(
                    f"{what} {written}",
                    got=f"more than {MOST_FILES:,} files",
                    wanted="the folder of one model",
                    remedy="Name the folder of the model itself.",
                )
            if path.is_symlink():
                check_path(path, what, written=f"{written}: {name}")


def check_hub(name: str) -> None:
    """Refuse a model or a data set of the hub that is not on the list.

    Raises:
        NotAllowedError: it is not.
    """
    allowed = _listed(HUBS)
    if allowed is not None and not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed):
        raise NotAllowedError(
            name,
            got="a hub id that this server does not take",
            wanted=f"one of {', '.join(allowed)}" if allowed else "a demo or a folder",
            remedy="Choose one of these, or ask who runs the server.",
        )


def models(most: int = 200, depth: int = 3) -> list[str]:
    """Folders of models below the roots, by path: those with a config.json; at most ``most``, ``depth`` levels down."""
    found: list[str] = []
    for root in roots() or ():
        level = [root]
        for _ in range(depth + 1):
            found += [str(folder) for folder in level if _is_file(folder / "config.json")]
            level = sorted(below for folder in level for below in _folders(folder))[: 10 * most]
    return sorted(dict.fromkeys(found))[:most]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, links and hidden ones left out."""
    try:
        with os.scandir(folder) as entries:
            return [
                Path(one.path) for one in entries if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")
            ]
    except OSError:
        return []


def _listed(variable: str) -> list[str] | None:
    text = os.environ.get(variable)
    if text is None:
        return None
    try:
        found = parse_json(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise SpecError(variable, got=repr(text), wanted="a JSON list of texts", remedy="Correct it, or unset it.")
    return found
