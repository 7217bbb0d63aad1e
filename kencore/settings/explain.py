"""What a person asks for when a sentence is explained. Light: the web process checks with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from kencore.errors import SpecError
from kencore.settings.json import JsonSettings
from kencore.system.devices import check_device

LONGEST_TEXT: Final = 2000  # characters; what the model cannot read of it is cut and said


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainSpec(JsonSettings):
    """One sentence, run through the models of one run.

    Args:
        run: the run, by id or folder.
        text: the sentence, up to `LONGEST_TEXT` characters. Nothing in it is interpreted.
        block: keep what the matrices of this block read; ``None``: of all blocks, as far as it is
            not too much (see `kencore.explain.sentence.MOST_BYTES`).
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        SpecError: no text, a text that is too long, or another value that cannot be.
    """

    remedy: ClassVar[str] = "Say which run, and type a sentence."

    run: str
    text: str
    block: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("run", "text"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise SpecError(
                    name,
                    got="nothing" if not value else repr(value),
                    wanted="a sentence" if name == "text" else "the id or folder of a run",
                    remedy=self.remedy,
                )
        if len(self.text) > LONGEST_TEXT:
            raise SpecError(
                "text",
                got=f"{len(self.text):,} characters",
                wanted=f"{LONGEST_TEXT:,} at most",
                remedy="Explain one sentence at a time.",
            )
        number = isinstance(self.block, int) and not isinstance(self.block, bool)
        if self.block is not None and not (number and self.block >= 0):
            raise SpecError(
                "block",
                got=repr(self.block),
                wanted="the number of a block, 0 or more",
                remedy="Leave it out for all blocks.",
            )
        check_device(self.device)
