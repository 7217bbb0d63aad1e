"""Runs with changed values, activations and a trace, and what is said when these do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch

from kencore.errors import CorruptRunError, MatrixNotFoundError, SchemaError
from kencore.runs import OPTIONAL
from kencore.runs.run import Run
from kencore.runs.writer import RunWriter
from kencore.views import window as views
from tests.support.runs import make_lm_run, make_run

NAME = "model.layers.1.mlp.gate_proj.weight"  # 48 x 32


@pytest.fixture(scope="module", params=["F16", "F32"])
def changed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose method changed what it kept."""
    return make_lm_run(tmp_path_factory.mktemp("changed"), "sparsegpt", dtype=request.param)


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[..., Run]:
    def make(method: str = "sparsegpt", **settings: object) -> Run:
        return make_lm_run(tmp_path, method, **settings)  # type: ignore[arg-type]

    return make


def by_hand(run: Run, name: str) -> np.ndarray:
    """The pruned matrix from the files alone, read by the library."""
    keep = np.unpackbits(load_file(run.path / "masks.safetensors")[name], axis=1, bitorder="little")[
        :, : run.shape(name)[1]
    ].astype(bool)
    stored = load_file(run.path / "values.safetensors")[name]
    values = np.zeros(keep.shape, stored.dtype)
    position = 0
    for row, column in np.argwhere(keep):
        values[row, column] = stored[position]
        position += 1
    assert position == len(stored)
    return values


def test_changed_values_are_applied_and_saved_bit_for_bit(changed: Run, tmp_path: Path) -> None:
    state = changed.apply()
    saved = load_torch(changed.save_pretrained(tmp_path / "model") / "model.safetensors")
    dense = load_torch(Path(changed.spec.model) / "model.safetensors")
    for name, tensor in dense.items():
        wanted = tensor
        if name in changed.pruned:
            wanted = torch.from_numpy(by_hand(changed, name))
            assert not torch.equal(wanted, tensor)
        for found in (state[name], saved[name]):
            assert found.dtype == wanted.dtype
            assert torch.equal(found, wanted)


def test_windows_of_changed_values(changed: Run) -> None:
    whole = by_hand(changed, NAME).astype(np.float32)
    for rows, columns in (
        (slice(None), slice(None)),
        (slice(5, 6), slice(None)),
        (slice(40, 48), slice(7, 31)),
        (slice(0, 0), slice(None)),
    ):
        found = changed.values(NAME, "pruned", rows, columns)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, whole[rows, columns])
    assert not np.array_equal(changed.values(NAME), whole)
    head = "lm_head.weight"
    np.testing.assert_array_equal(changed.values(head, "pruned"), changed.values(head))


def test_a_cell_shows_what_the_pruned_model_holds(changed: Run) -> None:
    whole = by_hand(changed, NAME)
    row, col = np.argwhere(changed.keep(NAME))[17]
    told = views.cell(changed, NAME, int(row), int(col))
    assert told["pruned"] == float(whole[row, col]) != told["tuned"]
    row, col = np.argwhere(~changed.keep(NAME))[17]
    assert views.cell(changed, NAME, int(row), int(col))["pruned"] == 0.0


