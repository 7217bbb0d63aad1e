"""All pieces of an attempt as processes of this machine, watched by the process of the attempt."""

from __future__ import annotations

import time
from typing import Final

from kencore.jobs import folders
from kencore.jobs.worker import failures
from kencore.jobs.worker.crew import Crew, End, Part
from kencore.jobs.worker.interpreter import start

PAUSE: Final = 0.05


def carry(crew: Crew) -> End:
    """Carry out every piece; how the attempt ended. One whose process dies begins again, up to twice.

    Raises:
        JobCancelled: somebody asked to cancel.
        OSError: no process can be had.
    """
    while True:
        for part in crew.ready():
            _begin(crew, part)
        ended = [part for part in crew.parts if part.carrier is not None and part.carrier.poll() is not None]
        crew.hear()
        for part in ended:
            code, part.carrier = part.carrier.poll(), None
            if part.end is None and not crew.again(part):
                return "failed", failures.broke_off(code) if code >= 0 else failures.died(code, "three attempts")
        end = crew.over()
        if end is not None:
            return end
        time.sleep(PAUSE)


def _begin(crew: Crew, part: Part) -> None:
    folders.remove(part.piece.out)
    beside = 1 if part.last else sum(not one.last for one in crew.parts)
    threads = max(1, crew.context.threads // beside)
    part.carrier = start(crew.context.job, "kencore.jobs.worker.far", *map(str, part.piece), str(threads))
