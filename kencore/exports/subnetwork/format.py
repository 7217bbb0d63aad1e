"""What a subnetwork file says of itself: its one key of metadata, and the tensors that follow.

A subnetwork file is a safetensors file that, with the base model, gives a pruned model back bit
for bit (without a base where entries became zero). The model's tensors, n entries each, are stored
in one of five ways:

    values   ``<name>.bitmask``, uint8 (ceil(n / 8),): the keep mask, flattened as the checkpoint
             stores the tensor, ``numpy.packbits(..., bitorder="little")``; and ``<name>.values``,
             (kept,) in the tensor's dtype: the kept values themselves, in the same order
    coded    a part of ``.coded``, uint8: the difference to the base in a code of `kencore.codes`, which opens by rows;
             the result is the base's value, as float32 in the tuned dtype, plus the coded one, rounded to that dtype,
             where the code has a symbol, and the base's own elsewhere
    dense    ``<name>.dense``: the whole tensor, where that is smaller or there is no mask
    base     nothing: it is the base's tensor, rounded to the tuned dtype (to nearest even)
    same     nothing: it is tied to another tensor

``<file>.file``, uint8, are config, tokenizer and other files, deflated (RFC 1950), unless the base has the
same. The key ``kencore_subnetwork`` holds sorted JSON: ``content`` and the sha256 of its compact
form. In it are the sha256 of every tensor of the base that is needed, of every resulting tensor,
and of all bytes after the header. Shapes never need trust: each is checked against the bytes there,
or against the base's before anything is opened.

That is version 1, which has no coded tensors. In version 2, whose files may be as small as what version 1 says of
itself, the key holds ``version`` and the sha256 of all bytes after the header; ``.content``, uint8, is the deflated
JSON of the content without the hashes of tensors, and ``.hashes``, uint8 (32 n,), are those: of each tensor in order of
names its result's and, where it has one, its base's.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.companions import may_travel
from kencore.checkpoint.header import BITS
from kencore.exports.subnetwork.records import NO_HASH, Stored, TextFile, is_hash, is_shard, plain
from kencore.system.plain_json import parse_json

KEY = "kencore_subnetwork"
PLAIN, CODED = 1, 2
"""Versions: without coded tensors, and with."""
CODED_ENTRY, CONTENT_ENTRY, HASHES_ENTRY = ".coded", ".content", ".hashes"
LARGEST_CONTENT = 1 << 26  # bytes that the content of version 2 may unpack to
_HASHES = frozenset({"sha256", "base_sha256"})

Entries = dict[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that a file says of itself.

    Args:
        restore: what entries that were not kept became: ``base`` or ``zero``.
        base: where the base is, ``text`` and ``revision`` of `kencore.checkpoint.source.resolve`;
            ``None`` where none is needed.
        spec: the settings of the pruning, for people.
        shards: names of the weight files of the resulting folder.
        tensors, files: by name.
        payload_sha256: of all bytes after the header.

    Raises:
        ValueError: a field is missing or out of range, or two contradict each other.
    """

    restore: str
    base: Mapping[str, str | None] | None
    spec: Mapping[str, Any]
    shards: tuple[str, ...]
    tensors: Mapping[str, Stored]
    files: Mapping[str, TextFile] = field(default_factory=dict)
    payload_sha256: str = NO_HASH
    version: int = PLAIN

    def __post_init__(self) -> None:
        if self.version not in (PLAIN, CODED):
            raise ValueError(_other_version(self.version))
        if self.version == PLAIN and any(stored.how == "coded" for stored in self.tensors.values()):
            raise ValueError(f"coded tensors in version {PLAIN}")
        if self.restore not in ("base", "zero") or not isinstance(self.spec, Mapping):
            raise ValueError(f"restore {self.restore!r}")
        if self.base is not None:
            if set(self.base) != {"text", "revision"} or not isinstance(self.base["text"], str):
                raise ValueError("no usable name of the base")
            if not isinstance(self.base["revision"], str | None):
                raise ValueError("no usable revision of the base")
        if not is_hash(self.payload_sha256):
            raise ValueError(f"payload_sha256 {self.payload_sha256!r}")
        bad = [name for name in self.shards if not is_shard(name)]
        if bad or len(set(self.shards)) != len(self.shards):
            raise ValueError(f"weight files {self.shards!r}")
        for name, stored in self.tensors.items():
            self._check(name, stored)
        self.stacks()
        unknown = sorted(name for name in self.files if not may_travel(name))
        if unknown:
            raise ValueError(f"a file {unknown[0]!r}")
        if self.base is None and any(file.packed is None for file in self.files.values()):
            raise ValueError("a file of a base that it does not have")

    def _check(self, name: str, stored: Stored) -> None:
        if name == "__metadata__":
            raise ValueError("a tensor of the name that safetensors keeps for itself")
        if stored.shard >= len(self.shards):
            raise ValueError(f"{name} in weight file {stored.shard} of {len(self.shards)}")
        if stored.base is not None and self.base is None:
            raise ValueError(f"{name} needs a base that is not named")
        if stored.how == "values" and (stored.base is None) != (self.restore == "zero"):
            raise ValueError(f"{name} restored to {self.restore} with base {stored.base!r}")
        if stored.same_as is not None:
            other = self.tensors.get(stored.same_as)
            alike = (
                other is not None
                and other.how != "same"
                and ((other.dtype, other.shape, other.sha256) == (stored.dtype, stored.shape, stored.sha256))
            )
            if not alike:
                raise ValueError(f"{name} cannot be the same as {stored.same_as!r}")

    @property
    def needs_base(self) -> bool:
        """Whether anything of the base is needed to make the model."""
        return any(stored.base is not None for stored in self.tensors.values()) or any(
            file.packed is None for file in self.files.values()
        )

    def stacks(self) -> dict[str, list[str]]:
        """The names of each stack's experts, in order.

        Raises:
            ValueError: one is missing, or of another kind than the others.
        """
        found: dict[str, list[str]] = {}
        for name, stored in self.tensors.items():
            if stored.part_of is not None:
                found.setdefault(stored.part_of, []).append(name)
        for stack, parts in found.items():
            whole = [f"{stack}.{expert}" for expert in range(len(parts))]
            kinds = {(s.dtype, s.shape, s.shard) for s in (self.tensors[name] for name in parts)}
            if set(parts) != set(whole) or len(kinds) != 1 or stack in self.tensors:
                raise ValueError(f"{stack} of experts {', '.join(parts[:3])}, which do not make one tensor")
            found[stack] = whole
        return found

    def entries(self) -> Entries:
        """Dtype and shape of every tensor in the file, in order: wide dtypes first, so that all
        are aligned, then bytes.
        """
        wide: Entries = {}
        masks: Entries = {}
        for name, stored in self.tensors.items():
            if stored.how == "dense":
                wide[f"{name}.dense"] = (stored.dtype, stored.shape)
            elif stored.how == "values":
                wide[f"{name}.values"] = (stored.dtype, (int(stored.kept or 0),))
                masks[f"{name}.bitmask"] = ("U8", (-(-stored.size // 8),))
        texts: Entries = {
            f"{name}.file": ("U8", (file.packed,)) for name, file in self.files.items() if file.packed is not None
        }
        order = sorted(wide.items(), key=lambda item: (-BITS[item[1][0]], item[0]))
        found = dict(order) | dict(sorted(masks.items())) | dict(sorted(texts.items()))
        if self.version == PLAIN:
            return found
        coded = sum(stored.coded or 0 for stored in self.tensors.values())
        return found | {
            CODED_ENTRY: ("U8", (coded,)),
            CONTENT_ENTRY: ("U8", (len(self.packed()),)),
            HASHES_ENTRY: ("U8", (len(self.hashes()),)),
        }

    def spans(self) -> dict[str, slice]:
        """Where in ``.coded`` each coded tensor is, in the order of names."""
        found, at = {}, 0
        for name, stored in sorted(self.tensors.items()):
            if stored.how == "coded":
                found[name] = slice(at, at + (stored.coded or 0))
                at += stored.coded or 0
        return found

    def packed(self) -> bytes:
        """``.content`` of version 2."""
        return zlib.compress(_compact(self._said(hashes=False)).encode(), 9)

    def hashes(self) -> bytes:
        """``.hashes`` of version 2."""
        found = []
        for _, stored in sorted(self.tensors.items()):
            found += [stored.sha256, *([] if stored.base_sha256 is None else [stored.base_sha256])]
        return bytes.fromhex("".join(found))

    def text(self) -> str:
        """The value of the metadata key: equal content is equal text."""
        if self.version == CODED:
            return _compact({"sha256": self.payload_sha256, "version": self.version})
        content = self._said(hashes=True)
        return _compact({"content": content, "sha256": _digest(content)})

    def _said(self, *, hashes: bool) -> dict[str, Any]:
        content: dict[str, Any] = {
            "version": self.version,
            "restore": self.restore,
            "base": None if self.base is None else dict(self.base),
            "spec": dict(self.spec),
            "shards": list(self.shards),
            "tensors": {name: plain(stored) for name, stored in self.tensors.items()},
            "files": {name: plain(file) for name, file in self.files.items()},
        }
        if hashes:
            return content | {"payload_sha256": self.payload_sha256}
        bare = {name: {k: v for k, v in one.items() if k not in _HASHES} for name, one in content["tensors"].items()}
        return content | {"tensors": bare}


def version_of(text: str) -> int:
    """The version that a metadata value is of.

    Raises:
        ValueError: it is none that is known.
    """
    try:
        outer = json.loads(text)
        version = outer.get("version", PLAIN)
        if version in (PLAIN, CODED):
            return int(version)
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"unusable metadata ({error!r})") from error
    raise ValueError(_other_version(version))


def parse_coded(text: str, packed: bytes, hashes: bytes) -> Content:
    """The content of a file of version 2.

    Args:
        text: the metadata value.
        packed, hashes: ``.content`` and ``.hashes``.

    Raises:
        ValueError: one of them is unusable, or `Content` refuses it.
    """
    try:
        payload = json.loads(text)["sha256"]
        inflater = zlib.decompressobj()
        plain = inflater.decompress(packed, LARGEST_CONTENT)
        if not inflater.eof or inflater.unused_data:
            raise ValueError("content that does not end, or is too large")
        said = json.loads(plain)
        digests = iter([hashes[at : at + 32].hex() for at in range(0, len(hashes), 32)])
        for _, one in sorted(said["tensors"].items()):
            if not _HASHES.isdisjoint(one):
                raise ValueError("hashes among the content")
            one["sha256"] = next(digests)
            if "base" in one:
                one["base_sha256"] = next(digests)
        content = _content(said | {"payload_sha256": payload})
        if content.version != CODED or content.text() != text or content.packed() != packed:
            raise ValueError("content in another form than it is written in")
        if content.hashes() != hashes:
            raise ValueError("hashes to spare")
        return content
    except zlib.error as error:
        raise ValueError(f"content that cannot be unpacked ({error})") from error
    except (TypeError, KeyError, AttributeError, RecursionError, StopIteration) as error:
        raise ValueError(f"unusable content ({error!r})") from error


def parse(text: str) -> Content:
    """The content that a metadata value of version 1 holds.

    Raises:
        ValueError: it is not JSON, its hash does not fit, or `Content` refuses it.
    """
    try:
        outer = parse_json(text)
        content, digest = outer["content"], outer["sha256"]
        if _compact(outer) != text or _digest(content) != digest:
            raise ValueError("metadata that was changed: its sha256 does not fit")
        if content.get("version") != PLAIN:
            raise ValueError(_other_version(content.get("version")))
        return _content(content)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"unusable metadata ({error!r})") from error


def _content(said: dict[str, Any]) -> Content:
    tensors = {
        name: Stored(**(record | {"shape": tuple(record["shape"])})) for name, record in said.pop("tensors").items()
    }
    files = {name: TextFile(**record) for name, record in said.pop("files").items()}
    shards = tuple(said.pop("shards"))
    return Content(tensors=tensors, files=files, shards=shards, **said)


def _other_version(version: object) -> str:
    return f"version {version!r}, not {PLAIN} or {CODED}"


def buffer(bits: NDArray[np.generic]) -> memoryview:
    """The bytes of an array in their order, for a hash."""
    return np.ascontiguousarray(bits).data


def _compact(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _digest(content: Any) -> str:
    return hashlib.sha256(_compact(content).encode()).hexdigest()
