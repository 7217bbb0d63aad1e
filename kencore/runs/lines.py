"""What a run says of itself: the line of every parameter, what was asked, and how it was made.

Shapes: R rows (outputs), C columns (inputs), r rows of one piece.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.header import BITS
from kencore.checkpoint.pair import check_finite
from kencore.runs.measures import MatrixMeasures

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.checkpoint.parameter import Layout, Parameter
    from kencore.runs.writer import RunWriter
    from kencore.settings.prune import PruneSpec

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

APART = 1.0  # change over the spread of a matrix's weights; see `apart`
PACKAGES = ("numpy", "numba", "torch", "transformers", "safetensors", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to one parameter: ``status`` is pruned, untouched or unprunable.

    ``k`` is what every row keeps; ``None`` where nothing is pruned, and where the budget is one
    for all matrices together (see `kept_per_row`). ``common``: rows that the base has too, where it lacks
    some: the others are kept.
    """

    parameter: Parameter
    base_name: str | None
    status: str
    reason: str
    k: int | None
    common: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C), rows being outputs."""
        return self.parameter.rows, self.parameter.cols

    @property
    def size(self) -> int:
        """Weights in the parameter."""
        return math.prod(self.parameter.shape)


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
    writer: RunWriter,
    name: str,
    whole: MatrixMeasures,
    tuned: Floats,
    base: Floats,
    keep: Mask,
    kept: Floats | None = None,
) -> dict[str, NDArray[np.generic]]:
    """Append the mask of some rows (r, C) to the run; their rows for `RunWriter.add_table`.

    Args:
        kept: what the pruned model holds where ``keep`` does, if not the tuned values.
    """
    writer.add_rows(name, keep)
    return whole.add(tuned, base, keep, kept)


def write_matrix(
    writer: RunWriter, decision: Decision, tuned: Floats, base: Floats | None, keep: Mask, kept: Floats | None = None
) -> dict[str, Any]:
    """Write the mask and the row table of a whole matrix (R, C); what its line gains by it.

    Args:
        tuned: values of the dense model; base: what pruned entries become, ``None`` for zero.
        kept: what the pruned model holds where ``keep`` does, if not the tuned values.
    """
    name, whole = decision.parameter.name, MatrixMeasures()
    old = np.zeros_like(tuned) if base is None else base
    check_finite(tuned, 0, name, "tuned")
    writer.add_table(name, [write_piece(writer, name, whole, tuned, old, keep, kept)])
    return pruned_columns(decision, whole, keep.sum(axis=1))


def pruned_columns(decision: Decision, whole: MatrixMeasures, kept: NDArray[np.integer[Any]]) -> dict[str, Any]:
    """Columns of a pruned matrix: its measures, k where all rows (R,) keep as many, and bytes."""
    columns: dict[str, Any] = whole.columns()
    dense = decision.size * BITS[decision.parameter.dtype] // 8
    same = decision.k is None and len(kept) > 0 and bool((kept == kept[0]).all())
    return columns | {
        "k": int(kept[0]) if same else decision.k,
        "bytes_stored": stored_bytes(decision.shape, columns["kept"], dense, decision.size),
    }


def stored_bytes(shape: tuple[int, int], kept: int, dense: int, size: int) -> int:
    """Bytes of a pruned matrix as kept values plus one bit per entry, or dense if that is less."""
    return min(dense, kept * dense // size + -(-shape[0] * shape[1] // 8))


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


def apart(lines: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A note where the base looks like another model than the one that was tuned.

    Two models trained apart differ by sqrt(2) of their weights' spread; fine-tuning moved those of every pair that was
    measured here by 0.01 to 0.6 of it.

    Args:
        lines: of `matrix_line`, with what was measured of the pruned ones.
    """
    matrices = [line for line in lines if line["status"] == "pruned" and line["rows"] > 1 and line["tuned_std"] > 0]
    ratios = sorted(line["diff_rms"] / line["tuned_std"] for line in matrices)
    if not ratios or (half := ratios[len(ratios) // 2]) < APART:
        return ()
    return (
        f"Base and tuned differ by {half:.1f} times the spread of the weights, as models do that were trained apart. "
        "Is this the base that the model was tuned from?",
    )


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
    } | resized(pair)


def resized(pair: Pair) -> dict[str, dict[str, int]]:
    """What ``record.json`` says of tables of which the base has other rows: how many both have."""
    return {"common_rows": dict(pair.common)} if pair.common else {}
