"""A subnetwork file, opened only once every byte of it is known to be what was written.

No torch, no base model: what it says of itself, and its tensors by memory map.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.header import read_header
from kencore.checkpoint.shards import Shards
from kencore.checkpoint.tensors import Tensors
from kencore.checkpoint.write import header_bytes
from kencore.codes.coded import Coded
from kencore.errors import CorruptShardError, CorruptSubnetworkError
from kencore.exports.subnetwork.format import (
    CODED_ENTRY,
    CONTENT_ENTRY,
    HASHES_ENTRY,
    KEY,
    LARGEST_CONTENT,
    PLAIN,
    Content,
    parse,
    parse_coded,
    version_of,
)
from kencore.exports.subnetwork.records import WAYS, TextFile
from kencore.exports.subnetwork.zstd import decompress_file, is_zstd
from kencore.system.plain_json import parse_json

AT_ONCE = 1 << 22
_SIGN = f'{{"__metadata__":{{"{KEY}":'.encode()


class Subnetwork:
    """An open file. Its content was checked; arrays from `raw` are read-only maps of it.

    Args:
        content: what it says of itself.
    """

    def __init__(self, path: Path, content: Content, tensors: Tensors) -> None:
        self.path, self.content, self._tensors = path, content, tensors
        self._spans = content.spans()

    def raw(self, name: str) -> NDArray[np.generic]:
        """Storage bits of a tensor of the file, such as ``<name>.values``, flat."""
        return self._tensors.raw(name).reshape(-1)

    def text(self, name: str) -> bytes | None:
        """A config or tokenizer file; ``None`` where the base has it.

        Raises:
            CorruptSubnetworkError: it does not hold what it should.
        """
        file = self.content.files[name]
        if file.packed is None:
            return None
        return _inflated(self.path, name, file, self.raw(f"{name}.file").tobytes())

    def coded(self, name: str) -> Coded:
        """The coded difference of a tensor, of a file of version 2."""
        stored = self.content.tensors[name]
        data = self.raw(CODED_ENTRY)[self._spans[name]].tobytes()
        return Coded(code=str(stored.code), shape=stored.code_shape, facts=dict(stored.facts or {}), data=data)

    def release(self) -> None:
        """Give back the memory of what was read."""
        self._tensors.release()


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Subnetwork]:
    """Open and check a file, compressed or not (told by its first bytes).

    Checked are version, hashes, shapes, that each mask keeps as many entries as there are values,
    and that the bits that fill its last byte are zero. A compressed file is unpacked into a
    temporary file first, never to more than it may grow to.

    Raises:
        CorruptSubnetworkError: any of that does not hold, or there is no such file.
        MissingExtraError: it is compressed and zstandard is not installed.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix="kencore-") as folder:
        plain = path
        try:
            if is_zstd(path):
                plain = Path(folder) / "file.safetensors"
                decompress_file(path, plain)
            tensors, content = _checked(path, plain)
        except FileNotFoundError as error:
            raise CorruptSubnetworkError(
                str(path), got="no such file", wanted="a subnetwork file", remedy="Check the path."
            ) from error
        except OSError as error:
            raise bad(path, f"it cannot be read ({error.strerror or error})") from error
        with tensors:
            yield Subnetwork(path, content, tensors)


