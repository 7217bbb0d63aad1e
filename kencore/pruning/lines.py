"""What every way of pruning shares: opening models, reading values, and the lines of a run.

Shapes: R rows (outputs), C columns (inputs), r rows of one piece.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import NonFiniteWeightError
from kencore.pruning.plan import Decision, stored_bytes
from kencore.settings.prune import PruneSpec

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.checkpoint.parameter import Layout
    from kencore.runs.measures import MatrixMeasures
    from kencore.runs.writer import RunWriter

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

PACKAGES = ("numpy", "numba", "torch", "transformers", "safetensors", "pyarrow")


def open_models(spec: PruneSpec) -> Pair:
    """Open what is asked for: the model, and its base if one is named.

    Raises:
        CheckpointError: see `resolve` and `open_pair`.
    """
    from kencore.checkpoint.pair import open_pair
    from kencore.checkpoint.source import resolve

    tuned = resolve(spec.model, revision=spec.model_revision)
    base = None if spec.base is None else resolve(spec.base, revision=spec.base_revision)
    return open_pair(tuned, base)


def run_folder(spec: PruneSpec, out: str | Path | None) -> Path:
    """Where the run is written: ``out``, or a new folder in the store, which is swept first."""
    from kencore.runs.shelf import sweep_leftovers
    from kencore.system.places import runs_folder

    if out is not None:
        # a link to an empty folder cannot be replaced by a folder, what it leads to can
        return Path(os.path.realpath(out))
    sweep_leftovers()
    return runs_folder() / new_run_id(spec)


def new_run_id(spec: PruneSpec) -> str:
    """A readable id: method, allocation, budget and eight random letters."""
    budget = f"k{spec.k}" if spec.k is not None else f"{spec.keep:g}"
    spread = "" if spec.allocation == "uniform" else f"{spec.allocation}-"
    return f"{spec.method}-{spread}{budget}-{uuid.uuid4().hex[:8]}"


def read_pair(
    pair: Pair, decision: Decision, step: int, rows: slice = slice(None)
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Tuned and base values of a matrix as float32, ``step`` rows at a time, rows being outputs.

    The base is rounded to the tuned dtype first: that is the value that a reset entry gets.
    Without a base it is zero.

    Raises:
        NonFiniteWeightError: NaN or infinity in either model, naming the tensor and the row.
    """
    parameter = decision.parameter
    first, last, _ = rows.indices(parameter.rows)
    for start in range(first, last, step):
        piece = slice(start, min(start + step, last))
        tuned = pair.tuned_tensors.matrix(parameter.name, transposed=parameter.transposed, rows=piece)
        check_finite(tuned, start, parameter.name, "tuned")
        yield piece, tuned, base_values(pair, decision, piece, tuned)


def base_values(pair: Pair, decision: Decision, rows: slice, tuned: Floats) -> Floats:
    """What the entries of some rows (r, C) become where they are not kept, as float32."""
    from kencore.runs.weights import round_to

    if pair.base_tensors is None:
        return np.zeros_like(tuned)
    name, parameter = decision.base_name, decision.parameter
    assert name is not None
    values = pair.base_tensors.matrix(name, transposed=parameter.transposed, rows=rows)
    values = round_to(values, parameter.dtype)
    check_finite(values, rows.start, name, "base")
    return values


def check_finite(values: Floats, first: int, name: str, which: str) -> None:
    """Raise `NonFiniteWeightError` for a row (of r, counted from ``first``) that no rule can
    rank."""
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise NonFiniteWeightError(
            f"{name} of the {which} model",
            got=f"NaN or infinity in row {first + row}",
            wanted="weights that are finite in the tuned model's dtype",
            remedy="This checkpoint is damaged or too coarse: train or export it anew.",
        )


