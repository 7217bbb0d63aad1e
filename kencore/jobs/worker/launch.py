"""How an attempt becomes a process: what every launcher can do.

The supervisor knows launchers by this protocol alone. One for a cluster is one more file: its
``start`` begins an actor per attempt, its handles are actors' names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at one job, to be started.

    ``heavy``: it imports torch. ``threads``: processor threads it may use. ``gpus``: cards it reserved.
    """

    job: str
    number: int
    heavy: bool
    threads: int
    gpus: float = 0.0


class Launcher(Protocol):
    """Starts, watches and ends the processes of attempts.

    A process writes its own handle into the store when it takes its attempt. Attempts are named
    by job and number.
    """

    def start(self, attempt: Attempt) -> None:
        """Start a process for the attempt.

        Raises:
            OSError, KencoreError: none can be had.
        """

    def exits(self) -> dict[tuple[str, int], int | None]:
        """Attempts that ended since the last call, with their exit codes.

        Negative is a signal, None unknown.
        """

    def watches(self, job: str, number: int) -> bool:
        """Whether `exits` will report this attempt."""

    def is_alive(self, handle: str) -> bool:
        """Whether the process with this handle runs, whoever started it."""

    def end(self, handle: str, *, kill: bool) -> None:
        """Ask the process and all it started to end, or make them (``kill``)."""

    def wait(self, seconds: float) -> None:
        """Sleep so long, or less if an attempt ends meanwhile."""

    def close(self) -> None:
        """Free what the launcher holds; attempts that run go on."""
