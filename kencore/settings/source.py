"""The text that names a model, in the one form in which it is kept and looked up."""

from __future__ import annotations

import re
from pathlib import Path

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def tidy_source(text: str) -> str:
    """Without spaces around it, and without slashes behind what has the form of a hub id, organisation/name.

    A folder of that name is found without them, too; any other path stays as it is.
    """
    found = text.strip()
    bare = found.rstrip("/")
    return bare if _HUB_ID.fullmatch(bare) else found


def same_source(one: str, other: str) -> bool:
    """Whether two texts name one model: the same words, or one folder written in two ways."""
    if tidy_source(one) == tidy_source(other):
        return True
    folders = [Path(text).expanduser() for text in (one, other)]
    return all(folder.is_dir() for folder in folders) and folders[0].resolve() == folders[1].resolve()
