"""Damaged and hostile subnetwork files: always refused in words, and never written from."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from kencore import PruneSpec, prune
from kencore.checkpoint.write import header_bytes
from kencore.errors import CorruptSubnetworkError, MissingExtraError, StoreNotWritableError
from kencore.exports.subnetwork import zstd as subnetwork_zstd
from kencore.exports.subnetwork.open import open_subnetwork, restore_subnetwork
from kencore.exports.subnetwork.read import inspect_subnetwork
from kencore.exports.subnetwork.write import write_subnetwork
from tests.support.tiny_models import save_pair

KEY = "kencore_subnetwork"
NAME = "bert.pooler.dense.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds two files of the same tensors, one of them compressed too."""
    folder = tmp_path_factory.mktemp("files")
    base, tuned = save_pair("bert", folder)
    for keep in (0.3, 0.4):
        spec = PruneSpec(model=str(tuned), base=str(base), method="delta", keep=keep)
        run = prune(spec, out=folder / f"run-{keep}")
        write_subnetwork(run, folder / f"plain-{keep}")
    write_subnetwork(run, folder / "packed", compress=True)
    return folder


@pytest.fixture
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, which is also that of temporary files; it must be empty again."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


def split(data: bytes) -> tuple[bytes, bytes]:
    """Header and payload."""
    (length,) = struct.unpack("<Q", data[:8])
    return data[8 : 8 + length], data[8 + length :]


