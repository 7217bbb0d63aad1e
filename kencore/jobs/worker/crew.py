"""The pieces of one attempt at a job, whoever carries them: what they told, which may begin, how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kencore.jobs import folders
from kencore.jobs.context import Context
from kencore.jobs.pieces import Share
from kencore.jobs.records import State
from kencore.jobs.worker.far import Piece
from kencore.system.places import private_folder
from kencore.system.plain_json import read_json_object

MOST_DEATHS: Final = 3  # of one piece of several
WAITING: Final = "Waiting for a machine"

End = tuple[State, Mapping[str, str] | None]
"""State, and the error of a failure."""


@dataclass(kw_only=True, eq=False)
class Part:
    """One piece, as who watches it sees it.

    Attributes:
        weight: its share of the work; last: it begins once all others are done.
        at: bytes of what it told that were read; known: those whose events a former process passed on.
        share: of it that is done.
        end: how it ended, once that is told.
        carrier: the process or actor that carries it; ``None`` while there is none.
    """

    piece: Piece
    weight: float
    last: bool = False
    at: int = 0
    known: int = 0
    share: float = 0.0
    end: End | None = None
    carrier: Any = None

    def try_again(self) -> None:
        """From now on it is the next try at it: nothing of the one before is heard any more."""
        self.piece = self.piece._replace(tried=self.piece.tried + 1)
        self.at, self.known, self.carrier = 0, 0, None


class Crew:
    """All pieces of an attempt.

    Args:
        folder: the temporary one of the attempt.
        context: what they tell goes on to.
    """

    def __init__(self, folder: Path, parts: Sequence[Part], context: Context) -> None:
        self.folder, self.parts, self.context = folder, list(parts), context
        self._message = WAITING
        self._told = (-1.0, "")
        self._ended_last = self.parts[-1]

    @classmethod
    def begin(cls, folder: Path, said: Mapping[str, Any], shares: Sequence[Share], context: Context) -> Crew:
        """Write down what each piece is to do.

        Args:
            said: of the job: ``kind``, ``folder``, ``user``.
        """
        if len(shares) > 1:
            private_folder(context.shared)
        asked = {name: said[name] for name in ("kind", "folder", "user")}
        asked |= {"job": context.job, "attempt": context.attempt, "shared": str(context.shared)}
        parts = []
        for number, share in enumerate(shares):
            piece = Piece(folder, number)
            piece.asked.write_text(json.dumps(asked | {"params": share.params}), "utf-8")
            parts.append(Part(piece=piece, weight=share.weight, last=share.last))
        plan = [{"weight": share.weight, "last": share.last} for share in shares]
        (folder / "pieces.json").write_text(json.dumps({"pieces": plan}), "utf-8")
        return cls(folder, parts, context)

    @classmethod
    def found(cls, folder: Path, context: Context) -> Crew:
        """The pieces that a former process began.

        Raises:
            OSError, ValueError, KeyError, TypeError: what it wrote down cannot be read.
        """
        plan = read_json_object(folder / "pieces.json", ours=True)["pieces"]
        heard: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            heard = read_json_object(folder / "heard.json", ours=True)
        parts = [
            Part(piece=Piece(folder, i, _tried(folder, i)), weight=float(one["weight"]), last=one["last"])
            for i, one in enumerate(plan)
        ]
        for part in parts:
            part.known = int(heard.get(part.piece.told.name, 0))
        return cls(folder, parts, context)

    def ready(self) -> list[Part]:
        """Pieces that nothing carries and that may begin now."""
        alone = all(part.end for part in self.parts if not part.last)
        return [part for part in self.parts if not part.end and part.carrier is None and (alone or not part.last)]

    def hear(self) -> None:
        """Take what was told since the last time.

        Raises:
            JobCancelled: somebody asked to cancel.
        """
        for part in self.parts:
            self._hear(part)
        done = sum(part.weight * part.share for part in self.parts)
        if (done, self._message) != self._told:
            self._told = done, self._message
            self.context.progress(done, sum(part.weight for part in self.parts), self._message)

    def _hear(self, part: Part) -> None:
        events = False
        for at, line in part.piece.heard(part.at):
            part.at = at
            match line:
                case {"progress": [float() | int() as done, float() | int() as total, str() as message]}:
                    part.share, self._message = min(1.0, done / total) if total else 0.0, message
                case {"event": [str() as kind, dict() as data]}:
                    if at > part.known:
                        events = True
                        self.context.event(kind, data)
                case {"device": str() as device}:
                    self.context.set_device(device)
                case {"end": ["succeeded" | "failed" | "cancelled" as state, error]}:
                    part.end, part.share, self._ended_last = (state, error), 1.0, part
        if events:  # they are written once, whoever reads on
            heard = {one.piece.told.name: one.at for one in self.parts}
            (self.folder / "heard.json").write_text(json.dumps(heard), "utf-8")

    def again(self, part: Part) -> bool:
        """Whether a piece that died without a word is to begin once more."""
        if len(self.parts) < 2 or part.piece.tried + 1 >= MOST_DEATHS:
            part.carrier = None
            return False
        part.try_again()
        self.context.event("piece restarted", {"piece": part.piece.number})
        return True

    def over(self) -> End | None:
        """How the attempt ended; ``None`` while it goes on. A piece that failed ends it."""
        wrong = next((part.end for part in self.parts if part.end and part.end[0] != "succeeded"), None)
        if wrong is not None:
            return ("cancelled" if wrong[0] == "cancelled" else "failed"), wrong[1]
        return ("succeeded", None) if all(part.end for part in self.parts) else None

    def gather(self) -> None:
        """Make the result of one piece that of the attempt, as `kencore.jobs.folders.publish` wants it."""
        folders.remove(self.folder / "out")
        result = next((part for part in self.parts if part.last), self._ended_last)
        result.piece.out.rename(self.folder / "out")


def _tried(folder: Path, number: int) -> int:
    """The last try at a piece that told something."""
    return max((int(path.name.split(".")[2]) for path in folder.glob(f"told.{number}.*.jsonl")), default=0)
