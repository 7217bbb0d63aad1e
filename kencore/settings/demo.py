"""The demos: models that ship with the project, one row each, with what they bring along.

Nothing here opens a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kencore.methods.table import METHODS
from kencore.settings.packaged import PACKAGED
from kencore.system.places import assets_folder

SENTENCES: Final = "demo"
"""How the labelled sentences that ship with the project are named where data are asked for."""
SENTENCES_LABEL: Final = "Demo sentences"
TRAINING: Final = "demo-training"
"""The same for those that ship for a recovery to learn from; none is among the others."""
TRAINING_LABEL: Final = "Demo training sentences"
LABELLED_FILES: Final = {SENTENCES: "sentences.tsv", TRAINING: "training.tsv"}
"""Labelled sentences that ship with the project, see `place`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What is usual for tuning a small model: see the settings of these names in `RecoverSpec`."""

    held_out_share: float
    epochs: int
    lr: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A model that ships with the project.

    Attributes:
        name: what is written for the model, and for its run.
        folder: of the model, see `place`.
        language: whether it is a language model; the other kind is a sentiment classifier.
        label, short, title: its name in a form, in the label of a run, in a sentence.
        about: what it is, for a form.
        base: the demo that it was tuned from; ``None``: it is such a base itself.
        paired: whether the base always stands beside it; else only where something needs it, and entries
            that are not kept become zero.
        run: the folder of its run that ships too.
        data: what it is measured on, unless said otherwise.
        training: what a recovery learns from, unless said otherwise; ``None``: the same.
        sequences: of calibration text, that a form starts with.
        tuning: what a form for tuning starts with.
    """

    name: str
    folder: str
    language: bool
    label: str
    short: str
    title: str
    about: str = ""
    base: str | None = None
    paired: bool = False
    run: str | None = None
    data: str | None = None
    training: str | None = None
    sequences: int | None = None
    tuning: Tuning | None = None


ENCODER: Final = Demo(
    name="demo",
    folder="encoder/tuned",
    language=False,
    label="Demo encoder",
    short="demo encoder",
    title="Demo pair, a small sentiment classifier",
    about="A small BERT-like encoder that was trained for this project, and its sentiment-tuned version. What is "
    "not kept goes back to the base.",
    base="demo-base",
    paired=True,
    run="run",
    data=SENTENCES,
    training=TRAINING,
    tuning=Tuning(held_out_share=0.2, epochs=3, lr=2e-4),
)
_ROWS: Final = (
    ENCODER,
    Demo(
        name="demo-base",
        folder="encoder/base",
        language=False,
        label="Base of the demo encoder",
        short="demo encoder's base",
        title="Base of the demo pair",
    ),
    Demo(
        name="demo-lm",
        folder="lm/tuned",
        language=True,
        label="Demo language model",
        short="demo LM",
        title="Demo language model",
        about="A small LLaMA-like language model that was trained for this project on English prose, and a tuned "
        "version of it.",
        base="demo-lm-base",
        run="run-lm",
        data="pydoc",
        sequences=32,
        tuning=Tuning(held_out_share=0.1, epochs=1, lr=5e-4),
    ),
    Demo(
        name="demo-lm-base",
        folder="lm/base",
        language=True,
        label="Base of the demo language model",
        short="demo LM's base",
        title="Base of the demo language model",
    ),
)
DEMOS: Final = {demo.name: demo for demo in _ROWS}
TUNED: Final = {name: demo for name, demo in DEMOS.items() if demo.base is not None}
"""Those that are offered for pruning; the others are their bases."""
SHIPPED: Final = {name: demo.run for name, demo in DEMOS.items() if demo.run is not None}
"""Runs that ship with the project: id -> folder, see `place`."""
MODEL_FORMS: Final = f"{', '.join([*TUNED, *PACKAGED])}, a folder or a hub id"
"""How a model can be named."""


def place(folder: str) -> Path:
    """Where a folder or file of the demos is."""
    return assets_folder() / "demo" / folder


def sentences_file(name: str = SENTENCES) -> Path:
    """Labelled sentences that ship with the project, by a name of `LABELLED_FILES`."""
    return place(LABELLED_FILES[name])


def training_of(model: str) -> str | None:
    """What a recovery of a demo or a package's model learns from; ``None`` for any other model."""
    own = DEMOS[model].training if model in DEMOS else None
    return own or data_of(model)


def data_of(model: str) -> str | None:
    """What a demo or a package's model is measured on; ``None`` for any other model."""
    if model in PACKAGED:
        return PACKAGED[model].data
    return DEMOS[model].data if model in DEMOS else None


def base_of(model: str, *, method: str, rescale: str) -> str | None:
    """The base that comes with a demo, where these settings can use one."""
    demo, row = DEMOS.get(model), METHODS[method]
    if demo is None:
        return None
    wanted = row.takes_base if demo.paired else row.needs_base or rescale != "none"
    return demo.base if wanted else None
