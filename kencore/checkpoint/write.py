"""Write a safetensors file tensor by tensor, so that no more than one is in memory.

The format (https://huggingface.co/docs/safetensors): 8 bytes little-endian header length, a JSON
header with dtype, shape and offsets of each tensor, then the raw values. Every shape must be
known beforehand; the library's own writer wants all tensors at once.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.header import BITS
from kencore.checkpoint.shards import INDEX, SINGLE

READ_AT_ONCE = 1 << 24  # bytes


class SafetensorsWriter:
    """A safetensors file being written, tensors in any order that they were announced in.

    Args:
        path: the file to write; the caller renames it when all is done.
        tensors: name -> (safetensors dtype, shape), in the order of writing.
        metadata: text to text; one key keeps the bytes the same from run to run.
    """

    def __init__(
        self, path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
    ) -> None:
        self._left = {name: _size(*entry) for name, entry in tensors.items()}
        text = header_bytes(tensors, metadata)
        ends = np.cumsum([8 + len(text), *self._left.values()]).tolist()
        self._places = {name: (first, last) for name, first, last in zip(tensors, ends[:-1], ends[1:], strict=True)}
        self._file = path.open("w+b")
        self._file.write(len(text).to_bytes(8, "little") + text)

    def write(self, name: str, values: NDArray[np.generic]) -> None:
        """Append storage bits to ``name``, which must be the next tensor that is not whole."""
        current = next((key for key, size in self._left.items() if size), None)
        if name in self._left and self._left[name] == 0 and values.nbytes == 0:
            return
        if name != current or values.nbytes > self._left[name]:
            raise ValueError(f"{values.nbytes} bytes for {name!r}, but {current!r} comes next")
        self._file.write(np.ascontiguousarray(values).data)
        self._left[name] -= values.nbytes

    def written(self, name: str) -> Iterator[NDArray[np.uint8]]:
        """The bytes of a tensor that is whole, some at a time."""
        return _read(self._file, *self._places[name])

    def close(self) -> None:
        """Finish; raises `ValueError` where an announced tensor was not written whole."""
        self._file.close()
        missing = [name for name, size in self._left.items() if size]
        if missing:
            raise ValueError(f"not written whole: {', '.join(missing[:3])}")

    def __enter__(self) -> SafetensorsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


class VectorsWriter:
    """A safetensors file of 1-D tensors whose lengths are known only once they are written, some of each at a time.

    Room for the longest possible header is kept at the start; spaces after it are allowed.

    Args:
        path: the file to write; the caller renames it when all is done.
        tensors: name -> (safetensors dtype, most values there can be), in the order of writing.
    """

    def __init__(self, path: Path, tensors: Mapping[str, tuple[str, int]]) -> None:
        self._dtypes = {name: dtype for name, (dtype, _) in tensors.items()}
        self._counts: dict[str, int] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._room = len(header_bytes({name: (dtype, (most,)) for name, (dtype, most) in tensors.items()}))
        self._file = path.open("w+b")
        self._file.write(b" " * (8 + self._room))

    def write(self, name: str, values: NDArray[np.generic]) -> None:
        """Append storage bits (n,) of ``name``, which must be the last tensor that was written to, or the next."""
        wanted = next((key for key in self._dtypes if key not in self._counts), None)
        last = next(reversed(self._counts), None)
        if name not in (last, wanted) or values.ndim != 1:
            raise ValueError(f"shape {values.shape} for {name!r}, but a vector of {wanted!r} is next")
        if values.dtype.itemsize * 8 != BITS[self._dtypes[name]]:
            raise ValueError(f"{values.dtype} for {name!r}, which is {self._dtypes[name]}")
        first, _ = self._places.get(name, (self._file.tell(), 0))
        self._file.write(np.ascontiguousarray(values).data)
        self._counts[name] = self._counts.get(name, 0) + len(values)
        self._places[name] = first, self._file.tell()

    def count(self, name: str) -> int:
        """Values of a tensor that were written."""
        return self._counts.get(name, 0)

    def written(self, name: str) -> Iterator[NDArray[np.uint8]]:
        """The bytes of what was written of a tensor, some at a time."""
        return _read(self._file, *self._places[name])

    def close(self) -> None:
        """Finish; raises `ValueError` where an announced tensor was not written."""
        missing = [name for name in self._dtypes if name not in self._counts]
        if not missing:
            entries = {name: (self._dtypes[name], (n,)) for name, n in self._counts.items()}
            text = header_bytes(entries).ljust(self._room)
            self._file.seek(0)
            self._file.write(len(text).to_bytes(8, "little") + text)
        self._file.close()
        if missing:
            raise ValueError(f"not written: {', '.join(missing[:3])}")


def _read(file: IO[bytes], first: int, last: int) -> Iterator[NDArray[np.uint8]]:
    """Bytes of a file that is being written; it is then written on at its end."""
    for at in range(first, last, READ_AT_ONCE):
        file.seek(at)  # what was written before is then in the file
        found = file.read(min(READ_AT_ONCE, last - at))
        file.seek(0, os.SEEK_END)
        yield np.frombuffer(found, np.uint8)


def header_bytes(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """The header's text, spaces at its end so that the values start at a multiple of 8."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        span = [offset, offset + _size(dtype, shape)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": span}
        offset = span[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _size(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor."""
    return math.prod(shape) * BITS[dtype] // 8


def write_weights(
    folder: Path,
    shards: Mapping[str, Sequence[str]],
    entries: Mapping[str, tuple[str, tuple[int, ...]]],
    pieces: Callable[[str], Iterable[NDArray[np.generic]]],
) -> None:
    """Write every shard, and the index where transformers needs one.

    Args:
        folder: is there, and empty.
        shards: file name -> its tensors, in the order of writing.
        entries: tensor -> (safetensors dtype, shape).
        pieces: called once for each tensor: its storage bits, some at a time.
    """
    for shard, names in shards.items():
        announced = {name: entries[name] for name in names}
        with SafetensorsWriter(folder / shard, announced, {"format": "pt"}) as writer:
            for name in names:
                for values in pieces(name):
                    writer.write(name, values)
    if len(shards) > 1 or SINGLE not in shards:
        sizes = (int(np.prod(shape)) * BITS[dtype] // 8 for dtype, shape in entries.values())
        where = {name: shard for shard, names in shards.items() for name in names}
        index = {"metadata": {"total_size": sum(sizes)}, "weight_map": dict(sorted(where.items()))}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True), "utf-8")
