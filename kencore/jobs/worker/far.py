"""A piece of a job, here or on a machine of a cluster, which has the shared folder and not the job store.

    python -m kencore.jobs.worker.far FOLDER PIECE TRY THREADS

The folder is the temporary one of the attempt. ``asked.PIECE.json`` says what to do; what is told goes line by line
into ``told.PIECE.TRY.jsonl``, from where who watches takes it into the store; the result goes into ``out.PIECE.TRY``.
A process that was thought lost and is not writes where nobody reads any more:

    {"progress": [done, total, message]} | {"event": [kind, data]} | {"device": text} | {"end": [state, error]}
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from kencore.errors import JobCancelled
from kencore.jobs.context import Context
from kencore.jobs.diary import tell_traceback
from kencore.jobs.kinds import find_kind
from kencore.jobs.records import State
from kencore.jobs.worker.conduct import UNTOLD, be_modest, leave, limit_threads
from kencore.jobs.worker.failures import to_error
from kencore.jobs.worker.processes import end_own_family
from kencore.system import people
from kencore.system.plain_json import parse_json, read_json_object

PARENT_SECONDS: Final = 0.5
LINE_BYTES: Final = 1 << 20


class Piece(NamedTuple):
    """The files of one piece of an attempt, of one try at it."""

    folder: Path
    number: int
    tried: int = 0

    @property
    def asked(self) -> Path:
        """What to do: kind, parameters, job, attempt, user, working folder and the folder that pieces share."""
        return self.folder / f"asked.{self.number}.json"

    @property
    def told(self) -> Path:
        """What was told of it."""
        return self.folder / f"told.{self.number}.{self.tried}.jsonl"

    @property
    def out(self) -> Path:
        """Its result, whole once its end is told."""
        return self.folder / f"out.{self.number}.{self.tried}"

    def tell(self, what: str, data: Any) -> None:
        """Append one line; the file is closed, so that a shared disk shows it elsewhere."""
        with self.told.open("a", encoding="utf-8") as file:
            file.write(json.dumps({what: data}, allow_nan=False) + "\n")

    def heard(self, at: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Whole lines from byte ``at`` on, each with the byte behind it; one that is damaged is passed over."""
        with suppress(FileNotFoundError), self.told.open("rb") as file:
            file.seek(at)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # it is being written
                at += len(line)
                with suppress(ValueError):
                    found = parse_json(line.decode("utf-8", "replace"))
                    if isinstance(found, dict):
                        yield at, found


class FarContext(Context):
    """A context that tells by lines in a shared folder."""

    def __init__(self, piece: Piece, job: str, attempt: int, *, threads: int, shared: Path | None = None) -> None:
        super().__init__(None, job, attempt, out=piece.out, threads=threads, shared=shared)
        self._piece = piece

    def set_device(self, device: str) -> None:
        """Tell what the job runs on, in words."""
        self._piece.tell("device", device)

    def _add(self, kind: str, data: Mapping[str, Any]) -> None:
        self._piece.tell("event", [kind, dict(data)])

    def _report(self, done: float, total: float, message: str) -> bool:
        with suppress(OSError):  # a full disk is no reason to lose hours of work
            self._piece.tell("progress", [done, total, message])
        return True


def main(folder: str, number: int, tried: int, threads: int) -> int:
    """Do one piece in this process; the exit code is 0 when its end is told."""
    be_modest()
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    piece = Piece(Path(folder), number, tried)
    try:
        asked = read_json_object(piece.asked, ours=True)
        people.work_for(asked["user"])
        with suppress(OSError):
            os.chdir(asked["folder"])
        shared = Path(asked["shared"])
        context = FarContext(piece, asked["job"], asked["attempt"], threads=threads, shared=shared)
        state, error = _run(asked, context)
        end_own_family()
        piece.tell("end", [state, error])
    except Exception:  # noqa: BLE001 - the last frame of the process
        tell_traceback()
        return UNTOLD
    return 0


def _run(asked: dict[str, Any], context: FarContext) -> tuple[State, Mapping[str, str] | None]:
    try:
        kind = find_kind(asked["kind"])
        context.out.mkdir(mode=0o700)
        limit_threads(context.threads)
        kind.load()(asked["params"], context)
        context.flush()
    except JobCancelled:
        return "cancelled", None
    except BaseException as failure:  # noqa: BLE001 - a job may raise anything
        tell_traceback()
        return "failed", to_error(failure)
    return "succeeded", None


def _leave_with(parent: int) -> None:
    """End this process and what it started once the actor that started it is gone."""
    wait = threading.Event()
    while os.getppid() == parent:
        wait.wait(PARENT_SECONDS)
    end_own_family()
    leave(UNTOLD)


if __name__ == "__main__":
    leave(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
