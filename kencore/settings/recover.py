"""What a person asks for when a pruned model is tuned: frozen settings that fail before it loads.

Light: the web process checks settings with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar

from kencore.errors import AdapterError, SpecError
from kencore.settings.checks import check
from kencore.settings.common import LABELLED, TEXTS, cost_setting, device_setting, seed_setting
from kencore.settings.demo import TRAINING
from kencore.settings.fields import setting
from kencore.settings.json import JsonSettings

TRAINS = ("all", "kept")
SCHEDULES = ("linear", "cosine", "constant")
ADAPTERS = frozenset({"lora", "qlora", "dora", "peft", "adapter", "adalora", "ia3", "prefix"})
AS_THE_RUN = "run"
EPOCHS = 2
# sentences or windows of a step, learning rate, sentences or windows that are measured
CLASSIFIER, LANGUAGE = (32, 2e-5, 1000), (8, 5e-5, 128)


def refuse_adapter(subject: str, got: str) -> AdapterError:
    """The error for a low-rank adapter."""
    return AdapterError(
        subject,
        got=got,
        wanted="full: the kept weights themselves are trained and every other weight stays where pruning put it",
        remedy="A low-rank update is dense: merged into the weights it would change every weight "
        "that was reset and undo the mask; kept beside them it is one more dense matrix to store "
        "and to run. Leave it out, or merge the adapter into the model first and prune that.",
    )


def _checked_method(name: str, method: Any) -> str:
    if isinstance(method, str) and method.lower().replace("-", "") in ADAPTERS:
        raise refuse_adapter(name, method)
    if method != "full":
        raise SpecError(name, got=repr(method), wanted="full", remedy="There is no other.")
    return str(method)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverSpec(JsonSettings):
    """One tuning of a pruned model, with its mask held.

    Args:
        run: the run to start from, by id or folder: any run, also one that was tuned already.
        data: what it learns from. For a classifier ``"demo-training"``, ``"demo"`` or a file of labelled
            sentences (`kencore.settings.common.TABLES`); for a language model text, named as for
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
        cost: where it is judged, also what the model costs.
        save_every: steps between checkpoints to go on from; ``None``: one about every minute.
        seed: of the split, the order of the data and dropout.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        SpecError: a value is missing, contradictory or out of range.
        AdapterError: a low-rank adapter is asked for.
    """

    remedy: ClassVar[str] = "Say what to recover, and on what."

    run: str = setting(
        "text",
        argument=True,
        help="The run to start from: its id or folder.",
        wanted="the run to recover: its id or folder",
    )
    data: str = setting(
        "text",
        label="What it learns from",
        help=f"What it learns from. A classifier: {TRAINING}, {LABELLED}; a language model: {TEXTS}.",
        wanted="training data",
    )
    held_out: str | None = setting(
        "text",
        None,
        label="Held-out data, a name or file",
        help="What is measured meanwhile and never learned from; by default a share of the data, kept apart.",
        wanted="data of the model's kind",
    )
    held_out_share: float = setting(
        "share",
        0.1,
        low=0,
        high=1,
        without=(0, 1),
        offered=(0.01, 0.9),
        label="Share that is held out",
        help="Share of the data that is held out. Drawn by the seed; equal sentences stay on one side.",
    )
    method: str = setting("text", "full", check=_checked_method, help="full: the kept weights themselves.")
    train: str = setting(
        "choice",
        "all",
        choices=TRAINS,
        label="What is trained",
        help="all: kept weights and what was not pruned; kept: kept weights alone.",
    )
    epochs: int | None = setting(
        "count",
        None,
        low=1,
        offered=(1, 10_000),
        label="Times through the data",
        help=f"Times through the data; by default {EPOCHS}. The weights of the best measurement are kept in any case.",
        wanted="a whole number of times through the training data, 1 or more",
    )
    steps: int | None = setting(
        "count",
        None,
        low=1,
        help="Optimizer steps, instead of epochs.",
        wanted="a whole number of optimizer steps, 1 or more",
    )
    batch: int | None = setting(
        "count",
        None,
        low=1,
        offered=(1, 10_000),
        label="Sentences or windows of a step",
        help="Sentences (by default 32) or windows (8) of a step.",
        wanted="sentences or windows of a step, 1 or more",
    )
    lr: float | None = setting(
        "number",
        None,
        low=0,
        high=1,
        without=(0,),
        offered=(1e-8, 1),
        label="Learning rate",
        help="Highest learning rate; by default 2e-5 (classifier) or 5e-5 (language model). Small models take ten "
        "times as much.",
    )
    weight_decay: float = setting(
        "number",
        0.01,
        low=0,
        high=1,
        without=(1,),
        offered=(0, 0.99),
        label="Weight decay",
        help="Of matrices; norms and biases have none.",
    )
    warmup: float = setting(
        "number", 0.06, low=0, high=1, without=(1,), help="Share of steps over which the rate rises."
    )
    schedule: str = setting(
        "choice", "linear", choices=SCHEDULES, label="Schedule", help="What the learning rate does once it has risen."
    )
    clip: float | None = setting(
        "number", 1.0, low=0, without=(0, inf), optional=True, nothing=0, help="Largest norm of a gradient; 0: any."
    )
    every: int | None = setting(
        "count",
        None,
        low=1,
        help="Steps between measurements; by default a tenth of all.",
        wanted="steps between measurements, 1 or more",
    )
    patience: int | None = setting(
        "count",
        None,
        low=1,
        offered=(1, 1000),
        label="Patience",
        help="Stop after so many measurements without a lower held-out loss.",
        wanted="measurements without improvement, 1 or more",
    )
    max_length: int | None = setting(
        "count", None, low=3, help="Of a classifier: tokens of a sentence.", wanted="tokens of a sentence, 3 or more"
    )
    window: int | None = setting(
        "count",
        None,
        low=2,
        help="Of a language model: tokens of a window.",
        wanted="tokens of a window, 2 or more: one to read and one to predict",
    )
    sample: int | None = setting(
        "count",
        None,
        low=1,
        help="Measure at most so many sentences (1,000) or windows (128).",
        wanted="sentences or windows to measure, 1 or more",
    )
    evaluation: str | None = setting(
        "text",
        AS_THE_RUN,
        optional=True,
        label="Judge it afterwards",
        help=f"What the run is judged on after recovery: {AS_THE_RUN} (as the run it starts from), data of the same "
        "kinds, or none.",
        wanted="data of the model's kind",
    )
    baselines: bool = setting(
        "switch",
        True,
        label="Baselines too",
        help="Where it is judged, other methods at the same budget as well. They are not tuned.",
    )
    cost: bool = cost_setting()
    save_every: int | None = setting(
        "count",
        None,
        low=1,
        help="Steps between checkpoints; by default one a minute.",
        wanted="steps between checkpoints, 1 or more",
    )
    seed: int = seed_setting("Of what is held out, the order of the data, and dropout.")
    device: str = device_setting()

    def __post_init__(self) -> None:
        check(self)
        if self.epochs is not None and self.steps is not None:
            raise SpecError(
                "epochs and steps",
                got="both",
                wanted="at most one of them",
                remedy="Give times through the data (epochs) or optimizer steps (steps).",
            )
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", EPOCHS)

    def resolved(self, *, language: bool) -> RecoverSpec:
        """The same settings with the defaults of the task filled in: batch, lr and sample."""
        batch, lr, sample = LANGUAGE if language else CLASSIFIER
        return replace(
            self, batch=self.batch or batch, lr=lr if self.lr is None else self.lr, sample=self.sample or sample
        )
