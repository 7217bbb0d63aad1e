"""What a person asks for when a sentence is explained. Light: the web process checks with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from kencore.errors import SpecError
from kencore.settings.checks import check
from kencore.settings.common import device_setting
from kencore.settings.fields import setting
from kencore.settings.json import JsonSettings

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

    run: str = setting(
        "text",
        argument=True,
        help="The run: its id or folder; demo is the demo run.",
        wanted="the id or folder of a run",
        remedy=remedy,
    )
    text: str = setting("text", argument=True, help="A sentence, between quotes.", wanted="a sentence", remedy=remedy)
    block: int | None = setting(
        "count",
        None,
        low=0,
        help="Of a large model: look into the matrices of this block.",
        wanted="the number of a block, 0 or more",
        remedy="Leave it out for all blocks.",
    )
    device: str = device_setting()

    def __post_init__(self) -> None:
        check(self)
        if len(self.text) > LONGEST_TEXT:
            raise SpecError(
                "text",
                got=f"{len(self.text):,} characters",
                wanted=f"{LONGEST_TEXT:,} at most",
                remedy="Explain one sentence at a time.",
            )
