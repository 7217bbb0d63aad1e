"""Write a run folder matrix by matrix: the folder appears whole, under its name, or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kencore.checkpoint.write import SafetensorsWriter, VectorsWriter
from kencore.codes.coded import Coded
from kencore.errors import RunExistsError
from kencore.runs import bits
from kencore.runs.codes import CodesWriter
from kencore.runs.columns import MATRICES_SCHEMA, ROWS_SCHEMA
from kencore.runs.measures import Columns
from kencore.system import people, schema
from kencore.system.places import not_writable
from kencore.system.plain_json import json_text
from kencore.system.whole import is_taken, publish


class RunWriter:
    """A run being written into a hidden folder beside its place; `finish` renames it.

    Args:
        out: where the run shall be; must not exist, or be an empty folder.
        shapes: name -> (R, C) of the matrices to be pruned, in the order of writing.
        values: for a method that changes what it keeps: name -> (safetensors dtype, kept values)
            of the same matrices, ``None`` for a number that is not known before.
        coded: some of them are stored as coded differences.

    Raises:
        RunExistsError: ``out`` holds something.
        StoreNotWritableError: it cannot be written.
    """

    def __init__(
        self,
        out: Path,
        shapes: Mapping[str, tuple[int, int]],
        values: Mapping[str, tuple[str, int | None]] | None = None,
        *,
        coded: bool = False,
    ) -> None:
        if is_taken(out):
            raise run_exists(out)
        if values is not None and values.keys() != shapes.keys():
            raise ValueError("values of other matrices than those to be pruned")
        self.out, self.coded = out, coded
        self.shapes = dict(shapes)
        self.counts = None if values is None else dict(values)
        self._files: list[Any] = []
        self.folder: Path | None = None

    def __enter__(self) -> RunWriter:
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{self.out.name}-", dir=self.out.parent))
            packed = {name: ("U8", (r, -(-c // 8))) for name, (r, c) in self.shapes.items()}
            self._masks = SafetensorsWriter(self.folder / "masks.safetensors", packed)
            self._rows = pq.ParquetWriter(self.folder / "rows.parquet", ROWS_SCHEMA)
            self._files = [self._masks, self._rows]
            if self.counts is not None:
                most = {name: (self.counts[name][0], r * c) for name, (r, c) in self.shapes.items()}
                self._values = VectorsWriter(self.folder / "values.safetensors", most)
                self._files.append(self._values)
            if self.coded:
                self._codes = CodesWriter(self.folder)
                self._files.append(self._codes)
        except OSError as error:
            self._remove()
            raise not_writable(self.out, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise not_writable(self.out, error) from error

    def _remove(self) -> None:
        for file in self._files:
            with contextlib.suppress(ValueError, OSError):  # not whole: it is thrown away
                file.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def rows_at_once(self, name: str, weights: int) -> int:
        """Rows of a matrix that make about ``weights`` weights."""
        return max(1, weights // self.shapes[name][1])

    def add_rows(self, name: str, keep: NDArray[np.bool_]) -> None:
        """Append the keep mask (r, C) of the next rows of a matrix."""
        self.add_packed(name, bits.pack(keep))

    def add_packed(self, name: str, packed: bits.Bits) -> None:
        """The same of packed rows (r, ceil(C / 8))."""
        self._masks.write(name, packed)

    def add_values(self, name: str, bits: NDArray[np.generic]) -> None:
        """Append kept values of a matrix, (n,) as stored, row by row of its mask: of some rows, or of all."""
        assert self.counts is not None
        most, there = self.counts[name][1], self._values.count(name) + len(bits)
        if most is not None and there > most:
            raise ValueError(f"{there} values of {name}, not {most} as announced")
        self._values.write(name, bits)

    def packed(self, name: str) -> Iterator[NDArray[np.uint8]]:
        """What was written of a matrix's mask, as bytes, some at a time."""
        return self._masks.written(name)

    def values(self, name: str) -> tuple[str, int, Iterator[NDArray[np.uint8]]]:
        """What was written of a matrix's kept values: safetensors dtype, how many, and their bytes, some at a time."""
        assert self.counts is not None
        return self.counts[name][0], self._values.count(name), self._values.written(name)

    def add_activations(self, norms: Mapping[str, NDArray[np.float32]]) -> None:
        """Write input norms (C,): ``<name>.dense`` and ``<name>.sparse`` of matrices."""
        assert self.folder is not None
        entries = {name: ("F32", values.shape) for name, values in sorted(norms.items())}
        with SafetensorsWriter(self.folder / "activations.safetensors", entries) as writer:
            for name in entries:
                writer.write(name, np.asarray(norms[name], np.float32))

    def add_changed(self, tensors: Mapping[str, tuple[str, NDArray[np.generic]]]) -> None:
        """Write parameters that were not pruned and changed all the same: stored name ->
        (safetensors dtype, storage bits in the stored shape).
        """
        assert self.folder is not None
        entries = {name: (kind, bits.shape) for name, (kind, bits) in sorted(tensors.items())}
        with SafetensorsWriter(self.folder / "dense.safetensors", entries) as writer:
            for name in entries:
                writer.write(name, tensors[name][1])

    def add_code(self, name: str, coded: Coded) -> None:
        """Write the coded difference of a matrix."""
        self._codes.add(name, coded)

    def add_table(self, name: str, parts: Sequence[Columns]) -> None:
        """Write the row table of a finished matrix as one row group."""
        columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        count = len(columns["kept"])
        table = {"matrix": pa.array([name] * count), "row": np.arange(count, dtype=np.int32)}
        arrays = [pa.array((table | columns)[field.name], field.type) for field in ROWS_SCHEMA]
        self._rows.write_table(pa.Table.from_arrays(arrays, schema=ROWS_SCHEMA), row_group_size=max(1, count))

    def add_matrices(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the table of all parameters, one line each, and end the files of what is pruned.

        The pruned ones in the order of ``shapes``: `Run.rows` finds a matrix's rows by its place.
        """
        assert self.folder is not None
        if [line["name"] for line in lines if line["status"] == "pruned"] != list(self.shapes):
            raise ValueError("lines in another order than the matrices were written in")
        for file in self._files:
            file.close()
        self._files = []
        table = pa.Table.from_pylist([dict(line) for line in lines], schema=MATRICES_SCHEMA)
        pq.write_table(table, self.folder / "matrices.parquet")

    def add_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Write one of the JSON files, sorted, so that equal content is equal bytes.

        ``record.json`` is given the version of the run folder, and whose it is where people are told apart.
        JSON has neither NaN nor infinity: they become null.
        """
        assert self.folder is not None
        if name == "record.json":
            owned = {} if (owner := people.owner()) is None else {"owner": owner}
            data = {**data, **owned, "version": schema.current("run")}
        (self.folder / name).write_text(json_text(data), "utf-8")

    def finish(self) -> Path:
        """Give the folder its name."""
        assert self.folder is not None
        self.folder.chmod(0o755)
        try:
            publish(self.folder, self.out)
        except OSError as error:
            if is_taken(self.out):  # by somebody who began later and was quicker
                raise run_exists(self.out) from error
            raise
        self.folder = None
        return self.out


def run_exists(path: Path) -> RunExistsError:
    """The error for a run folder that is taken."""
    return RunExistsError(
        str(path),
        got="something is there already",
        wanted="a folder that does not exist",
        remedy="Choose another folder, or delete this run.",
    )
