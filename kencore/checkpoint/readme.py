"""The README of a folder that was converted: what was done to which file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from kencore._version import __version__

NAME = "README.md"
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def write_readme(folder: Path, sentences: Sequence[str]) -> None:
    """Say what was done, before what a README that was copied says."""
    path = folder / NAME
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    front = _FRONT.match(before)
    head, rest = (front[0], before[front.end() :]) if front else ("", before)
    said = "\n".join(f"- {sentence}" for sentence in sentences)
    parts = [f"# Converted by kencore {__version__}\n\n{said}\n", *([rest.strip() + "\n"] if rest.strip() else [])]
    path.write_text(head + "\n".join(parts), encoding="utf-8")
