"""Write the subnetwork file of a run; no more than a piece of one tensor is in memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.write import SafetensorsWriter, header_bytes
from kencore.errors import CorruptRunError
from kencore.exports.subnetwork.format import CODED_ENTRY, CONTENT_ENTRY, HASHES_ENTRY, KEY, PLAIN, Content, buffer
from kencore.exports.subnetwork.plan import plan
from kencore.exports.subnetwork.zstd import compress_file, need_zstd
from kencore.runs.reading import corrupt
from kencore.runs.restore import ROWS_AT_ONCE, as_stored, base_bits, pruned_chunks, verify
from kencore.system.progress import Progress, silent
from kencore.system.whole import check_new, whole_file

if TYPE_CHECKING:
    from kencore.runs.run import Run

Bits = NDArray[np.generic]


def write_subnetwork(run: Run, path: str | Path, compress: bool = False, progress: Progress | None = None) -> Path:
    """Write the file from which `restore_subnetwork` makes the pruned model again, bit for bit.

    The same run gives the same bytes every time.

    Args:
        path: the file to write; nothing is overwritten.
        compress: as one zstd frame (needs ``kencore[zstd]``).
        progress: called with (bytes done, bytes in all, what is being done); may raise to cancel.

    Raises:
        RunExistsError: something of that name is there.
        CheckpointChangedError: a tensor is not the one that the run was made from.
        CorruptRunError: the run's files contradict each other.
        StoreNotWritableError: it cannot be written.
        MissingExtraError: zstandard is not installed.
    """
    path = Path(path)
    check_new(path)
    if compress:
        need_zstd()
    report = progress or silent
    report(0, 1, "Checking that the models are those of the run")
    verify(run)
    content, texts = plan(run)
    with whole_file(path) as temporary:
        _Writer(run, content, texts, report).write(temporary)
        if compress:
            report(1, 1, "Compressing")
            compress_file(temporary)
    return path


class _Writer:
    """Writes one file, and finds the hashes that its header has to say."""

    def __init__(self, run: Run, content: Content, texts: dict[str, bytes], report: Progress):
        self.run, self.content, self.texts, self.report = run, content, texts, report
        self.payload = hashlib.sha256()
        self.results: dict[str, str] = {}
        self.done = 0
        self.total = sum(stored.nbytes for stored in content.tensors.values())

    def write(self, path: Path) -> None:
        """Write header and payload; then the header again, with the hashes."""
        entries = self.content.entries()
        opened = header_bytes(entries, {KEY: self.content.text()})
        try:
            with SafetensorsWriter(path, entries, {KEY: self.content.text()}) as self.file:
                for entry in entries:
                    self._write_entry(entry)
                if self.content.version == PLAIN:
                    self._check_the_rest()
        except ValueError as error:  # more or fewer values than the table says
            raise corrupt(self.run.path, f"masks and the table of matrices disagree: {error}") from error
        closed = header_bytes(entries, {KEY: self._final().text()})
        assert len(closed) == len(opened)
        with path.open("r+b") as file:
            file.seek(8)
            file.write(closed)

    def _write_entry(self, entry: str) -> None:
        name, _, kind = entry.rpartition(".")
        if entry in (CODED_ENTRY, CONTENT_ENTRY, HASHES_ENTRY):
            self._write_own(entry)
        elif kind == "file":
            self._write(entry, np.frombuffer(self.texts[name], np.uint8))
        elif kind == "bitmask":
            for piece in packed(keep_pieces(self.run, name, self.content.tensors[name].shape)):
                self._write(entry, piece)
            self.run.release()
        else:
            self._write_values(name, entry, whole=kind == "dense")

    def _write_own(self, entry: str) -> None:
        """What version 2 has for all tensors together; the hashes are the last, when all are known."""
        if entry == CODED_ENTRY:
            for name in self.content.spans():
                owner = self.run.owner(name)
                assert owner is not None
                self._write(entry, np.frombuffer(self.run.codes[owner].data, np.uint8))
            return
        if entry == HASHES_ENTRY:
            self._check_the_rest()
        text = self.content.packed() if entry == CONTENT_ENTRY else self._final().hashes()
        self._write(entry, np.frombuffer(text, np.uint8))

    def _write_values(self, name: str, entry: str, *, whole: bool) -> None:
        digest = hashlib.sha256()
        if whole:
            for bits in pruned_chunks(self.run, name):
                digest.update(buffer(bits))
                self._write(entry, bits)
        else:
            for bits, keep in self._pieces(name):
                digest.update(buffer(bits))
                self._write(entry, bits[keep])
        self._finish(name, digest.hexdigest())

    def _pieces(self, name: str) -> Iterator[tuple[Bits, NDArray[np.bool_]]]:
        """Resulting bits and keep mask of a pruned tensor, as stored, some rows at a time."""
        first = 0
        for bits in pruned_chunks(self.run, name):
            yield bits, stored_keep(self.run, name, slice(first, first + len(bits)), bits.shape)
            first += len(bits)

    def _write(self, entry: str, bits: Bits) -> None:
        self.payload.update(buffer(bits))
        self.file.write(entry, bits)

    def _finish(self, name: str, digest: str) -> None:
        self.results[name] = digest
        self.done += self.content.tensors[name].nbytes
        self.report(self.done, self.total, f"Writing {name}")
        self.run.release()

    def _check_the_rest(self) -> None:
        """Tensors that are not in the file are what the file says they are."""
        for name, stored in self.content.tensors.items():
            if stored.how not in ("base", "same", "coded"):
                continue
            digest = hashlib.sha256()
            for bits in pruned_chunks(self.run, name):
                digest.update(buffer(bits))
            if stored.how == "base" and digest.hexdigest() != self._base_digest(name):
                raise self._wrong(name, f"{stored.base} of the base")
            self._finish(name, digest.hexdigest())
        for name, stored in self.content.tensors.items():
            if stored.same_as is not None and self.results[name] != self.results[stored.same_as]:
                raise self._wrong(name, stored.same_as)

    def _base_digest(self, name: str) -> str:
        stored = self.content.tensors[name]
        assert stored.base is not None
        assert stored.base_dtype is not None
        bits = base_bits(stored.base_dtype, stored.dtype, self.run.base_tensors.raw(stored.base))
        return hashlib.sha256(buffer(bits)).hexdigest()

    def _wrong(self, name: str, other: str) -> CorruptRunError:
        return corrupt(self.run.path, f"{name} is not {other}, as its tables say")

    def _final(self) -> Content:
        tensors = {name: replace(stored, sha256=self.results[name]) for name, stored in self.content.tensors.items()}
        return replace(self.content, tensors=tensors, payload_sha256=self.payload.hexdigest())


def stored_keep(run: Run, name: str, part: slice, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The keep mask of stored rows ``part`` of a pruned tensor, as the checkpoint has it."""
    owner = run.owner(name)
    assert owner is not None
    transposed = bool(run.matrix(owner)["transposed"])
    rows, columns = part, slice(None)
    if len(shape) == 1:
        rows, columns = slice(0, 1), part
    elif transposed:  # stored inputs x outputs, the mask is outputs x inputs
        rows, columns = slice(None), part
    return as_stored(run.keep(owner, rows, columns), transposed, shape)


def keep_pieces(run: Run, name: str, shape: tuple[int, ...]) -> Iterator[NDArray[np.bool_]]:
    """The whole keep mask of a pruned tensor, as the checkpoint has it, some rows at a time."""
    step = max(1, ROWS_AT_ONCE // max(1, math.prod(shape[1:])))
    for first in range(0, shape[0], step):
        last = min(first + step, shape[0])
        yield stored_keep(run, name, slice(first, last), (last - first, *shape[1:]))


def packed(pieces: Iterator[NDArray[np.bool_]]) -> Iterator[NDArray[np.uint8]]:
    """Bits of masks laid end to end, lowest bit first; zeros fill the last byte."""
    rest = np.zeros(0, np.bool_)
    for piece in pieces:
        flat = np.concatenate([rest, piece.reshape(-1)])
        whole = len(flat) // 8 * 8
        yield np.packbits(flat[:whole], bitorder="little")
        rest = flat[whole:]
    yield np.packbits(rest, bitorder="little")
