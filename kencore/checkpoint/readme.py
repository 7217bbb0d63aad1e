"""The card of a folder that was converted: what was done to which file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kencore._version import __version__
from kencore.checkpoint.companions import CARD

TITLE = "## Converted with KEN_viz"


def write_readme(folder: Path, sentences: Sequence[str]) -> None:
    """Say at the end of the model's own card what was done."""
    path = folder / CARD
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    start = before.split(TITLE, 1)[0].rstrip()
    said = "\n".join(f"- {sentence}" for sentence in (*sentences, f"KEN_viz {__version__}."))
    section = f"{TITLE}\n\n{said}\n"
    path.write_text(f"{start}\n\n{section}" if start else section, encoding="utf-8")
