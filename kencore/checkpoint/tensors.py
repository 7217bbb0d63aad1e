"""Tensors of a checkpoint, by slice and without torch: opening costs the headers only."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import mmap
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.header import TensorInfo, read_header
from kencore.checkpoint.shards import Shards, find_shards
from kencore.checkpoint.stacks import part_infos, stacks
from kencore.checkpoint.wrappers import prefix_of, said_of_prefix, unwrapped, without
from kencore.errors import CheckpointError, CorruptShardError, ShapeError

# how the bytes of a dtype lie in numpy; BF16 and the 8-bit floats have no numpy type: their bits
STORAGE: dict[str, np.dtype[np.generic]] = {
    name: np.dtype(code)
    for name, code in {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "BF16": "<u2",
        "I64": "<i8",
        "I32": "<i4",
        "I16": "<i2",
        "I8": "i1",
        "U64": "<u8",
        "U32": "<u4",
        "U16": "<u2",
        "U8": "u1",
        "BOOL": "u1",
        "C64": "<c8",
        "F8_E5M2": "u1",
        "F8_E4M3": "u1",
        "F8_E8M0": "u1",
        "F8_E4M3FNUZ": "u1",
        "F8_E5M2FNUZ": "u1",
    }.items()
}
COMPARE_AT_ONCE = 1 << 22
HASH_AT_ONCE = 1 << 24  # bytes
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


class Tensors:
    """The tensors of one folder. Safe to use from several threads.

    ``names`` are sorted, without what a wrapper put into them and with a name for each expert of a stack
    (`kencore.checkpoint.stacks`); ``stored`` are those of the tensors in the files. Either kind can be read. ``notes``
    say what a wrapper did, and which files are read. Arrays from `raw` are read-only views of the file; those from
    `floats` and `matrix` are the caller's own.
    """

    def __init__(self, folder: Path, shards: Shards, infos: dict[str, TensorInfo], notes: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.notes = notes
        self._paths = shards.files
        self._stacks = stacks(infos)
        self.stored: tuple[str, ...] = tuple(sorted(infos))
        parts = (part_infos(infos[name], parts) for name, parts in self._stacks.items())
        self._infos = infos | {name: info for found in parts for name, info in found.items()}
        self._maps: dict[str, mmap.mmap] = {}
        self._copies: dict[str, mmap.mmap] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.names: tuple[str, ...] = tuple(sorted(part for name in infos for part in self.parts(name)))

    def __contains__(self, name: object) -> bool:
        return name in self._infos

    def __len__(self) -> int:
        return len(self.names)

    def __enter__(self) -> Tensors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors on disk, headers not counted."""
        return sum(self._infos[name].nbytes for name in self.stored)

    @property
    def shards(self) -> tuple[str, ...]:
        """Names of the files that hold the tensors."""
        return tuple(self._paths)

    def parts(self, name: str) -> tuple[str, ...]:
        """The names of a stored tensor's experts in order; of any other tensor its own."""
        return self._stacks.get(name, (name,))

    def info(self, name: str) -> TensorInfo:
        """Dtype, shape and place of one tensor.

        Raises:
            CheckpointError: no tensor of that name.
        """
        try:
            return self._infos[name]
        except KeyError:
            close = difflib.get_close_matches(name, self.names, 3)
            raise CheckpointError(
                str(self.folder),
                got=f"no tensor {name!r}",
                wanted=f"one of its {len(self.names)} tensors",
                remedy=f"Did you mean {', '.join(close)}?" if close else "Check the name.",
            ) from None

    def raw(self, name: str, rows: slice | None = None) -> NDArray[np.generic]:
        """Storage bits of a tensor, shape as stored, memory-mapped and read-only.

        BF16 and 8-bit floats come as unsigned integers; dtypes narrower than a byte as flat bytes.

        Args:
            rows: a slice of the first dimension.

        Raises:
            CheckpointError: no tensor of that name.
            CorruptShardError: the file shrank after it was opened.
        """
        info = self.info(name)
        buffer = self._mapped(info)
        whole = info.dtype in STORAGE
        dtype = STORAGE[info.dtype] if whole else np.dtype(np.uint8)
        shape = info.shape if whole else (info.nbytes,)
        array: NDArray[np.generic] = np.ndarray(shape, dtype, buffer=buffer, offset=info.start)
        return array if rows is None else array[rows]

    def own(self, name: str) -> NDArray[np.generic]:
        """Storage bits as `raw` gives them, to be written to: what is not written stays in the file's pages, what is
        takes memory of its own and never reaches the file.

        Raises as `raw`.
        """
        bits, info = self.raw(name), self.info(name)
        if not info.nbytes or info.start % bits.itemsize:  # numbers across the boundaries of their size
            return bits.copy()
        with self._lock:
            if info.shard not in self._copies:
                self._copies[info.shard] = _map(self._paths[info.shard], mmap.ACCESS_COPY)
            buffer = self._copies[info.shard]
        return np.ndarray(bits.shape, bits.dtype, buffer=buffer, offset=info.start)

    def floats(self, name: str, rows: slice | None = None, cols: slice | None = None) -> NDArray[np.float32]:
        """Values as float32 in the stored orientation, a fresh C-contiguous array.

        Args:
            rows, cols: slices of the first and second dimension.

        Raises:
            ShapeError: the tensor holds no floats (F64, F32, F16, BF16), or ``cols`` of a vector.
        """
        info = self.info(name)
        if info.dtype not in FLOATS:
            raise ShapeError(
                name,
                got=f"dtype {info.dtype}",
                wanted=f"one of {', '.join(sorted(FLOATS))}",
                remedy="Only these can be read as weights.",
            )
        bits = self.raw(name, rows)
        if cols is not None:
            if bits.ndim < 2:
                raise ShapeError(
                    name,
                    got=f"columns of a tensor of shape {info.shape}",
                    wanted="2 dimensions",
                    remedy="Leave cols out.",
                )
            bits = bits[:, cols]
        return to_float32(bits, info.dtype)

    def matrix(
        self, name: str, *, transposed: bool = False, rows: slice | None = None, cols: slice | None = None
    ) -> NDArray[np.float32]:
        """A parameter as R rows (outputs) x C columns (inputs), float32; a vector is one row.

        Args:
            transposed: the tensor is stored as inputs x outputs (GPT-2's Conv1D).
            rows, cols: slices of the matrix, after turning.

        Raises:
            ShapeError: neither 1-D nor 2-D, or no floats.
        """
        info = self.info(name)
        if len(info.shape) == 1:
            vector = self.floats(name, cols)[None, :]  # (1, C)
            return vector if rows is None else vector[rows]
        if len(info.shape) != 2:
            raise ShapeError(
                name,
                got=f"shape {info.shape}",
                wanted="a vector or a matrix",
                remedy="Tensors of other dimensions are not pruned.",
            )
        if transposed:
            return np.ascontiguousarray(self.floats(name, cols, rows).T)  # (C, R) -> (R, C)
        return self.floats(name, rows, cols)

    def sha256(self, name: str) -> str:
        """Hex digest of the tensor's bytes as stored."""
        info, found = self.info(name), hashlib.sha256()
        for at in range(info.start, info.start + info.nbytes, HASH_AT_ONCE):
            end = min(at + HASH_AT_ONCE, info.start + info.nbytes)
            with memoryview(self._mapped(info)) as view, view[at:end] as part:
                found.update(part)
            if info.nbytes > HASH_AT_ONCE:  # a large one is not held whole
                self.release()
        return found.hexdigest()

    def release(self) -> None:
        """Give the memory of mapped pages back; what is read again comes from the files again."""
        if not hasattr(mmap, "MADV_DONTNEED"):  # Windows
            return
        with self._lock:
            for mapped in self._maps.values():
                mapped.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Let go of the files. Arrays that `raw` gave out stay valid until they are dropped."""
        with self._lock:
            self._maps.clear()  # a map is unmapped when the last array on it is gone
            self._copies.clear()
            self._closed = True

    def _mapped(self, info: TensorInfo) -> mmap.mmap:
        with self._lock:
            if self._closed:
                raise ValueError("these tensors are closed")
            if info.shard not in self._maps:
                self._maps[info.shard] = _map(self._paths[info.shard])
            buffer = self._maps[info.shard]
            size = buffer.size()  # of the file as it is now; len() is what it was
        if size < info.start + info.nbytes:
            # reading past the end of a mapped file kills the process: look before every read
            raise _changed(self._paths[info.shard], size, len(buffer))
        return buffer


def open_tensors(folder: Path, *, prefix: str = "") -> Tensors:
    """Open a folder's safetensors: one file, or shards with or without an index.

    Reads headers only, whatever the size of the weights. Names are those of the files without what wrappers put
    into them, see `kencore.checkpoint.wrappers`.

    Args:
        prefix: words before the names that are taken off too.

    Raises:
        NoSafetensorsError, MissingShardError, UnsafeIndexError: see `find_shards`.
        CorruptShardError: a damaged file, index and files contradict each other, or an adapter that is not merged.
    """
    folder = Path(folder)
    shards = find_shards(folder)
    infos: dict[str, TensorInfo] = {}
    for shard, path in shards.files.items():
        for info in read_header(path):
            if info.name in infos:
                both = f"{infos[info.name].shard} and {shard}"
                raise _contradiction(folder, f"tensor {info.name!r} in both {both}", "each tensor in one shard")
            infos[info.name] = TensorInfo(info.name, info.dtype, info.shape, shard, info.nbytes, info.start)
    for name, shard in (shards.index or {}).items():
        if name not in infos or infos[name].shard != shard:
            raise _contradiction(folder, f"tensor {name!r} missing from {shard}", "it there, as the index says")
    names, said = unwrapped(str(folder), infos)
    if prefix:
        names = without(names, prefix)
        said.append(said_of_prefix(prefix))
    clean = {names[name]: dataclasses.replace(info, name=names[name]) for name, info in infos.items()}
    return Tensors(folder, shards, clean, (*shards.notes, *said))


def open_fitting(folder: Path, names: Iterable[str]) -> Tensors:
    """Open a folder's safetensors under names that are known from before.

    Raises as `open_tensors`.
    """
    tensors = open_tensors(folder)
    prefix = prefix_of(tensors.names, names)
    if not prefix:
        return tensors
    tensors.close()
    return open_tensors(folder, prefix=prefix)


def to_float32(bits: NDArray[np.generic], dtype: str) -> NDArray[np.float32]:
    """Stored values as a fresh contiguous float32 array; BF16 is the upper half of a float32."""
    if dtype == "BF16":
        wide = bits.astype(np.uint32, order="C")
        np.left_shift(wide, 16, out=wide)
        return wide.view(np.float32)
    with np.errstate(over="ignore"):  # an F64 beyond float32 becomes infinite, and is found later
        return bits.astype(np.float32, order="C")


def round_to(values: NDArray[np.float32], dtype: str) -> NDArray[np.float32]:
    """float32 values rounded to what a tensor of ``dtype`` can hold (nearest, ties to even)."""
    if dtype == "F16":
        with np.errstate(over="ignore"):  # beyond float16 it is infinite, and is found later
            return values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        word = np.ascontiguousarray(values).view(np.uint32)
        even = ((word >> 16) & 1) + np.uint32(0x7FFF)
        rounded = ((word + even) & np.uint32(0xFFFF0000)).view(np.float32)
        return np.where(np.isnan(values), np.float32(np.nan), rounded)  # rounding can hide a NaN
    return values


def same_bytes(a: Tensors, name: str, b: Tensors, other: str) -> bool:
    """Whether two tensors agree in dtype, shape and every bit; stops where they first differ."""
    one, two = a.info(name), b.info(other)
    if (one.dtype, one.shape) != (two.dtype, two.shape):
        return False
    left, right = a.raw(name).reshape(-1), b.raw(other).reshape(-1)
    step = COMPARE_AT_ONCE
    return all(
        np.array_equal(left[at : at + step].view("u1"), right[at : at + step].view("u1"))
        for at in range(0, left.size, step)
    )


def _map(path: Path, access: int = mmap.ACCESS_READ) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=access)


def _changed(path: Path, size: int, was: int) -> CorruptShardError:
    return CorruptShardError(
        str(path),
        got=f"{size:,} bytes",
        wanted=f"{was:,}, as when it was opened",
        remedy="Something overwrote the file in use: restore it and open it again.",
    )


def _contradiction(folder: Path, got: str, wanted: str) -> CorruptShardError:
    return CorruptShardError(str(folder), got=got, wanted=wanted, remedy="Download or save the model again.")
