"""How a process of a job behaves: modestly, with its share of the processors, and gone when it is done."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

UNTOLD: Final = 74  # exit code: the end could not be written (EX_IOERR)
NICENESS: Final = 5


def limit_threads(threads: int) -> None:
    """Share the cores with the jobs beside this one, unless the user's environment says how."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    if numba := sys.modules.get("numba"):
        # not by its variable, which it does not let change once it is loaded
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ.setdefault("NUMBA_NUM_THREADS", str(threads))


def be_modest() -> None:
    """Let the app go first, and have Linux kill this job rather than it when memory runs out."""
    with suppress(OSError, AttributeError):  # Windows has no nice
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def leave(code: int) -> NoReturn:
    """End this process at once: a thread that a library left behind must not keep it."""
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
