"""Reading tensors by slice, against safetensors' and torch's own reading."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from kencore.checkpoint.tensors import open_tensors, same_bytes
from kencore.errors import CheckpointError, CorruptShardError, ShapeError
from tests.checkpoint.conftest import Pairs
from tests.checkpoint.files import entry, small, write
from tests.support.tiny_models import save_pair

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}


def test_the_web_process_needs_no_torch_to_read_weights() -> None:
    code = (
        "import sys\n"
        "import kencore.checkpoint.tensors, kencore.checkpoint.source\n"
        "heavy = {'torch', 'transformers', 'numba', 'scipy', 'huggingface_hub'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(sorted(DTYPES)),
    shape=st.lists(st.integers(0, 7), min_size=1, max_size=3),
    bounds=st.tuples(*[st.integers(-8, 8)] * 4),
    seed=st.integers(0, 2**31),
)
def test_slices_equal_the_library_s_reading(
    tmp_path: Path, dtype: str, shape: list[int], bounds: tuple[int, ...], seed: int
) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DTYPES[dtype])
    save_file({"a": torch.zeros(1, dtype=torch.float16), "x": values}, _path(tmp_path))
    rows, cols = slice(*sorted(bounds[:2])), slice(*sorted(bounds[2:]))
    with safe_open(_path(tmp_path), "pt") as file, open_tensors(tmp_path) as tensors:
        part = file.get_slice("x")
        expected = part[:].float().numpy()
        assert _same(tensors.floats("x"), expected)
        assert _same(tensors.floats("x", rows), expected[rows])
        if len(shape) > 1:
            assert _same(tensors.floats("x", rows, cols), expected[rows, cols])
        assert tensors.info("x").dtype == part.get_dtype() == dtype
        assert list(tensors.info("x").shape) == part.get_shape() == shape


def _path(folder: Path) -> Path:
    return folder / "model.safetensors"


def _same(found: np.ndarray, expected: np.ndarray) -> bool:
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.flags.writeable
    return found.shape == expected.shape and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("shift", range(8))
def test_data_need_not_be_aligned(tmp_path: Path, shift: int) -> None:
    header = json.dumps({"a": entry("F64", [2], 0, 16)}).encode() + b" " * shift
    write(_path(tmp_path), header, np.array([1.5, -2.5]).tobytes())
    assert open_tensors(tmp_path).floats("a").tolist() == [1.5, -2.5]


def test_every_bfloat16_becomes_its_float32(tmp_path: Path) -> None:
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    save_file({"x": bits}, _path(tmp_path))
    found = open_tensors(tmp_path).floats("x")
    expected = bits.float().numpy()
    # NaN, infinity, minus zero and denormals included
    assert found.view(np.uint32).tolist() == expected.view(np.uint32).tolist()


def test_a_double_beyond_float32_is_infinite_and_not_an_error(tmp_path: Path) -> None:
    save_file({"x": torch.tensor([1e300, -1e300], dtype=torch.float64)}, _path(tmp_path))
    assert open_tensors(tmp_path).floats("x").tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize(
    "dtype",
    [
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
        torch.complex64,
    ],
)
def test_other_dtypes_are_listed_and_read_as_bits_but_not_as_weights(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype)
    save_file({"x": values}, _path(tmp_path))
    tensors = open_tensors(tmp_path)
    assert tensors.info("x").shape == tensors.raw("x").shape == (2, 3)
    assert tensors.raw("x").tobytes() == values.view(torch.uint8).numpy().tobytes()
    with pytest.raises(ShapeError, match=f"dtype {tensors.info('x').dtype}"):
        tensors.floats("x")


def test_raw_keeps_the_bits(tmp_path: Path) -> None:
    values = torch.randn(4, 3).bfloat16()
    save_file({"x": values}, _path(tmp_path))
    raw = open_tensors(tmp_path).raw("x", slice(1, 3))
    assert raw.dtype == np.uint16
    assert raw.tolist() == values[1:3].view(torch.uint16).tolist()
    with pytest.raises(ValueError, match="read-only"):
        raw[0, 0] = 0


def test_matrices_have_outputs_as_rows(tmp_path: Path) -> None:
    conv = torch.randn(3, 5)  # inputs x outputs, as Conv1D stores it
    save_file({"m": conv, "v": torch.arange(4.0), "cube": torch.zeros(2, 2, 2)}, _path(tmp_path))
    tensors = open_tensors(tmp_path)
    part = tensors.matrix("m", transposed=True, rows=slice(1, 4), cols=slice(0, 2))
    assert part.flags.c_contiguous
    assert np.array_equal(part, conv.T[1:4, 0:2].numpy())
    assert np.array_equal(tensors.matrix("m", rows=slice(0, 2)), conv[0:2].numpy())
    assert tensors.matrix("v").tolist() == [[0, 1, 2, 3]]
    assert tensors.matrix("v", rows=slice(0, 1), cols=slice(1, 3)).tolist() == [[1, 2]]
    with pytest.raises(ShapeError, match=r"shape \(2, 2, 2\)"):
        tensors.matrix("cube")
    with pytest.raises(ShapeError, match="columns"):
        tensors.floats("v", cols=slice(0, 1))


def test_shards_hold_what_the_single_file_holds(tmp_path: Path) -> None:
    _, whole = save_pair("llama", tmp_path / "whole")
    _, parts = save_pair("llama", tmp_path / "parts", max_shard_size="20KB")
    assert len(list(parts.glob("*.safetensors"))) > 2
    one, many = open_tensors(whole), open_tensors(parts)
    assert one.names == many.names
    assert one.nbytes == many.nbytes
    assert len(many.shards) == len(list(parts.glob("*.safetensors")))
    for name in one.names:
        assert same_bytes(one, name, many, name)
        assert one.sha256(name) == many.sha256(name)


def test_sha256_is_that_of_the_stored_bytes(tmp_path: Path) -> None:
    import hashlib

    values = torch.randn(5, 7).half()
    save_file({"x": values, "none": torch.zeros(0)}, _path(tmp_path))
    tensors = open_tensors(tmp_path)
    assert tensors.sha256("x") == hashlib.sha256(values.numpy().tobytes()).hexdigest()
    assert tensors.sha256("none") == hashlib.sha256(b"").hexdigest()


def test_same_bytes_looks_at_dtype_shape_and_every_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kencore.checkpoint.tensors.COMPARE_AT_ONCE", 4)
    x = torch.arange(10.0)
    last = x.clone()
    last[-1] += 1
    nan = torch.full((10,), torch.nan)
    save_file(
        {
            "x": x,
            "copy": x.clone(),
            "last": last,
            "flat": x.reshape(2, 5).clone(),
            "half": x.half(),
            "zero": torch.zeros(10),
            "minus": -torch.zeros(10),
            "nan": nan,
            "nan2": nan.clone(),
        },
        _path(tmp_path),
    )
    tensors = open_tensors(tmp_path)
    same = {name for name in tensors.names if same_bytes(tensors, "x", tensors, name)}
    assert same == {"x", "copy"}
    assert not same_bytes(tensors, "zero", tensors, "minus")
    assert same_bytes(tensors, "nan", tensors, "nan2")


def test_an_unknown_name_suggests_close_ones(pairs: Pairs) -> None:
    tensors = open_tensors(pairs("bert")[1])
    with pytest.raises(CheckpointError, match=r"Did you mean .*classifier\.weight"):
        tensors.floats("clasifier.weight")


def test_a_file_cut_while_it_is_open_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    path = small(_path(tmp_path), "a", "b")
    tensors = open_tensors(tmp_path)
    tensors.floats("a")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 8)
    assert tensors.floats("a").tolist() == [0, 0]
    with pytest.raises(CorruptShardError, match="as when it was opened"):
        tensors.floats("b")


def test_a_file_replaced_while_it_is_open_leaves_the_old_one_readable(tmp_path: Path) -> None:
    save_file({"x": torch.ones(3)}, _path(tmp_path))
    tensors = open_tensors(tmp_path)
    tensors.floats("x")
    save_file({"x": torch.zeros(3)}, tmp_path / "new")
    (tmp_path / "new").replace(_path(tmp_path))
    assert tensors.floats("x").tolist() == [1, 1, 1]


def test_closing(tmp_path: Path) -> None:
    small(_path(tmp_path), "a")
    with open_tensors(tmp_path) as tensors:
        kept = tensors.raw("a")
    assert kept.tolist() == [0, 0]
    with pytest.raises(ValueError, match="closed"):
        tensors.floats("a")


def test_opening_reads_headers_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(_path(tmp_path), "a", "b")
    monkeypatch.setattr("kencore.checkpoint.tensors._map", lambda path: pytest.fail("mapped"))
    tensors = open_tensors(tmp_path)
    assert tensors.names == ("a", "b")
    assert [tensors.info(name).nbytes for name in tensors.names] == [8, 8]
    assert "a" in tensors
    assert len(tensors) == 2
