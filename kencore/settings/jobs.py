"""What is asked of the jobs that have no settings of the library's own: inspect, evaluate, flips,
sensitivity, export, report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from kencore.settings.checks import check, checked_device
from kencore.settings.common import LABELLED, TEXTS, cost_setting, device_setting
from kencore.settings.fields import setting
from kencore.settings.json import JsonSettings
from kencore.settings.source import tidy_source

A_RUN: Final = "A run: its id or folder; demo is the demo run."
DATA: Final = (
    f"For a classifier {LABELLED}; for a language model {TEXTS}. By default what the run's quality was measured on."
)


class _Asked(JsonSettings):
    """Each setting is checked by itself."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectAsked(_Asked):
    """A model to look at, and its base if there is one."""

    remedy: ClassVar[str] = "Say which model."

    model: str = setting("text", tidy=tidy_source, help="A folder, a hub id or a demo.")
    base: str | None = setting("text", None, tidy=tidy_source, help="Its base, same forms.")
    model_revision: str | None = setting("text", None, help="Hub revision.")
    base_revision: str | None = setting("text", None, help="Hub revision.")
    data: str | None = setting("text", None, help="What its quality is to be measured on.")
    time: bool = setting("switch", False, help="Also try a little of each method, and say how long each will take.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateAsked(_Asked):
    """A run or a model, and the sentences or the text that it is measured on."""

    remedy: ClassVar[str] = "Say what is measured, and on what."

    model: str = setting("text", tidy=tidy_source, help="A run or a model.")
    examples: str = setting("text", help="Labeled sentences, or a text.")
    device: str | None = setting("text", None, check=checked_device, help="What it runs on.")
    baselines: bool = setting("switch", True, help="Of a run: also other methods at its budget.")
    cost: bool = cost_setting()
    save: bool = setting("switch", False, help="Of a run: keep the result in the run.")
    window: int | None = setting("count", None, low=2, help="Tokens of a window of text.")
    windows: int | None = setting("count", None, low=1, help="Windows of text at most.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipsAsked(_Asked):
    """A run whose changed answers are looked for, and what the answers are to."""

    remedy: ClassVar[str] = "Say which run."

    run: str = setting("text", argument=True, help=A_RUN)
    data: str | None = setting("text", None, help=DATA)
    device: str = device_setting()
    baselines: bool = setting("switch", True, help="Also what other rules answer at the run's budget.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityAsked(_Asked):
    """A run whose matrices are measured one by one, and on what."""

    remedy: ClassVar[str] = "Say which run."

    run: str = setting("text", argument=True, help=A_RUN)
    data: str | None = setting("text", None, help=DATA)
    device: str = device_setting()
    window: int | None = setting("count", None, low=2, help="Tokens of a window of text.")
    windows: int | None = setting("count", None, low=1, help="Windows of text at most.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportAsked(_Asked):
    """A run, and the form in which it is exported."""

    remedy: ClassVar[str] = "Say which run."

    run: str = setting("text", help="The run, by id or folder.")
    form: str | None = setting("text", None, help="What is written; a model's folder by default.")
    zstd: bool = setting("switch", False, help="Of a subnetwork file: compressed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAsked(_Asked):
    """A run, and the run beside it if there is one."""

    remedy: ClassVar[str] = "Say which run."

    run: str = setting("text", help="The run, by id or folder.")
    beside: str | None = setting("text", None, help="Another run to compare it with.")
