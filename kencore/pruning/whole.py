"""Make a run that ships without its masks whole again: prune once more, as it was asked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.pruning.prune import prune
from kencore.runs import bits
from kencore.runs.run import Run
from kencore.runs.shelf import find_stored_run
from kencore.runs.writer import run_exists
from kencore.system.places import runs_folder
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = ("metrics.json", "flips.parquet", "texts.json")  # what was measured and told of the very same masks


def make_whole(run: str, *, threads: int | None = None, progress: Progress | None = None) -> tuple[Run, bool]:
    """Prune again and put the whole run into the store, under its own name: it then stands before the one that ships.

    Args:
        run: the id of a run that ships without its masks.
        progress: called with (done, total, what is being done); may raise to cancel, which leaves nothing behind.

    Returns:
        The whole run, and whether it keeps as many weights in every cell as the one that ships: then it keeps that
        one's quality and answers, too. Another processor may round otherwise; such a run is not measured.

    Raises:
        RunNotFoundError: no such run.
        RunExistsError: it is whole already.
        MissingExtraError, SourceNotFoundError: its model is not on this machine.
        KencoreError: as `prune`.
    """
    shipped = Run(find_stored_run(run), name=run)
    if not shipped.thin:
        raise run_exists(shipped.path)
    coded = shipped.spec.coded  # by what comes near on data
    spec = shipped.spec if coded else replace(shipped.spec, evaluation=None)
    made = prune(spec, out=runs_folder() / run, threads=threads, progress=progress)
    same = alike(made, shipped)
    if same:
        for name in KEPT:
            if (shipped.path / name).is_file():
                shutil.copyfile(shipped.path / name, made.path / name)
        _say_asked(made.path / "spec.json", shipped.spec.evaluation)
    return Run(made.path), same


def alike(whole: Run, thin: Run) -> bool:
    """Whether a whole run keeps as many weights as a thin one in each of its cells, and in each row."""
    if whole.pruned != thin.pruned:
        return False
    for name in thin.pruned:
        shape = thin.shape(name)
        if whole.shape(name) != shape:
            return False
        cell, counts = thin.stored_cells.counts(name, shape)
        packed = whole.mask_bits(name)
        found: NDArray[Any] = bits.kept_per_cell(packed, shape[1], cell)
        rows = np.array_equal(bits.kept_per_row(packed), thin.stored_cells.kept(name))
        if not (rows and np.array_equal(found, counts)):
            return False
    return True


def _say_asked(path: Path, evaluation: str | None) -> None:
    asked = json.loads(path.read_text("utf-8"))
    asked["spec"]["evaluation"] = evaluation
    path.write_text(json.dumps(asked, indent=1, sort_keys=True) + "\n", "utf-8")
