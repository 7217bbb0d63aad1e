"""The streamed safetensors file against the library's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save_file

from kencore.checkpoint.write import SafetensorsWriter, VectorsWriter

DTYPES = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I64": np.int64, "F64": np.float64}
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9)


@given(st.lists(st.tuples(st.sampled_from(sorted(DTYPES)), shapes), min_size=1, max_size=6), st.data())
def test_the_library_reads_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, tensors: list[tuple[str, tuple[int, ...]]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("stream") / "file.safetensors"
    wanted = {f"tensor.{i}": data.draw(hnp.arrays(DTYPES[dtype], shape)) for i, (dtype, shape) in enumerate(tensors)}
    entries = {f"tensor.{i}": spec for i, spec in enumerate(tensors)}
    with SafetensorsWriter(path, entries, {"format": "pt"}) as writer:
        for name, values in wanted.items():
            half = len(values) // 2 if values.ndim else 0
            for part in (values[:half], values[half:]) if half else (values,):
                writer.write(name, part)
    found = load_file(path)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name].shape == values.shape
        assert found[name].tobytes() == values.tobytes()


def test_the_same_tensors_are_the_same_bytes_as_the_library_reads_them(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    save_file({"w": values}, tmp_path / "library")
    for name in ("one", "two"):
        with SafetensorsWriter(tmp_path / name, {"w": ("F32", (3, 4))}) as writer:
            writer.write("w", values)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    np.testing.assert_array_equal(load_file(tmp_path / "one")["w"], load_file(tmp_path / "library")["w"])


def test_what_was_announced_must_be_written_in_order_and_whole(tmp_path: Path) -> None:
    entries = {"a": ("F32", (2,)), "b": ("F32", (2,))}
    writer = SafetensorsWriter(tmp_path / "file", entries)
    with pytest.raises(ValueError, match="'a' comes next"):
        writer.write("b", np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="12 bytes"):
        writer.write("a", np.zeros(3, np.float32))
    writer.write("a", np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="not written whole: b"):
        writer.close()


vectors = st.lists(
    st.tuples(st.sampled_from(sorted(DTYPES)), st.integers(0, 40), st.integers(0, 10**9)), min_size=0, max_size=6
)


@given(vectors, st.data())
def test_vectors_of_lengths_that_nobody_knew(
    tmp_path_factory: pytest.TempPathFactory, tensors: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("stream") / "file.safetensors"
    wanted = {
        f"tensor.{i}": data.draw(hnp.arrays(DTYPES[dtype], length)) for i, (dtype, length, _) in enumerate(tensors)
    }
    most = {f"tensor.{i}": (dtype, n + spare) for i, (dtype, n, spare) in enumerate(tensors)}
    writer = VectorsWriter(path, most)
    for name, values in wanted.items():
        writer.write(name, values)
    writer.close()
    found = load_file(path)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype
        assert found[name].tobytes() == values.tobytes()
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_vectors_are_written_in_order_whole_and_as_announced(tmp_path: Path) -> None:
    writer = VectorsWriter(tmp_path / "file", {"a": ("F32", 9), "b": ("F16", 9)})
    for name, values in (
        ("b", np.zeros(3, np.float16)),  # not its turn
        ("a", np.zeros((3, 3), np.float32)),  # a matrix
        ("a", np.zeros(3, np.float16)),  # of another width
    ):
        with pytest.raises(ValueError, match=name):
            writer.write(name, values)
    writer.write("a", np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="not written: b"):
        writer.close()
