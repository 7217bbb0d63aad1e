"""Settings of the worker, read from the environment.

KENVIZ_WORKERS        jobs that run at the same time, beside one question; default: half the cores, 1 to 4
KENVIZ_IDLE_SECONDS   the supervisor ends after so long without a job; default 300
KENVIZ_PRELOAD        1: keep torch, transformers, numba and pandas loaded between jobs (default
                      on Linux); 0: load them anew for each job; or a comma list of modules
KENVIZ_GPUS           CUDA cards that jobs may reserve; default: those found
KENVIZ_RESULTS        results of jobs other than prune that are kept; default 200
KENVIZ_RAY_ADDRESS    jobs run on this Ray cluster (``auto``, or host:port), not on this machine; KENVIZ_WORKERS and
                      KENVIZ_GPUS are then by default what the cluster has
KENVIZ_PIECES         processes of this machine that share a job out which can be split; default 1
KENVIZ_PIECE_BYTES    jobs on a model whose weights are fewer bytes are not split; default 256 MiB
KENVIZ_RAY_CPUS       processors of the cluster that a job, or a piece of one, gets; default 1
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from kencore.errors import SpecError
from kencore.system.devices import count_gpus, usable_cores

HEAVY = ("torch", "transformers", "transformers.modeling_utils", "numba", "pandas", "kencore")
PIECE_BYTES = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How the supervisor runs jobs; see the module for the variables.

    Raises:
        SpecError: a value is out of range.
    """

    workers: int
    idle_seconds: float
    preload: tuple[str, ...]
    gpus: float
    results_kept: int
    pieces: int = 1
    piece_bytes: int = PIECE_BYTES
    ray: str = ""
    ray_cpus: float = 1.0

    def __post_init__(self) -> None:
        _at_least("KENVIZ_WORKERS", self.workers, 1)
        _at_least("KENVIZ_IDLE_SECONDS", self.idle_seconds, 0)
        _at_least("KENVIZ_GPUS", self.gpus, 0)
        _at_least("KENVIZ_RESULTS", self.results_kept, 1)
        _at_least("KENVIZ_PIECES", self.pieces, 1)
        _at_least("KENVIZ_PIECE_BYTES", self.piece_bytes, 0)
        _at_least("KENVIZ_RAY_CPUS", self.ray_cpus, 0.01)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> WorkerSettings:
        """Settings from ``environment`` (default: this process's).

        Raises:
            SpecError: a variable holds something else than a number in range.
        """
        given = os.environ if environment is None else environment
        few = max(1, min(4, usable_cores() // 2))
        return cls(
            workers=int(_number(given, "KENVIZ_WORKERS", few)),
            idle_seconds=_number(given, "KENVIZ_IDLE_SECONDS", 300),
            preload=_preload(given.get("KENVIZ_PRELOAD", "").strip()),
            gpus=_number(given, "KENVIZ_GPUS", count_gpus()),
            results_kept=int(_number(given, "KENVIZ_RESULTS", 200)),
            pieces=int(_number(given, "KENVIZ_PIECES", 1)),
            piece_bytes=int(_number(given, "KENVIZ_PIECE_BYTES", PIECE_BYTES)),
            ray=given.get("KENVIZ_RAY_ADDRESS", "").strip(),
            ray_cpus=_number(given, "KENVIZ_RAY_CPUS", 1),
        )


def _preload(text: str) -> tuple[str, ...]:
    if sys.platform == "win32" or text == "0":
        return ()
    if not text:
        # macOS's own libraries do not promise to work in a forked process
        return HEAVY if sys.platform == "linux" else ()
    return HEAVY if text == "1" else tuple(name.strip() for name in text.split(",") if name.strip())


def _number(given: Mapping[str, str], name: str, default: float) -> float:
    text = given.get(name, "").strip()
    try:
        return float(text) if text else float(default)
    except ValueError:
        raise _wrong(name, text, "a number") from None


def _at_least(name: str, value: float, least: float) -> None:
    if not least <= value < float("inf"):
        raise _wrong(name, repr(value), f"a number from {least} up")


def _wrong(name: str, got: str, wanted: str) -> SpecError:
    return SpecError(name, got=got, wanted=wanted, remedy="Correct it, or unset it.")
