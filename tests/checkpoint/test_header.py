"""The header check against files broken one way each, and against the safetensors library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kencore.checkpoint.header import read_header
from kencore.errors import CorruptShardError
from tests.checkpoint.files import entry, small, write

GOOD = {"a": entry("F32", [2], 0, 8), "b": entry("F16", [2, 2], 8, 16)}


def test_reads_what_safetensors_writes(tmp_path: Path) -> None:
    arrays = {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scalar": np.array(1.5),
        "empty": np.zeros((0, 4), np.float16),
        "whole": np.array([1, 2], np.int64),
    }
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = {info.name: info for info in read_header(tmp_path / "x.safetensors")}
    assert {name: info.shape for name, info in found.items()} == {
        "matrix": (2, 3),
        "scalar": (),
        "empty": (0, 4),
        "whole": (2,),
    }
    assert {name: info.dtype for name, info in found.items()} == {
        "matrix": "F32",
        "scalar": "F64",
        "empty": "F16",
        "whole": "I64",
    }
    assert {name: info.elements for name, info in found.items()} == {"matrix": 6, "scalar": 1, "empty": 0, "whole": 2}
    assert found["matrix"].nbytes == 24


@pytest.mark.parametrize(
    ("header", "data", "length", "said"),
    [
        (b"", b"", 0, "not JSON"),
        (b"{}", b"", 2**62, "no safetensors file"),
        (b"{}", b"", 50, "cut off"),
        (b"{not json}", b"", None, "not JSON"),
        (b"\xff\xfe", b"", None, "not JSON"),
        (b"[" * 100_000, b"", None, "not JSON"),
        (b"[]", b"", None, "not a JSON object"),
        (b'{"a": 1}', b"", None, "'a' without a readable entry"),
        (b'{"a": {"dtype": "F32"}}', b"", None, "'a' without a readable entry"),
        (json.dumps(GOOD)[:-1].encode() + b', "a": {}}', bytes(16), None, "occurs twice"),
        ({"a": entry("F32", [2], 0, 8)}, bytes(4), None, "cut off inside tensor 'a'"),
        ({"a": entry("F32", [2], 0, 8)}, bytes(12), None, "4 bytes after the last tensor"),
        ({"a": entry("F32", [3], 0, 8)}, bytes(8), None, "'a' at bytes 0 to 8"),
        ({"a": entry("F32", [2], 8, 0)}, bytes(8), None, "'a' at bytes 8 to 0"),
        ({"a": entry("F32", [2], -8, 0)}, bytes(8), None, "'a' at bytes -8 to 0"),
        ({"a": entry("F32", [-2], 0, 8)}, bytes(8), None, "'a' of shape [-2]"),
        ({"a": entry("F32", [2.0], 0, 8)}, bytes(8), None, "'a' of shape [2.0]"),
        ({"a": entry("F32", [True], 0, 4)}, bytes(4), None, "'a' of shape [True]"),
        ({"a": entry("F32", [1] * 65, 0, 4)}, bytes(4), None, "'a' of 65 dimensions"),
        ({"a": entry("F32", [2**62] * 1000, 0, 4)}, bytes(4), None, "'a' of 1,000 dimensions"),
        ({"a": entry("F32", [10**12, 0], 0, 0)}, b"", None, "without a value"),
        ({"a": entry("F33", [2], 0, 8)}, bytes(8), None, "dtype 'F33'"),
        (GOOD | {"b": entry("F32", [2], 4, 12)}, bytes(12), None, "'b' overlaps"),
        (GOOD | {"b": entry("F32", [2], 12, 20)}, bytes(20), None, "'b' leaves a gap"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, header: object, data: bytes, length: int | None, said: str) -> None:
    path = write(tmp_path / "x.safetensors", header, data, length=length)
    with pytest.raises(CorruptShardError) as caught:
        read_header(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("size", [0, 3, 7])
def test_a_file_shorter_than_the_length_field(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(bytes(size))
    with pytest.raises(CorruptShardError, match=f"only {size} bytes"):
        read_header(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptShardError, match="No such file"):
        read_header(tmp_path / "x.safetensors")


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    whole = small(tmp_path / "whole.safetensors", "a", "b").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "x.safetensors").write_bytes(whole[:size])
        with pytest.raises(CorruptShardError):
            read_header(tmp_path / "x.safetensors")


ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "U8", "F4", "F8_E4M3", "F99", "f32"]),
        "shape": st.lists(st.integers(-1, 4), max_size=3),
        "data_offsets": st.lists(st.integers(0, 24), min_size=1, max_size=3),
    }
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.dictionaries(st.sampled_from("abc"), ENTRIES, max_size=3), size=st.integers(0, 24))
def test_accepts_exactly_what_the_library_accepts(tmp_path: Path, header: dict[str, object], size: int) -> None:
    path = write(tmp_path / "x.safetensors", header, bytes(size))
    assert _ours(path) == _theirs(path)


@st.composite
def near_misses(draw: st.DrawFn) -> tuple[dict[str, object], int]:
    """Headers that are right but for, at most, one moved number."""
    at, header = 0, {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        shape = draw(st.lists(st.integers(0, 3), max_size=2))
        size = 4 * int(np.prod(shape, dtype=int))
        header[name] = entry("F32", shape, at, at + size)
        at += size
    victim = header[draw(st.sampled_from(sorted(header)))]
    field = draw(st.sampled_from(["shape", "data_offsets"]))
    if victim[field]:
        place = draw(st.integers(0, len(victim[field]) - 1))
        victim[field][place] = max(0, victim[field][place] + draw(st.integers(-4, 4)))
    return header, at + draw(st.sampled_from([0, 0, 0, -1, 1]))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=near_misses())
def test_agrees_with_the_library_on_near_misses(tmp_path: Path, case: tuple[dict[str, object], int]) -> None:
    header, size = case
    path = write(tmp_path / "x.safetensors", header, bytes(max(size, 0)))
    assert _ours(path) == _theirs(path)


def _ours(path: Path) -> dict[str, tuple[int, ...]] | None:
    try:
        return {info.name: info.shape for info in read_header(path)}
    except CorruptShardError:
        return None


def _theirs(path: Path) -> dict[str, tuple[int, ...]] | None:
    try:
        with safe_open(path, "np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError:
        return None
