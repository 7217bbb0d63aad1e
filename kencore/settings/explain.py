"""What a person asks for when a sentence is explained or continued. Light: the web process checks with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from kencore.errors import SpecError
from kencore.settings.checks import check
from kencore.settings.common import device_setting
from kencore.settings.fields import setting
from kencore.settings.json import JsonSettings

LONGEST_TEXT: Final = 2000  # characters; what the model cannot read of it is cut and said
MOST_TOKENS: Final = 200  # of a continuation


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
        _check_length(self.text, "Explain one sentence at a time.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinueSpec(JsonSettings):
    """The beginning of a text, continued by the dense and by the pruned model of a run.

    Args:
        run: the run, by id or folder.
        text: what is continued, up to `LONGEST_TEXT` characters.
        tokens: how many each model adds, up to `MOST_TOKENS`.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        SpecError: no text, a text that is too long, or another value that cannot be.
    """

    remedy: ClassVar[str] = "Say which run, and type the beginning of a text."

    run: str = setting("text", help="The run.", wanted="the id or folder of a run", remedy=remedy)
    text: str = setting("text", help="The beginning of a text.", wanted="some text", remedy=remedy)
    tokens: int = setting("count", 40, low=1, high=MOST_TOKENS, help="Tokens that each model adds.")
    device: str = device_setting()

    def __post_init__(self) -> None:
        check(self)
        _check_length(self.text, "Give its end alone.")


def _check_length(text: str, remedy: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise SpecError("text", got=f"{len(text):,} characters", wanted=f"{LONGEST_TEXT:,} at most", remedy=remedy)
