"""Weights that a run is about, read from its checkpoints by slice, and only from the right ones.

Shapes: R rows (outputs), C columns (inputs), r x c a window of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.checkpoint.resized import fitted
from kencore.checkpoint.tensors import round_to
from kencore.errors import CheckpointChangedError, MatrixNotFoundError, SourceNotFoundError
from kencore.runs.cells import thin_error
from kencore.runs.reading import corrupt

if TYPE_CHECKING:
    from kencore.checkpoint.tensors import Tensors
    from kencore.runs.run import Run

Which = Literal["tuned", "base", "difference", "pruned", "levels"]
Floats = NDArray[np.float32]


def open_checkpoint(run: Run, which: str) -> Tensors:
    """One of the checkpoints that a run was made from (headers only).

    Raises:
        SourceNotFoundError: it is gone.
        CorruptRunError: the record does not name it.
    """
    from kencore.checkpoint.source import resolve
    from kencore.checkpoint.tensors import open_fitting

    try:
        source = dict(run.record["sources"][which])
    except (KeyError, TypeError, ValueError) as error:
        raise corrupt(run.path, f"record.json names no {which} model") from error
    try:
        return open_fitting(resolve(**source).folder, _names(run, which))
    except SourceNotFoundError as error:
        raise SourceNotFoundError(
            f"the {which} model of run {run.id}",
            got=f"it is gone ({error.subject})",
            wanted="the checkpoint that the run was made from",
            remedy="Put it back to see weights or to export; masks and counts need no model.",
        ) from error


def _names(run: Run, which: str) -> list[str]:
    """What the run calls the tensors of one of its checkpoints."""
    if which == "tuned":
        return [str(name) for name in run.matrices["name"]]
    if "base_name" not in run.matrices:
        return []
    return [str(name) for name in run.matrices["base_name"].dropna()]


def read_values(run: Run, name: str, which: Which, rows: slice, columns: slice) -> Floats:
    """A window (r, c) of one side of a parameter; see `Run.values`.

    Raises:
        ThinRunError: the run ships without its masks; no model is looked for.
    """
    if run.thin:
        raise thin_error(run, f"Values of {name}")
    if which == "difference":
        tuned = read_values(run, name, "tuned", rows, columns)
        return tuned - read_values(run, name, "base", rows, columns)
    if which == "pruned":
        return _pruned(run, name, rows, columns)
    if which == "levels":
        return _levels(run, name, rows, columns)
    if which == "base" and run.restore == "zero":
        sides = zip((rows, columns), run.shape(name), strict=True)
        spans = [side.indices(length) for side, length in sides]
        return np.zeros([max(0, last - first) for first, last, _ in spans], np.float32)
    return _stored(run, name, which, rows, columns)


def _levels(run: Run, name: str, rows: slice, columns: slice) -> Floats:
    """Levels of coded changes; of a matrix that is not coded none: its changes are kept exactly, or not at all."""
    if name in run.codes:
        from kencore.codes.table import levels_of

        try:
            return np.ascontiguousarray(levels_of(run.codes[name], rows)[:, columns])
        except ValueError as error:
            raise corrupt(run.path, f"the code of {name} cannot be read ({error})") from error
    sides = zip((rows, columns), run.shape(name), strict=True)
    spans = [side.indices(length) for side, length in sides]
    return np.zeros([max(0, last - first) for first, last, _ in spans], np.float32)


def _pruned(run: Run, name: str, rows: slice, columns: slice) -> Floats:
    if run.changed is not None and name in run.changed:
        transposed = bool(run.matrix(name)["transposed"])
        return run.changed.matrix(name, transposed=transposed, rows=rows, cols=columns)
    if run.matrix(name)["status"] != "pruned":
        return read_values(run, name, "tuned", rows, columns)
    keep = run.keep(name, rows, columns)
    if run.kept_values is None:
        kept = read_values(run, name, "tuned", rows, columns)
    else:
        from kencore.checkpoint.tensors import to_float32

        kept = to_float32(run.kept_bits(name, rows)[:, columns], run.kept_values.dtype(name))
    return np.where(keep, kept, read_values(run, name, "base", rows, columns))


def _stored(run: Run, name: str, which: str, rows: slice, columns: slice) -> Floats:
    line = run.matrix(name)
    tensors = run.tuned_tensors if which == "tuned" else run.base_tensors
    stored = name if which == "tuned" else line["base_name"]
    if stored is None or pd.isna(stored):
        raise MatrixNotFoundError(
            f"run {run.id}",
            got=f"{name} is only in the tuned model",
            wanted="a matrix that both models have",
            remedy="Look at its tuned values.",
        )
    resized = which == "base" and name in run.common_rows
    if not resized and list(tensors.info(stored).shape) != list(line["shape"]):
        raise CheckpointChangedError(
            f"{stored} in {tensors.folder}",
            got=f"shape {tensors.info(stored).shape}",
            wanted=f"{tuple(line['shape'])}, as when run {run.id} was made",
            remedy="Put the checkpoint back as it was, or prune again.",
        )
    _check_content(run, tensors, str(stored), line[f"{which}_sha256"])
    window = tensors.matrix(stored, transposed=bool(line["transposed"]), rows=rows, cols=columns)
    if which == "base":
        window = round_to(window, str(line["dtype"]))
    return fitted(window, read_values(run, name, "tuned", rows, columns)) if resized else window


def _check_content(run: Run, tensors: Tensors, stored: str, wanted: str | None) -> None:
    """Once for every tensor that is looked at: a retrained checkpoint fits no old mask."""
    if (tensors, stored) in run.checked:
        return
    if wanted is not None and tensors.sha256(stored) != wanted:
        raise CheckpointChangedError(
            f"{stored} in {tensors.folder}",
            got="other weights",
            wanted=f"those that run {run.id} was made from",
            remedy="Put the checkpoint back as it was, or prune again.",
        )
    run.checked.add((tensors, stored))
