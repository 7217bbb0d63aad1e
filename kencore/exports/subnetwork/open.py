"""The subnetwork file: the small file that, with the base, is the pruned model, bit for bit.

`write_subnetwork` makes it of a run, `inspect_subnetwork` says what one is, `open_subnetwork` and
`restore_subnetwork` make the model of it. The format is told in `kencore.exports.subnetwork.format`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.as_torch import own_torch
from kencore.checkpoint.header import TensorInfo
from kencore.checkpoint.tensors import STORAGE
from kencore.checkpoint.write import write_weights
from kencore.codes.levels import pieces
from kencore.codes.table import decode
from kencore.errors import SourceNotFoundError, WrongBaseError
from kencore.exports.subnetwork.format import buffer
from kencore.exports.subnetwork.read import Subnetwork, bad, opened
from kencore.runs.restore import as_matrix, base_bits, moved_bits
from kencore.system.progress import Progress, silent
from kencore.system.whole import check_free, whole_folder

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.tensors import Tensors

HELD = 1 << 26  # bytes of tensors that are made before the memory of what was read is given back
AT_ONCE = 1 << 22  # entries restored at once; a multiple of 8
WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
Words = NDArray[np.generic]


def open_subnetwork(
    path: str | Path, base: str | Path | None = None, progress: Progress | None = None
) -> dict[str, torch.Tensor]:
    """The state dict of the pruned model, bit for bit, under the tuned checkpoint's names.

    Args:
        path: the subnetwork file, compressed or not.
        base: the base model: a demo's name, a folder or a hub id; by default the one that the file
            names. Files of runs without a base need none.
        progress: called with (bytes done, bytes in all, what is being done); may raise to cancel.

    Raises:
        CorruptSubnetworkError: the file is damaged or no subnetwork file.
        WrongBaseError: the base is another model; names the first tensor that differs.
        SourceNotFoundError: the base is not there.
        MissingExtraError: the file is compressed and zstandard is not installed.
    """
    with opened(path) as file:
        return dict(tensors_of(Restorer(file, base, progress)))


def tensors_of(restorer: Restorer) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of an open file's model, one after the other, stacks of experts last. Raises as `Restorer.pieces`."""
    for name in restorer.names:
        yield name, restorer.tensor(name)


def restore_subnetwork(
    path: str | Path, base: str | Path | None, folder: str | Path, progress: Progress | None = None
) -> Path:
    """Write the pruned model as a Hugging Face folder: the files that the run's own
    `save_pretrained` writes. It appears whole or not at all.

    Args:
        path, base, progress: as of `open_subnetwork`.
        folder: a new or an empty one.

    Raises:
        RunExistsError: the folder is there and not empty.
        StoreNotWritableError: it cannot be written.
        CorruptSubnetworkError, WrongBaseError, SourceNotFoundError, MissingExtraError: see
            `open_subnetwork`.
    """
    folder = Path(folder)
    check_free(folder)
    with opened(path) as file:
        restorer = Restorer(file, base, progress)
        texts = {name: restorer.text(name) for name in file.content.files}
        tensors, stacks = file.content.tensors, file.content.stacks()
        parts = {name: [name] for name, stored in tensors.items() if stored.part_of is None} | stacks
        shards: dict[str, list[str]] = {shard: [] for shard in file.content.shards}
        entries = {}
        for name in sorted(parts):
            one = tensors[parts[name][0]]
            shards[file.content.shards[one.shard]].append(name)
            entries[name] = (one.dtype, (len(parts[name]), *one.shape) if name in stacks else one.shape)

        def pieces(name: str) -> Iterator[Words]:
            for part in parts[name]:
                yield from restorer.pieces(part)

        with whole_folder(folder) as temporary:
            write_weights(temporary, shards, entries, pieces)
            for name, text in texts.items():
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).write_bytes(text)
    return folder


