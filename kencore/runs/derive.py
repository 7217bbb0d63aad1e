"""A run made from another run: the same masks, other values of what was kept.

Shapes: R rows (outputs), C columns (inputs), K kept entries of a matrix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kencore.checkpoint.tensors import to_float32
from kencore.runs.columns import MATRICES_SCHEMA, ROWS_SCHEMA
from kencore.runs.measures import share_lost
from kencore.runs.run import Run
from kencore.runs.writer import RunWriter

Bits = NDArray[np.generic]
WEIGHTS_AT_ONCE = 1 << 22
CONTENT = ("spec.json", "matrices.parquet", "masks.safetensors", "values.safetensors", "dense.safetensors")


@contextmanager
def derived(
    parent: Run, out: Path, values: Callable[[str], Bits], changed: Mapping[str, tuple[str, Bits]]
) -> Iterator[tuple[RunWriter, Run]]:
    """Write a run with the masks of another; inside, it can be read before it has its name.

    What a search saw is taken over. Input norms are not: they are of the values before.

    Args:
        parent: the run that it is made from; not changed.
        out: where it shall be.
        values: the kept values (K,) of a pruned matrix, storage bits, row by row of its mask.
        changed: parameters that were not pruned and are not as in the tuned checkpoint: stored
            name -> (safetensors dtype, storage bits).

    Yields:
        The writer, to add ``metrics.json``, ``record.json`` (both are there, nearly empty) and what
        else there is, and to `finish`; and the run as it is so far.

    Raises:
        RunExistsError, StoreNotWritableError: see `RunWriter`.
    """
    shapes = {name: parent.shape(name) for name in parent.pruned}
    kept = {name: (str(parent.matrix(name)["dtype"]), int(parent.matrix(name)["kept"])) for name in parent.pruned}
    with RunWriter(out, shapes, values=kept) as writer:
        lost: dict[str, float] = {}
        for name in parent.pruned:
            writer.add_rows(name, parent.keep(name))
            found = values(name)
            writer.add_values(name, found)
            lost[name] = share_lost(_pieces(parent, name, found))
            writer.add_table(name, [_row_columns(parent, name)])
            parent.release()
        writer.add_matrices(_lines(parent, lost))
        if changed:
            writer.add_changed(changed)
        del values, changed  # they may hold a model
        folder = writer.folder
        assert folder is not None
        writer.add_json("spec.json", parent.asked)
        if parent.trace is not None:
            writer.add_json("trace.json", parent.trace)
        writer.add_json("record.json", {"created": "", "sources": parent.record["sources"]})
        writer.add_json("metrics.json", {})
        yield writer, Run(folder, out.name)


def content_sha256(run: Run) -> str:
    """A hash of what makes the weights of a run: its settings, masks and changed values, and the
    hashes of the models that it was made from.
    """
    found = hashlib.sha256()
    for name in CONTENT:
        path = run.path / name
        if path.is_file():
            with path.open("rb") as file:
                found.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()} ".encode())
    return found.hexdigest()


def _row_columns(parent: Run, name: str) -> dict[str, NDArray[Any]]:
    table = parent.rows(name)
    return {field.name: table[field.name].to_numpy() for field in ROWS_SCHEMA if field.name not in ("matrix", "row")}


def _pieces(parent: Run, name: str, values: Bits) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Tuned, base, mask and kept values (r, C) of a matrix some rows at a time, from kept ones (K,)."""
    rows, columns = parent.shape(name)
    step, first = max(1, WEIGHTS_AT_ONCE // columns), 0
    for row in range(0, rows, step):
        part = slice(row, min(row + step, rows))
        keep = parent.keep(name, part)
        count = int(np.count_nonzero(keep))
        kept = np.zeros(keep.shape, np.float32)
        kept[keep] = to_float32(values[first : first + count], str(parent.matrix(name)["dtype"]))
        first += count
        yield parent.values(name, "tuned", part), parent.values(name, "base", part), keep, kept


def _lines(parent: Run, lost: Mapping[str, float]) -> list[dict[str, Any]]:
    """The lines of the table of matrices, with nothing where pandas says NaN.

    Args:
        lost: what each pruned matrix has lost now, by name.
    """
    lines: list[dict[str, Any]] = pa.Table.from_pandas(
        parent.matrices, schema=MATRICES_SCHEMA, preserve_index=False
    ).to_pylist()
    return [line | {"diff_lost": lost.get(line["name"])} for line in lines]
