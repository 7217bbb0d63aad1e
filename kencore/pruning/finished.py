"""What is finished of a long pruning, matrix by matrix: a process that is killed is continued by the next.

A hidden folder of the store holds one safetensors file per finished matrix: its mask, its kept values where a method
changes them, its row table, and in the metadata its line and its seconds. A pruning to a budget of bytes keeps what it
found of a matrix's codes, and the matrix as they coded it. The folder's name is a hash of the settings
and of the checkpoints' files, so that only the same work finds it. It goes when the run is whole, or the work ends
otherwise than by being killed.

Shapes: R rows (outputs), C columns (inputs), n kept values.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from kencore._version import __version__
from kencore.checkpoint.write import SafetensorsWriter
from kencore.codes.coded import Coded
from kencore.errors import CorruptRunError, StoreNotWritableError
from kencore.runs.extras import open_file
from kencore.runs.measures import Columns
from kencore.settings.prune import BUDGETS
from kencore.system.locks import FileLock
from kencore.system.places import private_folder, runs_folder
from kencore.system.plain_json import read_json_object
from kencore.system.whole import whole_file

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.checkpoint.tensors import Tensors
    from kencore.runs.writer import RunWriter
    from kencore.settings.prune import PruneSpec

LONG: Final = 1 << 27
"""Weights from which a pruning keeps what is finished: fewer take less than a minute."""
AT_ONCE: Final = 1 << 24  # bytes
_ROW = "row."


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One finished matrix.

    Attributes:
        table: its row table, a column (R,) each.
        line: of ``matrices.parquet``.
        seconds: that it took.
    """

    table: Columns
    line: dict[str, Any]
    seconds: float


class Stored(NamedTuple):
    """A finished matrix in its file.

    Attributes:
        piece: what is said of it.
        tensors: its file: ``mask``, see `kencore.runs.bits`: uint8 (R, ceil(C / 8)), and ``values``, storage bits
            of the kept values (n,) where a method changes them.
    """

    piece: Piece
    tensors: Tensors

    def parts(self, name: str) -> Iterator[NDArray[np.generic]]:
        """The mask or the values, some at a time; nothing where there are none."""
        if name not in self.tensors:
            return
        whole = self.tensors.raw(name)
        step = max(1, AT_ONCE // max(1, whole.nbytes // max(1, len(whole))))
        for first in range(0, max(1, len(whole)), step):
            yield whole[first : first + step]
            self.tensors.release()


class Finished:
    """The finished matrices of one pruning, in a folder of this process, or of several that do other matrices each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> Stored | None:
        """A matrix that was finished before; ``None``: it was not, or its file cannot be read."""
        path = self._path(name)
        try:
            with safe_open(path, framework="np") as file:
                said = json.loads(file.metadata()["piece"])
                rows = [key for key in file.keys() if key.startswith(_ROW)]  # noqa: SIM118
                table = {key.removeprefix(_ROW): file.get_tensor(key) for key in rows}
            piece = Piece(table=table, line=said["line"], seconds=said["seconds"])
            return Stored(piece, open_file(path.parent, path.name))
        except (OSError, SafetensorError, CorruptRunError, ValueError, KeyError, TypeError):
            return None

    def write(self, name: str, piece: Piece, writer: RunWriter, *, values: bool) -> None:
        """Keep a matrix, whole or not at all.

        Args:
            writer: of the run, which holds the mask and, where there are any, the values.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        rows, cols = writer.shapes[name]
        columns = {_ROW + key: np.ascontiguousarray(column) for key, column in piece.table.items()}
        entries: dict[str, tuple[str, tuple[int, ...]]] = {"mask": ("U8", (rows, -(-cols // 8)))}
        entries |= {key: (_KINDS[column.dtype.str[1:]], column.shape) for key, column in columns.items()}
        parts: dict[str, Iterable[NDArray[np.generic]]] = {"mask": writer.packed(name)}
        parts |= {key: [column] for key, column in columns.items()}
        if values:
            dtype, count, parts["values"] = writer.values(name)
            entries["values"] = dtype, (count,)
        said = {"piece": json.dumps({"line": piece.line, "seconds": piece.seconds}, default=float)}
        with whole_file(self._path(name), force=True) as place, SafetensorsWriter(place, entries, said) as file:
            for key, found in parts.items():
                for part in found:
                    file.write(key, part)

    def note(self, name: str, said: Mapping[str, Any]) -> None:
        """Keep what was found out of a matrix, whole or not at all.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        with whole_file(self._path(name, "json"), force=True) as place:
            place.write_text(json.dumps(said), "utf-8")

    def noted(self, name: str) -> dict[str, Any] | None:
        """What was found out of a matrix before; ``None``: nothing, or its file cannot be read."""
        try:
            return read_json_object(self._path(name, "json"), ours=True)
        except (OSError, ValueError):
            return None

    def keep_code(self, name: str, option: Mapping[str, Any], coded: Coded) -> None:
        """Keep a matrix as an option codes it, whole or not at all.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        data = np.frombuffer(coded.data, np.uint8)
        said = {"coded": json.dumps({"code": coded.code, "facts": coded.facts}, sort_keys=True)}
        path = self._path(_coding(name, option))
        with (
            whole_file(path, force=True) as place,
            SafetensorsWriter(place, {"data": ("U8", data.shape)}, said) as file,
        ):
            file.write("data", data)

    def code(self, name: str, option: Mapping[str, Any], shape: tuple[int, int]) -> Coded | None:
        """A matrix (R, C) that an option coded before; ``None``: it did not, or its file cannot be read."""
        try:
            with safe_open(self._path(_coding(name, option)), framework="np") as file:
                said = json.loads(file.metadata()["coded"])
                data = file.get_tensor("data").tobytes()
            return Coded(code=said["code"], shape=shape, facts=dict(said["facts"]), data=data)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def _path(self, name: str, form: str = "safetensors") -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.{form}"


def _coding(name: str, option: Mapping[str, Any]) -> str:
    return json.dumps([name, option], sort_keys=True)


_KINDS: Final = {"u1": "U8", "i4": "I32", "i8": "I64", "f4": "F32", "f8": "F64"}


@contextmanager
def finished_before(pair: Pair, spec: PruneSpec, weights: int, shared: Path | None = None) -> Iterator[Finished | None]:
    """What other processes finished of this pruning, to go on with.

    Args:
        weights: to prune in all.
        shared: a folder in which several processes keep what they finish; whoever made it removes it. Without one
            it is what an earlier process left in the store, and this process alone goes on with it.

    Returns:
        ``None`` where the work is short, another process is at it, or the store cannot be written.
    """
    if shared is not None:
        yield Finished(private_folder(shared / _key(pair, spec)))
        return
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
    asked = asdict(spec) | (dict.fromkeys(BUDGETS) if spec.coded else {})  # codes of a matrix serve every budget
    text = json.dumps([__version__, asked, files], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _stamps(folder: Path) -> Sequence[tuple[str, int, int]]:
    found: Mapping[str, os.stat_result] = {str(path): path.stat() for path in sorted(folder.glob("*.safetensors"))}
    return [(path, stat.st_size, stat.st_mtime_ns) for path, stat in found.items()]
