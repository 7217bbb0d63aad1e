"""The header of one safetensors file, checked strictly before anything is mapped.

Layout of a file: 8 bytes little-endian header length, the header (JSON), then the tensors' bytes.
The checks are those of the safetensors library; the messages say which tensor is at fault.
Source: the format section of https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kencore.errors import CorruptShardError
from kencore.system.plain_json import parse_json

MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library
BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}

MOST_DIMENSIONS = 64  # that numpy knows
MOST_OF_NOTHING = 1 << 20  # rows, experts or labels of a tensor that takes no byte


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies. ``dtype`` is the safetensors name; ``start`` counts from the file's
    first byte, ``shard`` is the file's name.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: str
    nbytes: int
    start: int

    @property
    def elements(self) -> int:
        """Number of values; 1 for a scalar."""
        return math.prod(self.shape)


def read_header(path: Path) -> list[TensorInfo]:
    """Every tensor of one file, in the order of its bytes.

    Raises:
        CorruptShardError: truncated, not safetensors, or a header that does not fit its content.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if size < 8 or len(prefix) < 8:
                _fail(path, f"only {size} bytes", "a header length of 8 bytes and a header")
            if length > MAX_HEADER_BYTES:
                _fail(
                    path, f"a header of {length:,} bytes", f"at most {MAX_HEADER_BYTES:,}; this is no safetensors file"
                )
            if 8 + length > size:
                _fail(path, f"{size:,} bytes", f"at least {8 + length:,}: its header is cut off")
            text = file.read(length)
    except OSError as error:
        _fail(path, f"a file that cannot be read ({error.strerror or error})", "a readable file")
    return _tensors(path, _parse(path, text), start=8 + length, size=size)


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) != len(pairs):
            raise ValueError("a name occurs twice")
        return seen

    try:
        header = parse_json(text, pairs=no_twins)
    except ValueError as error:
        _fail(path, f"a header that is not JSON ({error})", "a JSON object of tensors")
    if not isinstance(header, dict):
        _fail(path, "a header that is not a JSON object", "an object of tensors")
    header.pop("__metadata__", None)
    return header


def _tensors(path: Path, header: dict[str, Any], *, start: int, size: int) -> list[TensorInfo]:
    found = [_tensor(path, name, entry, start) for name, entry in header.items()]
    found.sort(key=lambda info: (info.start, info.nbytes))
    end = start
    for info in found:
        if info.start != end:
            word = "overlaps" if info.start < end else "leaves a gap after"
            _fail(path, f"tensor {info.name!r} {word} the one before it", "tensors one after the other")
        end += info.nbytes
    if end > size:
        last = next(info for info in found if info.start + info.nbytes > size)
        _fail(path, f"{size:,} bytes", f"{end:,}: it is cut off inside tensor {last.name!r}")
    if end < size:
        _fail(path, f"{size - end:,} bytes after the last tensor", "no bytes beyond the tensors")
    return found


def _tensor(path: Path, name: str, entry: Any, start: int) -> TensorInfo:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        _fail(path, f"tensor {name!r} without a readable entry", "dtype, shape and data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        _fail(path, f"tensor {name!r} of dtype {dtype!r}", f"one of {', '.join(BITS)}")
    if not isinstance(shape, list) or not all(_count(size) for size in shape):
        _fail(path, f"tensor {name!r} of shape {shape!r}", "a list of whole numbers")
    if len(shape) > MOST_DIMENSIONS:
        _fail(path, f"tensor {name!r} of {len(shape):,} dimensions", f"at most {MOST_DIMENSIONS}")
    if 0 in shape and max(shape) > MOST_OF_NOTHING:
        _fail(path, f"tensor {name!r} of shape {shape}, without a value", f"at most {MOST_OF_NOTHING:,} of nothing")
    bits = math.prod(shape) * BITS[dtype]
    if not _count(begin) or not _count(end) or begin > end or (end - begin) * 8 != bits:
        _fail(
            path, f"tensor {name!r} at bytes {begin!r} to {end!r}", f"{bits // 8:,} bytes for {dtype} of shape {shape}"
        )
    return TensorInfo(name, dtype, tuple(shape), path.name, end - begin, start + begin)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _fail(path: Path, got: str, wanted: str) -> NoReturn:
    raise CorruptShardError(
        str(path), got=got, wanted=wanted, remedy="Download or save the file again: it is damaged or incomplete."
    ) from None
