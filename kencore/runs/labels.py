"""What a person says of a run: name, tags, whether others see it, in a file of its own. Records stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from kencore.errors import SpecError
from kencore.system.plain_json import read_json_object
from kencore.system.whole import whole_file

FILE: Final = "label.json"
LONGEST_NAME: Final = 80  # characters
LONGEST_TAG: Final = 24
MOST_TAGS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name (``None``: the run is called by its settings), tags, and whether all people of a server see the run.

    Raises:
        SpecError: a name or a tag that is empty, too long or more than one line; a comma in a tag; too many tags.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    shared: bool = False

    def __post_init__(self) -> None:
        if self.name is not None:
            _check("name", self.name, LONGEST_NAME)
        for tag in self.tags:
            _check("tag", tag, LONGEST_TAG)
            if "," in tag:
                raise SpecError("tag", got=repr(tag), wanted="no comma", remedy="Give two tags.")
        if len(self.tags) > MOST_TAGS:
            raise SpecError(
                "tags", got=str(len(self.tags)), wanted=f"at most {MOST_TAGS}", remedy="Remove some of them."
            )

    def with_tags(self, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Label:
        """The same with other tags: each once, in the order in which they came."""
        gone = {tag.strip() for tag in remove}
        kept = [tag for tag in dict.fromkeys([*self.tags, *(tag.strip() for tag in add)]) if tag not in gone]
        return replace(self, tags=tuple(kept))


def _check(what: str, text: str, most: int) -> None:
    if not text or text != text.strip() or not text.isprintable() or len(text) > most:
        raise SpecError(
            what,
            got=repr(text),
            wanted=f"1 to {most} characters in one line, without a space at either end",
            remedy=f"Choose another {what}.",
        )


def read_label(folder: Path) -> Label:
    """The label of a run folder; an empty one where there is none, or none that can be read."""
    try:
        found = read_json_object(folder / FILE, ours=True)
        shared = found.get("shared") is True
        return Label(name=found.get("name"), tags=tuple(map(str, found.get("tags") or ())), shared=shared)
    except (OSError, ValueError, AttributeError, TypeError, SpecError):
        return Label()  # a label never makes a run unusable


def write_label(folder: Path, label: Label) -> None:
    """Write the label of a run folder, whole or not at all.

    Raises:
        StoreNotWritableError: it cannot be written.
    """
    with whole_file(folder / FILE, force=True) as path:
        path.write_text(json.dumps(asdict(label), ensure_ascii=False, indent=1) + "\n", "utf-8")
