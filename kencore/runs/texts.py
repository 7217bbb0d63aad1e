"""``texts.json``: how the dense and the pruned model of a run continue a few texts, as the run keeps it. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kencore.runs.reading import corrupt, read_object
from kencore.system import schema

FILE: Final = "texts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """One text.

    Args:
        text: its beginning, which both models read.
        dense, pruned: the pieces of text that each added, token by token, always the likeliest.
        departs: place of the first token that differs; ``None``: both are alike.
    """

    text: str
    dense: tuple[str, ...]
    pruned: tuple[str, ...]
    departs: int | None


def write_texts(folder: Path, texts: Sequence[Continued]) -> None:
    """Write the file into the folder of a run."""
    told = {"texts": [asdict(one) for one in texts], "version": schema.current("texts")}
    (folder / FILE).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_texts(folder: Path) -> tuple[Continued, ...]:
    """What `write_texts` wrote into a folder; nothing where there is no such file.

    Raises:
        SchemaError: a newer version wrote it, or one that is too old.
        CorruptRunError: it cannot be read.
    """
    if not (folder / FILE).is_file():
        return ()
    told = read_object(folder, FILE)
    try:
        schema.migrate("texts", f"{FILE} of {folder.name}", told)
        return tuple(_continued(one) for one in told["texts"])
    except (KeyError, TypeError, ValueError) as error:
        raise corrupt(folder, f"{FILE} cannot be read ({error})") from error


def _continued(told: dict[str, object]) -> Continued:
    sides = {side: tuple(map(str, told[side])) for side in ("dense", "pruned")}  # type: ignore[call-overload]
    departs = told["departs"]
    return Continued(text=str(told["text"]), departs=None if departs is None else int(str(departs)), **sides)
