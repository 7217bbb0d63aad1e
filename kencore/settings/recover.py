"""What a person asks for when a pruned model is tuned: frozen settings that fail before it loads.

Light: the web process checks settings with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from kencore.errors import AdapterError, SpecError
from kencore.settings.checks import check_seed
from kencore.settings.json import JsonSettings
from kencore.system.devices import check_device

TRAINS = ("all", "kept")
SCHEDULES = ("linear", "cosine", "constant")
ADAPTERS = frozenset({"lora", "qlora", "dora", "peft", "adapter", "adalora", "ia3", "prefix"})
AS_THE_RUN = "run"
EPOCHS = 2
# sentences or windows of a step, learning rate, sentences or windows that are measured
CLASSIFIER, LANGUAGE = (32, 2e-5, 1000), (8, 5e-5, 128)

# least value, what it counts
_COUNTS: dict[str, tuple[int, str]] = {
    "epochs": (1, "a whole number of times through the training data, 1 or more"),
    "steps": (1, "a whole number of optimizer steps, 1 or more"),
    "batch": (1, "sentences or windows of a step, 1 or more"),
    "patience": (1, "measurements without improvement, 1 or more"),
    "every": (1, "steps between measurements, 1 or more"),
    "max_length": (3, "tokens of a sentence, 3 or more"),
    "window": (2, "tokens of a window, 2 or more: one to read and one to predict"),
    "sample": (1, "sentences or windows to measure, 1 or more"),
    "save_every": (1, "steps between checkpoints, 1 or more"),
}
# least, most, whether the least is allowed, whether the most is allowed, whether it may be left out
_NUMBERS: dict[str, tuple[float, float, bool, bool, bool]] = {
    "held_out_share": (0, 1, False, False, False),
    "lr": (0, 1, False, True, True),
    "weight_decay": (0, 1, True, False, False),
    "warmup": (0, 1, True, False, False),
    "clip": (0, math.inf, False, False, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSpec(JsonSettings):
    """One tuning of a pruned model, with its mask held.

    Args:
        run: the run to start from, by id or folder: any run, also one that was tuned already.
        data: what it learns from. For a classifier ``"demo"`` or a ``.tsv``, ``.jsonl`` or
            ``.parquet`` file of labelled sentences; for a language model text, named as for
            calibration: ``pydoc``, ``wikitext2``, ``c4``, ``ptb`` or a file.
        held_out: data of the same kind that is measured while it learns and never learned from
            (of a text its evaluation part); ``None``: a part of ``data``, see below.
        held_out_share: without ``held_out``: the share of the training data, drawn by the seed,
            that is held out. Equal sentences stay together.
        method: ``full``: the weights themselves are trained. There is no other: see `AdapterError`.
        train: ``all``: kept entries and everything that was not pruned; ``kept``: kept entries of
            pruned matrices alone.
        epochs, steps: how long; at most one of them. Neither means 2 epochs, as KEN's experiments.
        batch: sentences (default 32) or windows (default 8) of a step.
        lr: highest learning rate; default 2e-5 for a classifier, as KEN's experiments, and 5e-5
            for a language model. Small models take ten times as much.
        weight_decay: AdamW's, of matrices; vectors (norms, biases) have none.
        warmup: share of the steps over which the learning rate rises from zero.
        schedule: what it does afterwards: fall to zero (``linear``, ``cosine``) or ``constant``.
        clip: largest norm of a gradient; ``None``: not clipped.
        every: steps between measurements on held-out data; ``None``: ten measurements in all.
        patience: stop after so many measurements without a lower held-out loss; ``None``: never.
            The weights with the lowest held-out loss are kept either way.
        max_length: of a classifier: tokens of a sentence; ``None``: what the model can read.
        window: of a language model: tokens of a window; ``None``: the run's own, else the usual.
        sample: at most so many sentences (default 1,000) or windows (default 128) of the training
            and of the held-out data are measured.
        evaluation: what the tuned run is judged on: ``"run"``: what the run it starts from was
            judged on; or data as ``PruneSpec.evaluation``; ``None``: nothing.
        baselines: where it is judged, also other rules at the same budget, not tuned.
        save_every: steps between checkpoints to go on from; ``None``: one about every minute.
        seed: of the split, the order of the data and dropout.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        SpecError: a value is missing, contradictory or out of range.
        AdapterError: a low-rank adapter is asked for.
    """

    remedy: ClassVar[str] = "Say what to tune, and on what."

    run: str
    data: str
    held_out: str | None = None
    held_out_share: float = 0.1
    method: str = "full"
    train: str = "all"
    epochs: int | None = None
    steps: int | None = None
    batch: int | None = None
    lr: float | None = None
    weight_decay: float = 0.01
    warmup: float = 0.06
    schedule: str = "linear"
    clip: float | None = 1.0
    every: int | None = None
    patience: int | None = None
    max_length: int | None = None
    window: int | None = None
    sample: int | None = None
    evaluation: str | None = AS_THE_RUN
    baselines: bool = True
    save_every: int | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, what in (("run", "the run to tune: its id or folder"), ("data", "training data")):
            _check_text(name, getattr(self, name), what, optional=False)
        for name in ("held_out", "evaluation"):
            _check_text(name, getattr(self, name), "data of the model's kind", optional=True)
        _check_method(self.method)
        _check_choice("train", self.train, TRAINS)
        _check_choice("schedule", self.schedule, SCHEDULES)
        for name in _COUNTS:
            _check_count(name, getattr(self, name))
        for name in _NUMBERS:
            _check_number(name, getattr(self, name))
        if not isinstance(self.baselines, bool):
            raise SpecError("baselines", got=repr(self.baselines), wanted="True or False", remedy="Pass a bool.")
        if self.epochs is not None and self.steps is not None:
            raise SpecError(
                "epochs and steps",
                got="both",
                wanted="at most one of them",
                remedy="Give times through the data (epochs) or optimizer steps (steps).",
            )
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", EPOCHS)
        check_seed(self.seed)
        check_device(self.device)

    def resolved(self, *, language: bool) -> TuneSpec:
        """The same settings with the defaults of the task filled in: batch, lr and sample."""
        batch, lr, sample = LANGUAGE if language else CLASSIFIER
        return replace(
            self, batch=self.batch or batch, lr=lr if self.lr is None else self.lr, sample=self.sample or sample
        )


def refuse_adapter(subject: str, got: str) -> AdapterError:
    """The error for a low-rank adapter."""
    return AdapterError(
        subject,
        got=got,
        wanted="full: the kept weights themselves are trained and every other entry stays where pruning put it",
        remedy="A low-rank update is dense: merged into the weights it would change every entry "
        "that was reset and undo the mask; kept beside them it is one more dense matrix to store "
        "and to run. Leave it out, or merge the adapter into the model first and prune that.",
    )


def _check_method(method: object) -> None:
    if isinstance(method, str) and method.lower().replace("-", "") in ADAPTERS:
        raise refuse_adapter("method", method)
    _check_choice("method", method, ("full",))


def _check_text(name: str, value: object, what: str, *, optional: bool) -> None:
    if (value is None and optional) or (isinstance(value, str) and value.strip()):
        return
    got = "nothing" if value is None or value == "" else repr(value)
    remedy = "Fill it in." + (" Or leave it out." if optional else "")
    raise SpecError(name, got=got, wanted=what, remedy=remedy)


def _check_choice(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        wanted = f"one of {', '.join(words)}" if len(words) > 1 else words[0]
        raise SpecError(name, got=repr(value), wanted=wanted, remedy="Choose one of these.")


def _check_count(name: str, value: object) -> None:
    least, what = _COUNTS[name]
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(name, got=repr(value), wanted=what, remedy="Pass such a number, or leave it out.")


def _check_number(name: str, value: object) -> None:
    least, most, low_in, high_in, optional = _NUMBERS[name]
    if value is None and optional:
        return
    if isinstance(value, int | float) and not isinstance(value, bool):
        above = value >= least if low_in else value > least
        below = value <= most if high_in else value < most
        if above and below:
            return
    low = f"{least:g} or more" if low_in else f"above {least:g}"
    high = "" if most == math.inf else f" and {'at most' if high_in else 'below'} {most:g}"
    raise SpecError(
        name,
        got=repr(value),
        wanted=f"a number {low}{high}",
        remedy="Pass such a number" + (", or leave it out." if optional else "."),
    )