def is_subnetwork(path: str | Path) -> bool:
    """Whether a path is a file that begins as subnetwork files do, whole or not."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as file:
            start = file.read(8 + len(_SIGN))
        return start[8:] == _SIGN or is_zstd(Path(path))
    except OSError:
        return False


def inspect_subnetwork(path: str | Path) -> dict[str, Any]:
    """What a file is, as plain values; its base is not needed.

    Raises:
        CorruptSubnetworkError: see `opened`.
    """
    with opened(path) as file:
        content = file.content
        kept = {name: s.kept for name, s in content.tensors.items() if s.kept is not None}
        masked = sum(content.tensors[name].size for name in kept)
        ways = [stored.how for stored in content.tensors.values()]
        dense = sum(s.nbytes for s in content.tensors.values() if s.how != "same")
        size = Path(path).stat().st_size
        return {
            "kind": "subnetwork",
            "file": str(path),
            "version": content.version,
            "bytes": size,
            "compressed": is_zstd(Path(path)),
            "bytes_dense": dense,
            "ratio": size / dense if dense else None,
            "architecture": _architecture(file),
            "restore": content.restore,
            "base": None if content.base is None else dict(content.base),
            "needs_base": content.needs_base,
            "spec": dict(content.spec),
            "parameters": sum(s.size for s in content.tensors.values() if s.how != "same"),
            "masked": masked,
            "kept": sum(kept.values()),
            "tensors": {way: ways.count(way) for way in WAYS if way != "coded" or content.version != PLAIN},
            **_codes(content),
            "files": {name: f.size for name, f in sorted(content.files.items())},
            "weight_files": list(content.shards),
        }


def _codes(content: Content) -> dict[str, Any]:
    """How many tensors have which code, and in how many bytes; nothing of version 1."""
    if content.version == PLAIN:
        return {}
    found: dict[str, dict[str, int]] = {}
    for stored in content.tensors.values():
        if stored.code is not None:
            line = found.setdefault(stored.code, {"tensors": 0, "entries": 0, "bytes": 0})
            line["tensors"] += 1
            line["entries"] += stored.size
            line["bytes"] += stored.coded or 0
    return {"codes": dict(sorted(found.items()))}


def _architecture(file: Subnetwork) -> str | None:
    """The class of model that config.json names, if it is there and does."""
    if "config.json" not in file.content.files:
        return None
    try:
        return str(parse_json(file.text("config.json") or b"")["architectures"][0])
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def bad(path: Path, got: str) -> CorruptSubnetworkError:
    """The error for a file that cannot be used."""
    return CorruptSubnetworkError(
        str(path),
        got=got,
        wanted="a whole subnetwork file",
        remedy="Download or write the file again: it is damaged or no subnetwork file.",
    )


def _checked(path: Path, plain: Path) -> tuple[Tensors, Content]:
    try:
        infos = {info.name: info for info in read_header(plain)}
    except CorruptShardError as error:
        raise bad(path, error.got) from error
    with plain.open("rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))
        start = file.tell()
    metadata = parse_json(header).get("__metadata__")
    if not isinstance(metadata, dict) or set(metadata) != {KEY}:
        raise bad(path, f"a safetensors file without the metadata {KEY}")
    tensors = Tensors(plain.parent, Shards({plain.name: plain}, None), infos)
    try:
        content = _content(metadata[KEY], tensors)
        entries = content.entries()
    except ValueError as error:
        raise bad(path, str(error)) from error
    if header_bytes(entries, metadata) != header:
        raise bad(path, "a header that does not list the tensors that its metadata describe")
    if _digest(plain, start) != content.payload_sha256:
        raise bad(path, "bytes that were changed: their sha256 does not fit")
    for name, stored in content.tensors.items():
        if stored.how == "values":
            _check_mask(path, name, tensors.raw(f"{name}.bitmask"), stored.size, stored.kept or 0)
    for name, text in content.files.items():
        if text.packed is not None:
            _inflated(path, name, text, tensors.raw(f"{name}.file").tobytes())
    tensors.release()
    return tensors, content


def _content(text: str, tensors: Tensors) -> Content:
    """What a file says of itself, in whichever version.

    Raises:
        ValueError: see `parse`.
    """
    if version_of(text) == PLAIN:
        return parse(text)
    missing = {CONTENT_ENTRY, HASHES_ENTRY, CODED_ENTRY}.difference(tensors.names)
    sizes = [tensors.info(name).nbytes for name in (CONTENT_ENTRY, HASHES_ENTRY)] if not missing else [0]
    if missing or max(sizes) > LARGEST_CONTENT:
        raise ValueError("no content of version 2")
    return parse_coded(text, *(tensors.raw(name).tobytes() for name in (CONTENT_ENTRY, HASHES_ENTRY)))


def _digest(path: Path, start: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(AT_ONCE):
            digest.update(piece)
    return digest.hexdigest()


def _check_mask(path: Path, name: str, bits: NDArray[Any], size: int, kept: int) -> None:
    count = sum(
        int(np.bitwise_count(bits[at : at + AT_ONCE]).sum(dtype=np.int64)) for at in range(0, len(bits), AT_ONCE)
    )
    if count != kept:
        raise bad(path, f"a mask of {name} that keeps {count:,} weights, for {kept:,} values")
    if size % 8 and int(bits[-1]) >> (size % 8):
        raise bad(path, f"a mask of {name} with bits beyond its {size:,} weights")


def _inflated(path: Path, name: str, file: TextFile, data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, file.size + 1)
    except zlib.error as error:
        raise bad(path, f"{name} that cannot be unpacked ({error})") from error
    whole = inflater.eof and not inflater.unused_data
    if not whole or len(text) != file.size or hashlib.sha256(text).hexdigest() != file.sha256:
        raise bad(path, f"{name} that is not the {file.size:,} bytes it should be")
    return text
