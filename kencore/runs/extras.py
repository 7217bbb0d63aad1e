"""The files that only some runs have: changed values, activations, what a search saw, how the
model was tuned after pruning.

Shapes: R rows (outputs), C columns (inputs), K kept entries of a matrix.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import CorruptShardError
from kencore.runs.reading import corrupt, read_object
from kencore.system import schema

if TYPE_CHECKING:
    from kencore.checkpoint.tensors import Tensors

Norms = tuple[NDArray[np.float32], NDArray[np.float32]]


class KeptValues:
    """``values.safetensors``: what a method made of the entries that it kept.

    Args:
        folder: of the run.
        kept: name -> K of every pruned matrix.

    Raises:
        CorruptRunError: the file cannot be read, or holds other matrices or counts.
    """

    def __init__(self, folder: Path, kept: Mapping[str, int]) -> None:
        self._tensors = open_file(folder, "values.safetensors")
        if {name: self._tensors.info(name).shape for name in self._tensors.names} != {
            name: (count,) for name, count in kept.items()
        }:
            raise corrupt(folder, "values and the table of matrices disagree")

    def dtype(self, name: str) -> str:
        """Safetensors dtype of a matrix's values."""
        return self._tensors.info(name).dtype

    def bits(self, name: str, first: int, last: int) -> NDArray[np.generic]:
        """Storage bits ``first:last`` of the kept values (K,) of a matrix, row by row."""
        return self._tensors.raw(name, slice(first, last))

    def release(self) -> None:
        """Give back the memory of what was read."""
        self._tensors.release()


def open_file(folder: Path, name: str) -> Tensors:
    """One safetensors file of a run, opened lazily (its header only).

    Raises:
        CorruptRunError: it cannot be read.
    """
    from kencore.checkpoint.header import read_header
    from kencore.checkpoint.shards import Shards
    from kencore.checkpoint.tensors import Tensors

    path = folder / name
    try:
        infos = {info.name: info for info in read_header(path)}
    except CorruptShardError as error:
        raise corrupt(folder, f"{name} cannot be read ({error.got})") from error
    return Tensors(folder, Shards({name: path}, None), infos)


def open_changed(folder: Path, pruned: Collection[str]) -> Tensors | None:
    """``dense.safetensors``: parameters that were not pruned, as recovery after pruning left them.

    Args:
        folder: of the run.
        pruned: stored names of what the run pruned, tied ones included: none may be among them.

    Returns:
        The tensors under their stored names, shapes and dtypes; ``None`` where none changed.

    Raises:
        CorruptRunError: the file cannot be read, or holds a pruned parameter.
    """
    if not (folder / "dense.safetensors").is_file():
        return None
    tensors = open_file(folder, "dense.safetensors")
    both = next((name for name in tensors.names if name in pruned), None)
    if both is not None:
        raise corrupt(folder, f"dense.safetensors holds {both}, which was pruned")
    return tensors


def read_norms(folder: Path, name: str, columns: int) -> Norms | None:
    """Input norms (C,) of a matrix in the dense and in the pruned model; ``None`` if not kept.

    Raises:
        CorruptRunError: the file cannot be read, or does not fit the matrix.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / "activations.safetensors"
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            if not {f"{name}.dense", f"{name}.sparse"} <= set(file.keys()):
                return None
            found = [np.asarray(file.get_tensor(f"{name}.{side}")) for side in ("dense", "sparse")]
    except (SafetensorError, OSError) as error:
        raise corrupt(folder, f"{path.name} cannot be read ({error})") from error
    if any(norms.shape != (columns,) or norms.dtype != np.float32 for norms in found):
        raise corrupt(folder, f"the activations of {name} are not of {columns} inputs")
    return found[0], found[1]


def read_trace(folder: Path) -> dict[str, Any] | None:
    """What a search saw, as the worker wrote it; ``None`` where there was none. Raises as
    `read_tuning`.
    """
    return _read_json(folder, "trace")


def read_tuning(folder: Path) -> dict[str, Any] | None:
    """How the run was tuned after pruning; ``None`` where it was not.

    Raises:
        SchemaError: the file is of a newer version, or of one that is too old.
        CorruptRunError: it cannot be read.
    """
    return _read_json(folder, "tuning")


def _read_json(folder: Path, kind: str) -> dict[str, Any] | None:
    name = f"{kind}.json"
    if not (folder / name).is_file():
        return None
    found = read_object(folder, name)
    try:
        schema.migrate(kind, f"{name} of run {folder.name}", found)
    except ValueError as error:
        raise corrupt(folder, f"{name}: {error}") from error
    return found
