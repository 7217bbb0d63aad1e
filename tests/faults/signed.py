"""Damage to a subnetwork file whose hashes are set right again, as somebody would who means it."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from typing import Any

from kencore.checkpoint.write import header_bytes
from kencore.exports.subnetwork.format import CODED_ENTRY, CONTENT_ENTRY, KEY
from tests.faults.mutate import damaged_json


def as_signed(content: bytes, rng: random.Random) -> bytes:
    """Damage to what the file says of itself, or to a few bytes of what it holds."""
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    said = json.loads(header.pop("__metadata__")[KEY])
    if rng.random() < 0.5:
        first, last = header[CODED_ENTRY]["data_offsets"] if CODED_ENTRY in header else (0, len(body))
        for _ in range(rng.randint(1, 3)):
            if first < last:
                body[rng.randrange(first, last)] = rng.randrange(256)
    elif "content" in said:
        said["content"] = _damaged(_text(said["content"]), rng)
    else:
        begin, end = header[CONTENT_ENTRY]["data_offsets"]
        told = _damaged(zlib.decompress(bytes(body[begin:end])).decode(), rng)
        packed = zlib.compress(_text(told).encode(), 9)
        body[begin:end] = packed
        header[CONTENT_ENTRY]["shape"] = [len(packed)]
    digest = hashlib.sha256(body).hexdigest()
    if "content" not in said:
        said["sha256"] = digest
    elif isinstance(said["content"], dict):
        said["content"]["payload_sha256"] = digest
        said["sha256"] = hashlib.sha256(_text(said["content"]).encode()).hexdigest()
    entries = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in header.items()}
    head = header_bytes(entries, {KEY: _text(said)})
    return len(head).to_bytes(8, "little") + head + bytes(body)


def _damaged(text: str, rng: random.Random) -> Any:
    """The JSON value of a text, damaged, and still one."""
    while True:
        try:
            return json.loads(damaged_json(text, rng))
        except (ValueError, RecursionError):
            continue


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
