"""What a subnetwork file says of one tensor, and of one file beside the weights, each checked as it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from kencore.checkpoint.companions import LARGEST
from kencore.checkpoint.header import BITS
from kencore.checkpoint.tensors import FLOATS

WAYS = ("values", "coded", "dense", "base", "same")
"""How a tensor is stored: see `kencore.exports.subnetwork.format`."""
NO_HASH = "0" * 64
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One tensor of the model.

    Args:
        how: one of ``WAYS``.
        dtype, shape: of the result, as in a safetensors header.
        shard: number of the weight file it goes into.
        sha256: of the resulting tensor's bytes.
        base, base_dtype, base_sha256: name, dtype and content of the base's tensor that is needed.
        kept: entries that the mask keeps; only of ``values``.
        base_rows: rows of the base's tensor where it has others than the result; only of ``values``,
            whose mask keeps the rows that the base lacks.
        code, facts, coded: of ``coded``: its code, what the code's reader needs, and its bytes in ``.coded``.
        turned: of ``coded``: the code is of the transposed tensor.
        same_as: the tensor it is tied to; only of ``same``.
        part_of: the tensor of the weight file that it is one expert of (`kencore.checkpoint.stacks`);
            its own name is then that with the expert's number behind it.

    Raises:
        ValueError: a field is missing, superfluous or out of range.
    """

    how: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    sha256: str = NO_HASH
    base: str | None = None
    base_dtype: str | None = None
    base_sha256: str | None = None
    base_rows: int | None = None
    kept: int | None = None
    code: str | None = None
    facts: Mapping[str, Any] | None = None
    coded: int | None = None
    turned: bool | None = None
    same_as: str | None = None
    part_of: str | None = None

    def __post_init__(self) -> None:
        if self.how not in WAYS or self.dtype not in BITS:
            raise ValueError(f"a tensor stored as {self.how!r} of dtype {self.dtype!r}")
        if not all(is_count(side) for side in self.shape) or not is_count(self.shard):
            raise ValueError(f"shape {self.shape!r}, shard {self.shard!r}")
        if self.size * BITS[self.dtype] % 8:
            raise ValueError(f"{self.size} weights of {self.dtype} fill no whole bytes")
        if not is_hash(self.sha256):
            raise ValueError(f"sha256 {self.sha256!r}")
        base = (self.base, self.base_dtype, self.base_sha256)
        if any(base) and not (isinstance(self.base, str) and self.base_dtype in BITS and is_hash(self.base_sha256)):
            raise ValueError(f"base {base!r}")
        if (self.base is None) != (self.how in ("dense", "same")) and self.how != "values":
            raise ValueError(f"base {self.base!r} of a tensor stored as {self.how}")
        if self.base_rows is not None and (
            self.how != "values" or self.base is None or not self.shape or not is_count(self.base_rows)
        ):
            raise ValueError(f"base_rows {self.base_rows!r} of a tensor stored as {self.how}")
        self._check_code()
        if (self.how == "same") != isinstance(self.same_as, str):
            raise ValueError(f"same_as {self.same_as!r} of a tensor stored as {self.how}")
        if not isinstance(self.part_of, str | None):
            raise ValueError(f"part_of {self.part_of!r}")
        if self.how == "values":
            if self.dtype not in FLOATS or not is_count(self.kept) or (self.kept or 0) > self.size:
                raise ValueError(f"{self.kept!r} kept of {self.size} {self.dtype}")
        elif self.kept is not None:
            raise ValueError(f"kept {self.kept!r} of a tensor stored as {self.how}")

    def _check_code(self) -> None:
        given = (self.code, self.facts, self.coded)
        if self.how != "coded":
            if any(one is not None for one in (*given, self.turned)):
                raise ValueError(f"a code {given!r} of a tensor stored as {self.how}")
            return
        if not isinstance(self.code, str) or not isinstance(self.facts, Mapping) or not is_count(self.coded):
            raise ValueError(f"a code {given!r}")
        if self.dtype not in FLOATS or len(self.shape) not in (1, 2) or not self.size:
            raise ValueError(f"a code of {self.dtype} of shape {self.shape!r}")
        if self.turned not in (None, True) or (self.turned and len(self.shape) != 2):
            raise ValueError(f"turned {self.turned!r} of shape {self.shape!r}")

    @property
    def code_shape(self) -> tuple[int, int]:
        """(R, C) of the coded matrix, rows being outputs; a vector is one row."""
        if len(self.shape) == 1:
            return 1, self.shape[0]
        rows, columns = self.shape
        return (columns, rows) if self.turned else (rows, columns)

    @property
    def size(self) -> int:
        """Entries of the tensor."""
        return math.prod(self.shape)

    @property
    def base_shape(self) -> tuple[int, ...]:
        """Of the base's tensor."""
        return self.shape if self.base_rows is None else (self.base_rows, *self.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of the resulting tensor."""
        return self.size * BITS[self.dtype] // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A config or tokenizer file: ``size`` bytes, carried as ``packed`` deflated ones, or ``None``
    if the base has the same.
    """

    sha256: str
    size: int
    packed: int | None = None

    def __post_init__(self) -> None:
        if not is_hash(self.sha256) or not is_count(self.size) or self.size > LARGEST:
            raise ValueError(f"a file of {self.size!r} bytes, sha256 {self.sha256!r}")
        if self.packed is not None and not is_count(self.packed):
            raise ValueError(f"a file of {self.packed!r} deflated bytes")


def plain(record: Stored | TextFile) -> dict[str, Any]:
    """What a record says, as JSON."""
    values = {one.name: getattr(record, one.name) for one in fields(record)}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value is not None
    }


def is_count(value: object) -> bool:
    """Whether it is a whole number from 0 that 64 bits hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_hash(value: object) -> bool:
    """Whether it is a sha256 in hexadecimal."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def is_shard(name: object) -> bool:
    """Whether it is the plain name of a weight file, on every system."""
    return (
        isinstance(name, str)
        and name.endswith(".safetensors")
        and not name.startswith(".")
        and "\0" not in name
        and PurePosixPath(name).name == name == PureWindowsPath(name).name
    )
