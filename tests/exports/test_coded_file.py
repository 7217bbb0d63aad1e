"""Version 2 of the subnetwork file: what was changed is refused, however well it was sealed again."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kencore import Run
from kencore.checkpoint.header import read_header
from kencore.checkpoint.write import header_bytes
from kencore.errors import CorruptSubnetworkError, KencoreError, WrongBaseError
from kencore.exports.subnetwork.format import KEY
from kencore.exports.subnetwork.open import open_subnetwork, restore_subnetwork
from kencore.exports.subnetwork.read import inspect_subnetwork
from kencore.exports.subnetwork.write import write_subnetwork
from tests.pruning.test_by_bytes import coded
from tests.support.tiny_models import save_pair


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, bytes]:
    folder = tmp_path_factory.mktemp("coded")
    run = coded(folder, bits=12)
    return run, write_subnetwork(run, folder / "file").read_bytes()


def test_any_changed_byte_is_found(made: tuple[Run, bytes], tmp_path: Path) -> None:
    _, whole = made
    rng = np.random.default_rng(0)
    path = tmp_path / "file"
    for turn in range(300):
        data = bytearray(whole)
        if turn % 5 == 0:
            data = data[: int(rng.integers(len(data)))]
        else:
            at = int(rng.integers(len(data) if turn % 2 else 400))
            data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        with pytest.raises(CorruptSubnetworkError):
            inspect_subnetwork(path)


def sealed(whole: bytes, change: Callable[[dict[str, Any], dict[str, bytearray]], None]) -> bytes:
    """The file with its content or bytes changed, and hashes, sizes and header made to fit."""
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    header.pop("__metadata__")
    parts = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        parts[name] = bytearray(whole[8 + length + first : 8 + length + last])
    said = json.loads(zlib.decompress(parts[".content"]))
    change(said, parts)
    parts[".content"] = bytearray(zlib.compress(json.dumps(said, sort_keys=True, separators=(",", ":")).encode(), 9))
    body = b"".join(bytes(part) for part in parts.values())
    text = json.dumps({"sha256": hashlib.sha256(body).hexdigest(), "version": 2}, sort_keys=True, separators=(",", ":"))
    entries = {}
    for name, part in parts.items():
        kind, shape = header[name]["dtype"], header[name]["shape"]
        entries[name] = (kind, (len(part),) if kind == "U8" else tuple(shape))
    head = header_bytes(entries, {KEY: text})
    return len(head).to_bytes(8, "little") + head + body


def test_sealing_without_a_change_gives_the_same_file(made: tuple[Run, bytes]) -> None:
    assert sealed(made[1], lambda said, parts: None) == made[1]


def _first(said: dict[str, Any]) -> dict[str, Any]:
    return next(one for _, one in sorted(said["tensors"].items()) if one["how"] == "coded")


CHANGES: dict[str, Callable[[dict[str, Any], dict[str, bytearray]], Any]] = {
    "bytes of codes": lambda said, parts: parts[".coded"].__setitem__(slice(0, 40), bytes(range(40))),
    "fewer bytes": lambda said, parts: _first(said).update(coded=3),
    "too many bytes": lambda said, parts: _first(said).update(coded=10**12),
    "another code": lambda said, parts: _first(said).update(code="zip"),
    "facts of nothing": lambda said, parts: _first(said).update(facts={}),
    "huge facts": lambda said, parts: _first(said).update(facts={"power": 10**9, "levels": 10**9, "rank": 10**9}),
    "a huge shape": lambda said, parts: _first(said).update(shape=[10**9, 10**9]),
    "no shape": lambda said, parts: _first(said).update(shape=[]),
    "turned": lambda said, parts: _first(said).update(turned="yes"),
    "no base": lambda said, parts: _first(said).pop("base"),
    "version": lambda said, parts: said.update(version=1),
    "a hash less": lambda said, parts: parts[".hashes"].__delitem__(slice(0, 32)),
    "a hash more": lambda said, parts: parts[".hashes"].extend(bytes(32)),
    "another result": lambda said, parts: parts[".hashes"].__setitem__(slice(0, 32), bytes(32)),
    "hashes inside": lambda said, parts: _first(said).update(sha256="0" * 64),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_and_sealed_again_is_refused(name: str, made: tuple[Run, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(sealed(made[1], CHANGES[name]))
    with pytest.raises((CorruptSubnetworkError, WrongBaseError)):
        open_subnetwork(path)
    with pytest.raises((CorruptSubnetworkError, WrongBaseError)):
        restore_subnetwork(path, None, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_random_damage_that_was_sealed_again_raises_errors_of_our_own(made: tuple[Run, bytes], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path, refused = tmp_path / "file", 0

    def change(said: dict[str, Any], parts: dict[str, bytearray]) -> None:
        for _ in range(3):
            parts[".coded"][int(rng.integers(len(parts[".coded"])))] = int(rng.integers(256))

    for _ in range(8):
        path.write_bytes(sealed(made[1], change))
        try:
            open_subnetwork(path)
        except KencoreError:
            refused += 1
    assert refused >= 7  # the same byte may have been drawn


def test_another_base_is_refused(made: tuple[Run, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(made[1])
    other, _ = save_pair("gpt2", tmp_path / "other")
    with pytest.raises(WrongBaseError):
        open_subnetwork(path, other)


def test_what_a_file_says_of_itself_is_small(made: tuple[Run, bytes], tmp_path: Path) -> None:
    run, whole = made
    path = tmp_path / "file"
    path.write_bytes(whole)
    infos = {info.name: info for info in read_header(path)}
    assert infos[".hashes"].nbytes % 32 == 0
    assert infos[".coded"].nbytes == sum(len(one.data) for one in run.codes.values())
    assert infos[".content"].nbytes + infos[".hashes"].nbytes < 110 * len(run.matrices) + 2000
