"""The actor of a cluster that carries one piece of a job: a process in a session of its own, watched and ended.

The work starts in `__init__`: calls that wait in a queue end with whoever made them.
"""

from __future__ import annotations

import os
from contextlib import suppress

from kencore.jobs.worker import processes
from kencore.jobs.worker.interpreter import start


class Carrier:
    """Starts the process of a piece; made an actor by `kencore.jobs.worker.cluster`.

    Args:
        job: whose log it writes; piece: the folder, its number and which try at it this is.
    """

    def __init__(self, job: str, piece: tuple[str, int, int], threads: int) -> None:
        self._process = start(job, "kencore.jobs.worker.far", *map(str, piece), str(threads))

    def ended(self) -> int:
        """The process's exit code, once it has ended."""
        return self._process.wait()

    def stop(self) -> None:
        """Ask the process and all it started to end."""
        for target in processes.family(self._process.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(target, 15)
