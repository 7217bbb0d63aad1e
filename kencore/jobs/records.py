"""What the job store tells its readers: plain frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
LIVE: tuple[State, ...] = ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One job, as it is now.

    Args:
        done, total: progress in the job's own unit; ``total`` is 0 while it is unknown.
        message: what the job is doing, in a few words.
        seconds_left: estimate for the running phase; ``None`` while there is none.
        error: ``None`` unless failed; else ``type``, ``message``, ``subject``, ``got``,
            ``wanted`` and ``remedy``, all text (empty where a fault has no such part).
        attempt: 0 before the first start, then 1, 2, ...
        created, started, finished: seconds since 1970; ``None`` while it has not happened.
        device: what the job runs on, in words; empty while unknown.
        cancelling: somebody asked to cancel and the job has not ended yet.
    """

    id: str
    kind: str
    params: dict[str, Any]
    state: State
    done: float
    total: float
    message: str
    seconds_left: float | None
    error: dict[str, str] | None
    attempt: int
    created: float
    started: float | None
    finished: float | None
    device: str
    user: str
    cancelling: bool

    @property
    def live(self) -> bool:
        """Whether the job is still to end."""
        return self.state in LIVE

    @property
    def share(self) -> float:
        """Share done, from 0 to 1: what a progress bar shows."""
        if self.state == "succeeded":
            return 1.0
        return min(1.0, max(0.0, self.done / self.total)) if self.total > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to a job.

    ``seq`` rises within a store and is what `events` takes as ``after``; ``attempt`` says which
    try it belongs to. Kinds every job has: submitted, started, restarted, cancelling, succeeded,
    failed, cancelled. A job adds its own.
    """

    seq: int
    job: str
    attempt: int
    time: float
    kind: str
    data: dict[str, Any]
