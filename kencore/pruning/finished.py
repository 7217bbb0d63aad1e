"""What is finished of a long pruning, matrix by matrix: a process that is killed is continued by the next.

A hidden folder of the store holds one safetensors file per finished matrix: its mask, its kept values where a method
changes them, its row table, and in the metadata its line and its seconds. The folder's name is a hash of the settings
and of the checkpoints' files, so that only the same work finds it. It goes when the run is whole, or the work ends
otherwise than by being killed.

Shapes: R rows (outputs), C columns (inputs), n kept values.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from kencore._version import __version__
from kencore.checkpoint.write import SafetensorsWriter
from kencore.errors import StoreNotWritableError
from kencore.runs.measures import Columns
from kencore.system.locks import FileLock
from kencore.system.places import private_folder, runs_folder
from kencore.system.whole import whole_file

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.settings.prune import PruneSpec

LONG: Final = 1 << 27
"""Weights from which a pruning keeps what is finished: fewer take less than a minute."""
_ROW = "row."


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One finished matrix.

    Attributes:
        packed: its mask, see `kencore.runs.bits`: uint8 (R, ceil(C / 8)).
        table: its row table, a column (R,) each.
        values: storage bits of the kept values (n,) where a method changes them.
        line: of ``matrices.parquet``.
        seconds: that it took.
    """

    packed: NDArray[np.uint8]
    table: Columns
    values: NDArray[np.generic] | None
    line: dict[str, Any]
    seconds: float


class Finished:
    """The finished matrices of one pruning, in a folder that this process alone uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> Piece | None:
        """A matrix that was finished before; ``None``: it was not, or its file cannot be read."""
        path = self._path(name)
        try:
            with safe_open(path, framework="np") as file:
                said = json.loads(file.metadata()["piece"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None
        values = tensors.get("values")
        return Piece(
            packed=tensors["mask"],
            table={key.removeprefix(_ROW): column for key, column in tensors.items() if key.startswith(_ROW)},
            values=None if values is None else values.view(said["dtype"]),
            line=said["line"],
            seconds=said["seconds"],
        )

    def write(self, name: str, piece: Piece) -> None:
        """Keep a matrix, whole or not at all.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        tensors: dict[str, NDArray[np.generic]] = {"mask": piece.packed}
        tensors |= {_ROW + key: np.ascontiguousarray(column) for key, column in piece.table.items()}
        if piece.values is not None:
            tensors["values"] = np.ascontiguousarray(piece.values).view(np.uint8)
        said = {"line": piece.line, "seconds": piece.seconds}
        said |= {} if piece.values is None else {"dtype": piece.values.dtype.str}
        entries = {key: (_KINDS[values.dtype.str[1:]], values.shape) for key, values in tensors.items()}
        metadata = {"piece": json.dumps(said, default=float)}
        with whole_file(self._path(name), force=True) as place, SafetensorsWriter(place, entries, metadata) as writer:
            for key, values in tensors.items():
                writer.write(key, values)

    def _path(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.safetensors"


_KINDS: Final = {"u1": "U8", "i4": "I32", "i8": "I64", "f4": "F32", "f8": "F64"}


@contextmanager
def finished_before(pair: Pair, spec: PruneSpec, weights: int) -> Iterator[Finished | None]:
    """What an earlier process finished of this pruning, to go on with.

    Args:
        weights: to prune in all.

    Returns:
        ``None`` where the work is short, another process is at it, or the store cannot be written.
    """
    if weights < LONG:
        yield None
        return
    try:
        folder = runs_folder() / f".finished-{_key(pair, spec)}"
        private_folder(folder)
        lock = FileLock(folder / "lock")
        held = lock.acquire()
    except (OSError, StoreNotWritableError):
        yield None
        return
    try:
        yield Finished(folder) if held else None
    finally:  # not where the process is killed: then it is found again
        if held:
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _key(pair: Pair, spec: PruneSpec) -> str:
    """A name of the settings that decide masks, and of the files that are pruned as they are now."""
    files = [_stamps(tensors.folder) for tensors in pair.opened]
    text = json.dumps([__version__, asdict(spec), files], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _stamps(folder: Path) -> Sequence[tuple[str, int, int]]:
    found: Mapping[str, os.stat_result] = {str(path): path.stat() for path in sorted(folder.glob("*.safetensors"))}
    return [(path, stat.st_size, stat.st_mtime_ns) for path, stat in found.items()]