def test_a_run_without_changed_values_shows_its_own(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    name = run.pruned[1]
    keep, tuned, base = run.keep(name), run.values(name), run.values(name, "base")
    np.testing.assert_array_equal(run.values(name, "pruned"), np.where(keep, tuned, base))
    assert (run.restore, run.kept_values) == ("base", None)
    assert (run.trace, run.activation_norms(name)) == (None, None)


def test_trace_and_activations_are_as_written(fresh: Callable[..., Run]) -> None:
    run = fresh("wanda")
    assert run.trace == json.loads((run.path / "trace.json").read_text())
    assert run.trace is not None
    assert run.trace["target_sparsity"] == run.spec.sparsity == 0.7
    norms = load_file(run.path / "activations.safetensors")
    found = run.activation_norms(NAME)
    assert found is not None
    for side, values in zip(("dense", "sparse"), found, strict=True):
        np.testing.assert_array_equal(values, norms[f"{NAME}.{side}"])
        assert values.shape == (run.shape(NAME)[1],)
    assert run.activation_norms("lm_head.weight") is None
    with pytest.raises(MatrixNotFoundError):
        run.activation_norms("nothing")


def test_made_up_runs_meet_their_total(fresh: Callable[..., Run]) -> None:
    for method, allocation in (("wanda", "neuroal"), ("magnitude", "owl"), ("wanda", "atp")):
        run = fresh(method, allocation=allocation)
        size = run.totals["pruned"]
        assert run.totals["reset"] == int(0.7 * size + 0.5)
        counts = [len(set(run.keep(name).sum(axis=1))) for name in run.pruned]
        assert (max(counts) > 2) == (allocation == "neuroal")


@pytest.mark.parametrize("file", OPTIONAL)
def test_what_is_optional_may_be_missing(fresh: Callable[..., Run], file: str) -> None:
    run = fresh("wanda")
    (run.path / file).unlink(missing_ok=True)
    again = Run(run.path)
    assert again.keep(NAME).shape == (48, 32)
    assert (again.trace is None) == (file == "trace.json")
    assert (again.activation_norms(NAME) is None) == (file == "activations.safetensors")


def test_a_method_that_changes_values_needs_them(fresh: Callable[..., Run]) -> None:
    run = fresh()
    (run.path / "values.safetensors").unlink()
    with pytest.raises(CorruptRunError, match="no values.safetensors"):
        Run(run.path)


@pytest.mark.parametrize("harm", ["short", "another", "noise", "cut"])
def test_values_that_do_not_fit_the_masks(fresh: Callable[..., Run], harm: str) -> None:
    run = fresh()
    path = run.path / "values.safetensors"
    values = load_file(path)
    if harm == "short":
        values[NAME] = values[NAME][1:].copy()
    elif harm == "another":
        values["other"] = values.pop(NAME)
    if harm in ("short", "another"):
        save_file(values, path)
    else:
        content = path.read_bytes()
        path.write_bytes(b"\xff" * 40 if harm == "noise" else content[:-3])
    with pytest.raises(CorruptRunError, match="values"):
        Run(run.path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "2"}', "{}"])
def test_a_trace_that_is_none(fresh: Callable[..., Run], content: str) -> None:
    run = fresh("wanda")
    (run.path / "trace.json").write_text(content)
    again = Run(run.path)  # masks and counts need no trace
    assert again.totals == run.totals
    with pytest.raises(CorruptRunError, match="trace.json"):
        _ = again.trace


def test_a_trace_of_a_newer_version_is_refused(fresh: Callable[..., Run]) -> None:
    run = fresh("wanda")
    (run.path / "trace.json").write_text('{"version": 99}')
    with pytest.raises(SchemaError, match=r"trace.json of run .* schema 99, made by a newer KEN_viz"):
        _ = Run(run.path).trace


@pytest.mark.parametrize("harm", ["shape", "dtype", "noise"])
def test_activations_that_do_not_fit(fresh: Callable[..., Run], harm: str) -> None:
    run = fresh("wanda")
    path = run.path / "activations.safetensors"
    norms = load_file(path)
    key = f"{NAME}.sparse"
    norms[key] = norms[key][1:].copy() if harm == "shape" else norms[key].astype(np.float64)
    if harm == "noise":
        path.write_bytes(b"\xff" * 40)
    else:
        save_file(norms, path)
    with pytest.raises(CorruptRunError, match="activations"):
        Run(run.path).activation_norms(NAME)


def test_a_run_from_before_there_were_allocations_opens(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    file = run.path / "matrices.parquet"
    table = pq.read_table(file)
    assert table.schema.field("target_keep").type == pa.float64()
    pq.write_table(table.drop_columns(["target_keep"]), file)
    record = {key: value for key, value in run.record.items() if key != "version"}
    (run.path / "record.json").write_text(json.dumps(record))
    again = Run(run.path)
    assert again.matrices["target_keep"].isna().all()
    assert again.matrices["target_keep"].dtype == np.float64
    assert again.totals == run.totals


SHAPES = {"a": (2, 3), "b": (1, 4)}


def test_values_of_other_matrices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other matrices"):
        RunWriter(tmp_path / "run", SHAPES, {"a": ("F32", 2)})


def test_another_number_of_values_than_announced_is_refused(tmp_path: Path) -> None:
    values = {"a": ("F32", 2), "b": ("F32", None)}
    with RunWriter(tmp_path / "run", SHAPES, values) as writer, pytest.raises(ValueError, match="3 values of a, not 2"):
        writer.add_values("a", np.zeros(3, np.float32))
    assert list(tmp_path.iterdir()) == []
