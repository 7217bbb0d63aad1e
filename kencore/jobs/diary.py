"""Lines for a log that may lie on a full disk: telling must never end what is told about."""

from __future__ import annotations

import traceback
from contextlib import suppress


def tell(line: str) -> None:
    """Write one line to this process's log."""
    with suppress(OSError):
        print(line, flush=True)


def tell_traceback() -> None:
    """Write the traceback of the error being handled to this process's log."""
    with suppress(OSError):
        traceback.print_exc()