def join(header: bytes, payload: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + payload


def refused(file: Path, data: bytes, place: Path) -> str:
    """Write a file and try everything with it; the words of the refusal."""
    file.write_bytes(data)
    with pytest.raises(CorruptSubnetworkError) as caught:
        inspect_subnetwork(file)
    with pytest.raises(CorruptSubnetworkError):
        restore_subnetwork(file, None, place / "model")
    return str(caught.value)


def mutations(good: bytes, other: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Endlessly: a bit, several bytes, a cut, an insertion, a doubled piece, a foreign header."""
    length = len(split(good)[0])
    while True:
        data = bytearray(good)
        place = int(rng.integers(len(good)))
        in_header = int(rng.integers(8 + length))
        match int(rng.integers(7)):
            case 0:
                data[place] ^= 1 << int(rng.integers(8))
            case 1:
                data[in_header] ^= 1 << int(rng.integers(8))
            case 2:
                data[place : place + 16] = rng.bytes(16)[: len(data) - place]
            case 3:
                del data[place:]
            case 4:
                data[in_header:in_header] = rng.bytes(1 + int(rng.integers(9)))
            case 5:
                data[place:place] = good[place : place + 64]
            case 6:
                header = split(other)[0][: int(rng.integers(8, length))]
                data[8 : 8 + len(header)] = header
        if bytes(data) != good:
            yield bytes(data)


@pytest.mark.parametrize(("name", "seed", "count"), [("plain-0.4", 1, 700), ("packed", 2, 300)])
def test_a_thousand_damaged_files_are_a_thousand_refusals(
    folder: Path, name: str, seed: int, count: int, tmp_path: Path, nothing_left: Path
) -> None:
    good, other = (folder / name).read_bytes(), (folder / "plain-0.3").read_bytes()
    if name == "packed":  # its beginning is no header of known length
        good_header = min(60, len(good) // 2)
        rng = np.random.default_rng(seed)
        cases = (flipped(good, rng, good_header) for _ in range(count))
    else:
        made = mutations(good, other, np.random.default_rng(seed))
        cases = (next(made) for _ in range(count))
    for data in cases:
        refused(tmp_path / "file", data, nothing_left)


def flipped(good: bytes, rng: np.random.Generator, start: int) -> bytes:
    """A bit of a frame flipped, near its start or anywhere, or the frame cut or lengthened."""
    data = bytearray(good)
    place = int(rng.integers(start if rng.random() < 0.3 else len(good)))
    kind = rng.random()
    if kind < 0.7:
        data[place] ^= 1 << int(rng.integers(8))
    elif kind < 0.9:
        del data[max(1, place) :]
    else:
        data += rng.bytes(1 + int(rng.integers(20)))
    return bytes(data)


def test_header_and_payload_of_two_good_files(folder: Path, tmp_path: Path, nothing_left: Path) -> None:
    one, two = (split((folder / f"plain-{keep}").read_bytes()) for keep in (0.3, 0.4))
    refused(tmp_path / "file", join(one[0], two[1]), nothing_left)
    refused(tmp_path / "file", join(two[0], one[1]), nothing_left)


def resealed(
    data: bytes,
    change: Callable[[dict[str, Any]], None],
    payload: Callable[[dict[str, tuple[int, int]], bytearray], None] = lambda spans, data: None,
) -> bytes:
    """A file whose author changed what it says and made all hashes fit again."""
    header, body = split(data)
    entries = json.loads(header)
    content = json.loads(entries.pop("__metadata__")[KEY])["content"]
    spans = {name: tuple(entry["data_offsets"]) for name, entry in entries.items()}
    changed = bytearray(body)
    payload(spans, changed)
    content["payload_sha256"] = hashlib.sha256(changed).hexdigest()
    change(content)
    compact = lambda value: json.dumps(value, sort_keys=True, separators=(",", ":"))  # noqa: E731
    digest = hashlib.sha256(compact(content).encode()).hexdigest()
    text = compact({"content": content, "sha256": digest})
    shapes = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()}
    return join(header_bytes(shapes, {KEY: text}), bytes(changed))


HUGE = 2**40
Change = Callable[[dict[str, Any]], None]


def setting(path: tuple[str, ...], value: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


OF_A_TENSOR = ("tensors", NAME)
HOSTILE: dict[str, Change] = {
    "huge shape": setting((*OF_A_TENSOR, "shape"), [HUGE, HUGE]),
    "huge 1-D shape": setting((*OF_A_TENSOR, "shape"), [2**62]),
    "negative shape": setting((*OF_A_TENSOR, "shape"), [-32, -32]),
    "shape of words": setting((*OF_A_TENSOR, "shape"), "ab"),
    "another shape": setting((*OF_A_TENSOR, "shape"), [16, 64 + 8]),
    "more kept": setting((*OF_A_TENSOR, "kept"), 10**12),
    "one less kept": lambda content: content["tensors"][NAME].update(kept=content["tensors"][NAME]["kept"] - 1),
    "kept, not a number": setting((*OF_A_TENSOR, "kept"), True),
    "unknown way": setting((*OF_A_TENSOR, "how"), "pickle"),
    "dense without bytes": setting((*OF_A_TENSOR, "how"), "dense"),
    "unknown dtype": setting((*OF_A_TENSOR, "dtype"), "F128"),
    "whole numbers": setting((*OF_A_TENSOR, "dtype"), "I32"),
    "no shape": lambda content: content["tensors"][NAME].pop("shape"),
    "no base hash": lambda content: content["tensors"][NAME].pop("base_sha256"),
    "extra field": setting((*OF_A_TENSOR, "code"), "import os"),
    "shard that is not": setting((*OF_A_TENSOR, "shard"), 7),
    "shard outside": setting(("shards",), ["../model.safetensors"]),
    "shard outside, Windows": setting(("shards",), ["..\\model.safetensors"]),
    "absolute shard": setting(("shards",), ["/tmp/model.safetensors"]),
    "hidden shard": setting(("shards",), [".safetensors"]),
    "two shards alike": setting(("shards",), ["model.safetensors"] * 2),
    "same as itself": setting(
        OF_A_TENSOR, {"how": "same", "same_as": NAME, "dtype": "F32", "shape": [32, 32], "shard": 0, "sha256": "0" * 64}
    ),
    "a file outside": setting(("files", "../x.json"), {"sha256": "0" * 64, "size": 1}),
    "code": setting(("files", "modeling.py"), {"sha256": "0" * 64, "size": 1, "packed": 1}),
    "a huge file": setting(("files", "config.json", "size"), 2**40),
    "another file": setting(("files", "config.json", "size"), 3),
    "no such base": setting(("base",), None),
    "base without a name": setting(("base",), {"text": 3, "revision": None}),
    "restore to nothing": setting(("restore",), "nothing"),
    "restore to zero": setting(("restore",), "zero"),
    "a version to come": setting(("version",), 2),
    "no tensors": lambda content: content.pop("tensors"),
    "tensors in a list": setting(("tensors",), []),
    "a reserved name": lambda content: content["tensors"].update(__metadata__=content["tensors"]["classifier.bias"]),
    "another payload": setting(("payload_sha256",), "0" * 64),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_lies_with_fitting_hashes(folder: Path, case: str, tmp_path: Path, nothing_left: Path) -> None:
    good = (folder / "plain-0.3").read_bytes()
    data = resealed(good, HOSTILE[case])
    refused(tmp_path / "warm", data, nothing_left)
    tracemalloc.start()
    refused(tmp_path / "file", data, nothing_left)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24  # a read buffer and the file's own few kilobytes


def test_resealing_itself_is_no_damage(folder: Path, tmp_path: Path) -> None:
    """What the refusals above are measured against."""
    good = (folder / "plain-0.3").read_bytes()
    assert resealed(good, lambda content: None) == good
    (tmp_path / "file").write_bytes(good)
    assert NAME in open_subnetwork(tmp_path / "file")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"architectures": 3}', b"[" * 10**5])
def test_a_config_that_is_none(text: bytes, tmp_path: Path) -> None:
    from kencore import open_run
    from tests.support.runs import make_run

    run = make_run(tmp_path)
    (tmp_path / "pair" / "tuned" / "config.json").write_bytes(text)
    file = write_subnetwork(open_run(run.path), tmp_path / "file")
    assert inspect_subnetwork(file)["architecture"] is None


def test_masks_that_do_not_fit_their_values(folder: Path, tmp_path: Path, nothing_left: Path) -> None:
    good = (folder / "plain-0.3").read_bytes()

    def one_more(spans: dict[str, tuple[int, int]], body: bytearray) -> None:
        first, last = spans[f"{NAME}.bitmask"]
        byte = next(at for at in range(first, last) if body[at] != 255)
        body[byte] |= body[byte] + 1

    words = refused(tmp_path / "file", resealed(good, lambda content: None, one_more), nothing_left)
    assert f"a mask of {NAME} that keeps" in words


def test_bits_beyond_the_last_entry(tmp_path: Path, nothing_left: Path) -> None:
    from tests.exports.test_subnetwork import one_tensor_run

    rng = np.random.default_rng(1)
    tuned, base = (rng.integers(0, 2**30, (5, 5), dtype=np.uint32) for _ in range(2))
    keep = np.eye(5, dtype=bool)
    (tmp_path / "run").mkdir()
    run = one_tensor_run(tmp_path / "run", tuned, base, keep, "F32", False, "base")
    good = write_subnetwork(run, tmp_path / "good").read_bytes()

    def moved(spans: dict[str, tuple[int, int]], body: bytearray) -> None:
        first, last = spans["w.bitmask"]
        body[first] &= body[first] - 1  # one entry less
        body[last - 1] |= 0x80  # and one after the end

    words = refused(tmp_path / "file", resealed(good, lambda content: None, moved), nothing_left)
    assert "beyond its 25 weights" in words


def test_a_result_that_does_not_come_out(folder: Path, tmp_path: Path, nothing_left: Path) -> None:
    """Every hash of the file fits, only what is made of it is something else."""
    good = (folder / "plain-0.3").read_bytes()
    data = resealed(good, setting((*OF_A_TENSOR, "sha256"), "1" * 64))
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(CorruptSubnetworkError, match=f"{NAME} differs from what was written"):
        restore_subnetwork(tmp_path / "file", None, nothing_left / "model")
    with pytest.raises(CorruptSubnetworkError, match=f"{NAME} differs from what was written"):
        open_subnetwork(tmp_path / "file")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {KEY: "{}"}, {KEY: "[]"}, {KEY: "[" * 100_000}])
def test_other_safetensors_files(metadata: dict[str, str] | None, tmp_path: Path, nothing_left: Path) -> None:
    header = header_bytes({"w": ("F32", (2,))}, metadata)
    refused(tmp_path / "file", join(header, bytes(8)), nothing_left)


def test_a_second_key_of_metadata(folder: Path, tmp_path: Path, nothing_left: Path) -> None:
    header, payload = split((folder / "plain-0.3").read_bytes())
    entries = json.loads(header)
    entries["__metadata__"]["format"] = "pt"
    text = json.dumps(entries, separators=(",", ":")).encode()
    refused(tmp_path / "file", join(text + b" " * (-len(text) % 8), payload), nothing_left)


def test_the_same_content_written_otherwise(folder: Path, tmp_path: Path, nothing_left: Path) -> None:
    """One content has one form: what is between its words is noticed too."""
    header, payload = split((folder / "plain-0.3").read_bytes())
    entries = json.loads(header)
    text = json.dumps(json.loads(entries.pop("__metadata__")[KEY]), sort_keys=True, indent=1)
    shapes = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()}
    refused(tmp_path / "file", join(header_bytes(shapes, {KEY: text}), payload), nothing_left)


def test_no_file_and_no_subnetwork_file(tmp_path: Path, nothing_left: Path) -> None:
    for data in (b"", b"PK", b"\x80\x04K\x01.", bytes(100)):
        refused(tmp_path / "file", data, nothing_left)
    for path, reason in ((tmp_path / "none", "no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(CorruptSubnetworkError, match=reason):
            inspect_subnetwork(path)


def test_bombs(tmp_path: Path, nothing_left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    large = sealed(zstandard.ZstdCompressor().compress(bytes((1 << 26) + 1)))
    assert "a zstd frame of 67,108,865 bytes" in refused(file, large, nothing_left)
    silent = sealed(zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000)))
    assert "does not say how large" in refused(file, silent, nothing_left)
    bare = zstandard.ZstdCompressor().compress(bytes(1000))
    assert "another program wrote" in refused(file, bare, nothing_left)
    # frames that hold 1,000 bytes and say 300 and 1,300
    size = bare.index((1000 - 256).to_bytes(2, "little"))
    for said in (300, 1300):
        lying = bare[:size] + (said - 256).to_bytes(2, "little") + bare[size + 2 :]
        refused(file, sealed(lying), nothing_left)
    monkeypatch.setattr(subnetwork_zstd, "WINDOW", 1 << 10)
    wide = sealed(zstandard.ZstdCompressor(level=19).compress(bytes(10**6)))
    assert "of memory" in refused(file, wide, nothing_left)


def sealed(frame: bytes) -> bytes:
    """A frame that its author sealed."""
    return frame + subnetwork_zstd.SKIPPED + hashlib.sha256(frame).digest()


def test_any_decoder_unpacks_a_compressed_file(folder: Path) -> None:
    unpacked = zstandard.ZstdDecompressor().decompress((folder / "packed").read_bytes())
    assert unpacked == (folder / "plain-0.4").read_bytes()


def test_no_room_for_what_a_frame_holds(folder: Path, nothing_left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("Usage", (), {"free": 10})
    monkeypatch.setattr(subnetwork_zstd.shutil, "disk_usage", lambda place: full)
    with pytest.raises(StoreNotWritableError, match="10 bytes free"):
        inspect_subnetwork(folder / "packed")


def test_a_frame_that_would_be_refused_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subnetwork_zstd, "SMALL", 1000)
    for size, packed in ((1000, True), (100_000, False)):
        path = tmp_path / str(size)
        path.write_bytes(bytes(size))
        subnetwork_zstd.compress_file(path)
        assert subnetwork_zstd.is_zstd(path) == packed
    assert len(list(tmp_path.iterdir())) == 2


def test_without_zstandard_it_is_asked_for(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore import open_run

    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtraError, match=r"pip install"):
        inspect_subnetwork(folder / "packed")
    with pytest.raises(MissingExtraError):
        write_subnetwork(open_run(folder / "run-0.3"), tmp_path / "file", compress=True)
    assert list(tmp_path.iterdir()) == []
    assert inspect_subnetwork(folder / "plain-0.3")["version"] == 1