def matrix_line(pair: Pair, decision: Decision) -> dict[str, Any]:
    """The line of a parameter in ``matrices.parquet`` before anything of it is pruned."""
    parameter = decision.parameter
    dense = pair.tuned_tensors.info(parameter.name).nbytes
    base = None if pair.base_tensors is None else decision.base_name
    return {
        "name": parameter.name,
        "base_name": base,
        "block": parameter.block,
        "stack": parameter.stack,
        "role": parameter.role,
        "part": parameter.part,
        "shape": list(parameter.shape),
        "rows": parameter.rows,
        "cols": parameter.cols,
        "transposed": parameter.transposed,
        "dtype": parameter.dtype,
        "params": decision.size,
        "status": decision.status,
        "reason": decision.reason,
        "k": decision.k,
        "target_keep": None,
        "tied": list(parameter.aliases),
        "kept": decision.size,
        "bytes_dense": dense,
        "bytes_stored": dense,
        "tuned_sha256": pair.tuned_tensors.sha256(parameter.name),
        "base_sha256": None if base is None or pair.base_tensors is None else pair.base_tensors.sha256(base),
    }


def changed_dtypes(decisions: Mapping[str, Decision], spec: PruneSpec) -> dict[str, tuple[str, int | None]] | None:
    """What `RunWriter` must know beforehand of changed values; ``None`` where none change."""
    if not spec.updates:
        return None
    return {name: (d.parameter.dtype, None) for name, d in decisions.items()}


def write_piece(
    writer: RunWriter, name: str, whole: MatrixMeasures, tuned: Floats, base: Floats, keep: Mask
) -> dict[str, NDArray[np.generic]]:
    """Append the mask of some rows (r, C) to the run; their rows for `RunWriter.add_table`."""
    from kencore.runs.measures import row_measures

    writer.add_rows(name, keep)
    whole.add(tuned, base, keep)
    return row_measures(tuned, base, keep)


def write_matrix(
    writer: RunWriter, decision: Decision, tuned: Floats, base: Floats | None, keep: Mask
) -> dict[str, Any]:
    """Write the mask and the row table of a whole matrix (R, C); what its line gains by it.

    Args:
        tuned: values of the dense model; base: what pruned entries become, ``None`` for zero.
    """
    from kencore.runs.measures import MatrixMeasures

    name, whole = decision.parameter.name, MatrixMeasures()
    old = np.zeros_like(tuned) if base is None else base
    check_finite(tuned, 0, name, "tuned")
    writer.add_table(name, [write_piece(writer, name, whole, tuned, old, keep)])
    return pruned_columns(decision, whole, keep.sum(axis=1), dtype_bytes(decision))


def pruned_columns(
    decision: Decision, whole: MatrixMeasures, kept: NDArray[np.integer[Any]], dense: int
) -> dict[str, Any]:
    """Columns of a pruned matrix: its measures, k where all rows (R,) keep as many, and bytes."""
    columns: dict[str, Any] = whole.columns()
    same = decision.k is None and len(kept) > 0 and bool((kept == kept[0]).all())
    return columns | {
        "k": int(kept[0]) if same else decision.k,
        "bytes_stored": stored_bytes(decision.shape, columns["kept"], dense, decision.size),
    }


def dtype_bytes(decision: Decision) -> int:
    """Bytes of the parameter as stored dense."""
    from kencore.checkpoint.header import BITS

    return decision.size * BITS[decision.parameter.dtype] // 8


def asked(spec: PruneSpec, layout: Layout) -> dict[str, Any]:
    """The content of ``spec.json``."""
    from kencore._version import __version__

    versions = {"kencore": __version__} | {name: version(name) for name in PACKAGES}
    return {"spec": asdict(spec), "versions": versions, "architecture": layout.architecture}


def sources(pair: Pair) -> dict[str, dict[str, str | None] | None]:
    """How to find the checkpoints again: arguments of `resolve`; ``None`` for no base."""
    found: dict[str, dict[str, str | None] | None] = {"base": None}
    for which, source in (("tuned", pair.tuned), ("base", pair.base)):
        if source is not None:
            text = str(source.folder.resolve()) if source.kind == "folder" else source.text
            found[which] = {"text": text, "revision": source.revision}
    return found


def record(
    pair: Pair, *, started: float, device: str, seconds_by_matrix: Mapping[str, float], notes: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The content of ``record.json``; ``started`` is what `time.monotonic` said at the start."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "seconds": round(time.monotonic() - started, 3),
        "seconds_by_matrix": dict(seconds_by_matrix),
        "device": device,
        "sources": sources(pair),
        "notes": [*pair.notes, *notes],
    }
