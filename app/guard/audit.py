"""The record of actions: one JSON line each, whole or not at all, in one file that is only ever added to."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from app.guard import visitor
from kencore.errors import StoreNotWritableError
from kencore.system.places import not_writable

MOST: Final = 300  # characters of a value
LOGIN: Final = ("proxy", "login", "not allowed")  # reasons that are about who somebody is
REFUSALS: Final = 60  # lines in a minute for each reason to refuse; further ones are counted
MINUTE: Final = 60.0  # seconds


class Audit:
    """Writes the record.

    Args:
        path: of the file; it is made, for this account alone. It may be moved away at any time.

    Raises:
        StoreNotWritableError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._refusals: Counter[str] = Counter()
        self._counting = False
        self._write({"action": "server started"})

    def __call__(self, action: str, facts: dict[str, Any]) -> None:
        """Write that who looks is about to do something. What cannot be written is not done.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        self._write({"who": visitor.viewer(), "action": action, **facts})

    def refused(self, address: str | None, why: str) -> None:
        """Write that somebody was not let in. A storm of one kind is counted, so that it fills no disk and hides no
        other kind; the count is written a minute after the storm began.
        """
        with self._lock:
            self._refusals[why] += 1
            many = self._refusals[why]
            if not self._counting:
                self._counting = True
                clock = threading.Timer(MINUTE, self._count)
                clock.daemon = True
                clock.start()
        if many > REFUSALS:
            return
        action = "login refused" if why in LOGIN else "request refused"
        with suppress(StoreNotWritableError):  # nobody came in, written down or not
            self._write({"action": action, "address": address, "why": why})

    def _count(self) -> None:
        """Write how many refusals of each kind had no line of their own, and begin anew."""
        with self._lock:
            found, self._counting = dict(self._refusals), False
            self._refusals.clear()
        for why, many in found.items():
            if many > REFUSALS:
                with suppress(StoreNotWritableError):
                    self._write({"action": "refused", "why": why, "more": many - REFUSALS})

    def _write(self, facts: dict[str, Any]) -> None:
        told = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        told |= {name: str(value)[:MOST] if isinstance(value, str) else value for name, value in facts.items()}
        line = (json.dumps(told) + "\n").encode()
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                with self._lock:
                    if os.write(descriptor, line) != len(line):
                        raise OSError("the disk is full")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise not_writable(self._path, error) from error
