"""How the help of the command line is laid out: groups of commands and of options, examples, width."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, Final

import typer

WIDTH: Final = 100  # of help that goes into a file or a pipe, and at most on a terminal
MAKE, LOOK, TAKE, MACHINE = "Make", "Look", "Take along", "This machine"
GROUPS: Final = {  # of options, by the name of the setting; all others stand first, without a group
    "What is pruned": ("scope", "embeddings", "vectors", "head", "measured"),
    "How sparsity is shared": (
        "allocation", "step", "reference", "block_lambda", "row_lambda", "balance", "fast", "published",
    ),
    "Calibration": ("calibration", "sequences", "search_sequences", "window", "bos", "propagate", "refine"),
    "Measuring": ("evaluation", "windows", "baselines", "cost", "tasks", "limit"),
    "Which version of a model": ("model_revision", "base_revision"),
}  # fmt: skip
EXAMPLES: Final = {
    "inspect": ("inspect smollm2", "inspect path/to/tuned --base path/to/base --data sentences.tsv"),
    "prune": (
        "prune --model demo --method ken --keep 0.5 --evaluation demo",
        "prune --model smollm2 --method wanda --allocation neuroal --sparsity 0.6 --evaluation pydoc",
    ),
    "evaluate": ("evaluate demo --data demo", "evaluate smollm2 --data text.txt --windows 64"),
    "export": ("export RUN small.subnetwork --as subnetwork", "export RUN pruned-model"),
    "open": ("open small.subnetwork restored --base path/to/base",),
    "convert": ("convert model.gguf folder", "convert fp8-model folder --dtype bfloat16"),
    "runs": ("runs --sort verdict", 'runs RUN --rename "half, measured twice" --tag paper', "runs RUN --delete"),
    "report": ("report RUN --out run.html",),
    "recover": ("recover RUN --data train.tsv --held-out dev.tsv --evaluation test.tsv",),
    "explain": ('explain RUN "A film that I will not forget."',),
    "sweep": ("sweep --model demo --methods ken,delta,random --keeps 0.9,0.5,0.25,0.1 --evaluation demo",),
    "flips": ("flips RUN --filter right-wrong --limit 20",),
    "sensitivity": ("sensitivity RUN --windows 16",),
    "compare": ("compare demo RUN",),
    "gallery": ("gallery", "gallery minilm-sst2-ken-75"),
}


def group_of(name: str) -> str | None:
    """The group of an option in the help."""
    return next((group for group, names in GROUPS.items() if name in names), None)


def add(app: typer.Typer, name: str, group: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`typer.Typer.command` with the command's group and its examples."""
    lines = EXAMPLES.get(name, ())
    epilog = "\n\n".join(("Examples:", *(f"  python -m kencore {line}" for line in lines))) if lines else None
    return app.command(name, rich_help_panel=group, epilog=epilog)


def set_width() -> None:
    """Help as wide as the terminal, up to `WIDTH`; exactly that where there is none."""
    from typer import rich_utils

    if rich_utils.MAX_WIDTH is None and "COLUMNS" not in os.environ:
        room = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
        rich_utils.MAX_WIDTH = min(WIDTH, room)