class Restorer:
    """Makes the tensors of an open file, once its base is known to be the right one; in several threads, if need be."""

    def __init__(self, file: Subnetwork, base: str | Path | None, progress: Progress | None) -> None:
        self.file, self.content = file, file.content
        self.report = progress or silent
        self.done = 0
        self._read, self._lock = 0, threading.Lock()
        self.total = sum(stored.nbytes for stored in self.content.tensors.values())
        self.base = _open_base(file, base)
        if self.base is not None:
            self.report(0, 1, "Checking that the base is the right one")
            _check_base(file, self.base)

    @property
    def names(self) -> list[str]:
        """Of the model's tensors, stacks of experts last."""
        stacks = self.content.stacks()
        parts = {part for names in stacks.values() for part in names}
        return [name for name in self.content.tensors if name not in parts] + list(stacks)

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor of the model, or a stack of them. Raises as `pieces`."""
        import torch

        if name not in self.content.tensors:
            return torch.stack([self.tensor(part) for part in self.content.stacks()[name]])
        stored = self.content.tensors[name]
        bits, at = np.empty(stored.nbytes, np.uint8), 0
        for piece in self.pieces(name):
            part = piece.reshape(-1).view(np.uint8)
            bits[at : at + len(part)] = part
            at += len(part)
        return own_torch(bits, TensorInfo(name, stored.dtype, stored.shape, "", stored.nbytes, 0))

    def pieces(self, name: str) -> Iterator[Words]:
        """Storage bits of a tensor of the model, laid flat, some at a time.

        Raises:
            CorruptSubnetworkError: they are not what the file says the result is.
        """
        stored = self.content.tensors[name]
        digest = hashlib.sha256()
        for piece in self._pieces(stored.same_as or name):
            digest.update(buffer(piece))
            yield piece
        if digest.hexdigest() != stored.sha256:
            raise bad(self.file.path, f"{name} differs from what was written")
        with self._lock:
            self.done += stored.nbytes
            done, self._read = self.done, self._read + stored.nbytes
            full = self._read >= HELD
            if full:
                self._read = 0
        self.report(done, self.total, f"Restoring {name}")
        if full:
            self.release()

    def release(self) -> None:
        """Give back the memory of what was read."""
        self.file.release()
        if self.base is not None:
            self.base.release()

    def _pieces(self, name: str) -> Iterator[Words]:
        stored = self.content.tensors[name]
        if stored.how == "dense":
            yield self.file.raw(f"{name}.dense")
            return
        if stored.how == "coded":
            yield from self._coded(name)
            return
        if stored.how == "base" and stored.dtype not in STORAGE:  # several entries in a byte
            assert self.base is not None
            yield self.base.raw(str(stored.base))
            return
        if stored.how == "base":
            for at in range(0, stored.size, AT_ONCE):
                yield self._reset(name, at, min(at + AT_ONCE, stored.size))
            return
        mask, values = self.file.raw(f"{name}.bitmask"), self.file.raw(f"{name}.values")
        used = 0
        for at in range(0, stored.size, AT_ONCE):
            last = min(at + AT_ONCE, stored.size)
            window = mask[at // 8 : -(-last // 8)].view(np.uint8)
            keep = np.unpackbits(window, count=last - at, bitorder="little").view(np.bool_)
            count = int(np.count_nonzero(keep))
            piece = self._reset(name, at, last)
            piece[keep] = _words(values[used : used + count])
            used += count
            yield piece

    def _coded(self, name: str) -> Iterator[Words]:
        """The base's rows with the coded difference, some at a time; of a turned tensor all at once."""
        stored = self.content.tensors[name]
        parts = pieces(stored.code_shape)
        if stored.turned:
            whole = np.concatenate([self.rows(name, rows) for rows in parts])
            yield _words(np.ascontiguousarray(whole.T)).reshape(-1)
            return
        for rows in parts:
            yield _words(np.ascontiguousarray(self.rows(name, rows))).reshape(-1)

    def rows(self, name: str, rows: slice) -> Words:
        """Storage bits of some rows (r, C) of a coded tensor, rows being outputs.

        Raises:
            CorruptSubnetworkError: its code cannot be opened.
        """
        stored = self.content.tensors[name]
        assert self.base is not None
        assert stored.base is not None
        assert stored.base_dtype is not None
        try:
            values, mask = decode(self.file.coded(name), rows)
        except ValueError as error:
            raise bad(self.file.path, f"{name} in a code that cannot be opened ({error})") from error
        raw = as_matrix(self.base.raw(stored.base), transposed=bool(stored.turned))[rows]
        own = base_bits(stored.base_dtype, stored.dtype, raw)
        return moved_bits(own, values, mask, stored.dtype, name=name, first=rows.start or 0)

    def _reset(self, name: str, first: int, last: int) -> Words:
        """What entries become that are not kept, as unsigned integers of their size."""
        stored = self.content.tensors[name]
        if stored.base is None:
            width = stored.nbytes // max(1, stored.size)
            return np.zeros(last - first, WORDS[width])
        assert self.base is not None
        assert stored.base_dtype is not None
        values = self.base.raw(stored.base).reshape(-1)[first:last]
        words = _words(base_bits(stored.base_dtype, stored.dtype, values)).copy()
        return np.pad(words, (0, last - first - len(words)))  # rows that the base lacks are kept, all of them

    def text(self, name: str) -> bytes:
        """A config or tokenizer file of the model.

        Raises:
            WrongBaseError: the base's is another one.
        """
        found = self.file.text(name)
        if found is not None:
            return found
        assert self.base is not None
        path = Path(self.base.folder) / name
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != self.content.files[name].sha256:
            got = "other content" if path.is_file() else "no such file"
            raise _wrong(f"{name} in {self.base.folder}", got)
        return data


