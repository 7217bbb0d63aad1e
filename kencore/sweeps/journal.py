"""What happened to each point of a sweep, line by line: a file that is only ever added to.

One JSON object a line: ``event`` (``began``, ``finished`` or ``failed``), ``point`` (the id of its
run), ``time`` (UTC, ISO 8601), ``pid``, and of a failure ``error`` (`KencoreError.to_json`). A line
that a power cut tore is skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from kencore.system.places import not_writable
from kencore.system.plain_json import fits, parse_json

Event = Literal["began", "finished", "failed"]
NAME = "journal.jsonl"
FORM = {**dict.fromkeys(("event", "point", "time"), str), "pid": int, "error": {...: str}}
LONGEST = 1 << 20  # bytes of a line
MOST_BYTES = 16 << 20  # that are read from the end


def note(folder: Path, event: Event, point: str, error: Mapping[str, str] | None = None) -> None:
    """Add a line to the journal of a sweep's folder.

    Raises:
        StoreNotWritableError: it cannot be written.
    """
    line: dict[str, Any] = {
        "event": event,
        "point": point,
        "pid": os.getpid(),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    if error is not None:
        line["error"] = dict(error)
    path = folder / NAME
    text = ("\n" if _is_torn(path) else "") + json.dumps(line, sort_keys=True) + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            file.write(text.encode())  # one call: a reader sees the line or nothing of it
    except OSError as error:
        raise not_writable(path, str(error)) from error


def read(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of a sweep's journal, oldest first; nothing where there is none."""
    found = []
    for line in _last_lines(folder / NAME):
        try:
            entry = parse_json(line, ours=True, most=LONGEST)
        except ValueError:
            continue
        if isinstance(entry, dict) and {"event", "point"} <= entry.keys() and fits(entry, FORM):
            found.append(entry)
    return found


def _last_lines(path: Path) -> list[bytes]:
    """The lines of a file, of a very long one the last that are whole."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MOST_BYTES))
            lines = file.read(MOST_BYTES).split(b"\n")
    except OSError:
        return []
    return lines[1:] if size > MOST_BYTES else lines


def failures(entries: list[dict[str, Any]]) -> dict[str, str]:
    """The message of every point whose last word is that it failed."""
    last = {str(entry["point"]): entry for entry in entries}
    return {
        point: str((entry.get("error") or {}).get("message", "no reason was written"))
        for point, entry in last.items()
        if entry["event"] == "failed"
    }


def _is_torn(path: Path) -> bool:
    """Whether the last line lacks its end."""
    try:
        with path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False