def _open_base(file: Subnetwork, base: str | Path | None) -> Tensors | None:
    """The base that a file needs; ``None`` if it needs none."""
    from kencore.checkpoint.source import resolve
    from kencore.checkpoint.tensors import open_fitting

    if not file.content.needs_base:
        return None
    named = file.content.base
    assert named is not None
    names = [stored.base for stored in file.content.tensors.values() if stored.base is not None]
    if base is not None:
        return open_fitting(resolve(str(base)).folder, names)
    try:
        return open_fitting(resolve(str(named["text"]), revision=named["revision"]).folder, names)
    except SourceNotFoundError as error:
        raise SourceNotFoundError(
            f"the base of {file.path}",
            got=f"it is not at {named['text']}",
            wanted="the model that the tuned one started from",
            remedy="Pass it as the base.",
        ) from error


def _check_base(file: Subnetwork, base: Tensors) -> None:
    """Raise `WrongBaseError` naming the first tensor that the file was not made from."""
    for _, stored in sorted(file.content.tensors.items()):
        if stored.base is None:
            continue
        if stored.base not in base:
            raise _wrong(f"{stored.base} in {base.folder}", "no such tensor")
        info = base.info(stored.base)
        if (info.dtype, tuple(info.shape)) != (stored.base_dtype, stored.base_shape):
            raise _wrong(f"{stored.base} in {base.folder}", f"{info.dtype} of shape {info.shape}")
        if base.sha256(stored.base) != stored.base_sha256:
            raise _wrong(f"{stored.base} in {base.folder}", "other weights")
        base.release()


def _wrong(subject: str, got: str) -> WrongBaseError:
    return WrongBaseError(
        subject,
        got=got,
        wanted="that of the base that the file was made from",
        remedy="Pass the exact model and revision the tuned one started from.",
    )


def _words(values: NDArray[np.generic]) -> Words:
    """The same bits as unsigned integers, so that no NaN is touched."""
    return values.view(WORDS[values.dtype.itemsize])
