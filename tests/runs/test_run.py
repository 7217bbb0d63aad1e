"""Run folders: where they are written, and what is left of them without their models."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, open_run, prune
from kencore.checkpoint.tensors import round_to
from kencore.errors import (
    CheckpointChangedError,
    CorruptRunError,
    RunExistsError,
    SourceNotFoundError,
    StoreNotWritableError,
)
from tests.support.tiny_models import save_pair


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(base, tuned) folders of a tiny BERT classifier."""
    return save_pair("bert", tmp_path_factory.mktemp("bert"))


def spec_of(pair: tuple[Path, Path]) -> PruneSpec:
    return PruneSpec(model=str(pair[1]), base=str(pair[0]), keep=0.5)


def test_of_two_prunes_into_one_folder_the_later_is_told_so(bert: tuple[Path, Path], tmp_path: Path) -> None:
    spec, out = spec_of(bert), tmp_path / "run"
    first = []

    def interfere(done: float, total: float, message: str) -> None:
        if message.startswith("Pruning") and not first:
            first.append(prune(spec, out=out))

    with pytest.raises(RunExistsError, match="there already"):
        prune(spec, out=out, progress=interfere)
    assert open_run(out).totals == first[0].totals
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_link_to_an_empty_folder_and_the_current_folder_can_be_written(
    bert: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("empty", "here"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    run = prune(spec_of(bert), out=tmp_path / "link")
    assert open_run(tmp_path / "link").totals == run.totals
    monkeypatch.chdir(tmp_path / "here")
    assert prune(spec_of(bert), out=".").id == "here"


def test_a_name_too_long_for_a_folder(bert: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(StoreNotWritableError, match="too long"):
        prune(spec_of(bert), out=tmp_path / ("x" * 300))


def test_a_run_outlives_its_models(bert: tuple[Path, Path], tmp_path: Path) -> None:
    pair = shutil.copytree(bert[0], tmp_path / "base"), shutil.copytree(bert[1], tmp_path / "tuned")
    name = "bert.pooler.dense.weight"
    mask = prune(spec_of(pair), out=tmp_path / "run").keep(name)
    shutil.rmtree(pair[1])
    run = open_run(tmp_path / "run")
    assert np.array_equal(run.keep(name), mask)
    assert run.values(name, "base").shape == mask.shape
    with pytest.raises(SourceNotFoundError, match="the tuned model of run run: it is gone"):
        run.values(name)


def test_values_of_another_shape_are_not_shown(tmp_path: Path) -> None:
    pair = save_pair("bert", tmp_path)
    run = prune(spec_of(pair))
    file = pair[1] / "model.safetensors"
    tensors = load_file(file)
    tensors["bert.pooler.dense.weight"] = torch.zeros(64, 64)
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(CheckpointChangedError, match="bert.pooler.dense.weight"):
        open_run(run.path).values("bert.pooler.dense.weight")


def test_a_twin_that_changed_is_refused(tmp_path: Path) -> None:
    pair = save_pair("gpt2", tmp_path)
    files = [folder / "model.safetensors" for folder in pair]
    for file in files:  # tied, but stored twice
        tensors = load_file(file)
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
        save_file(tensors, file, {"format": "pt"})
    run = prune(spec_of(pair))
    state = run.apply()
    assert torch.equal(state["lm_head.weight"], state["transformer.wte.weight"])
    assert not torch.equal(state["lm_head.weight"], load_file(files[1])["lm_head.weight"])
    tensors = load_file(files[1])
    twin = next(name for name, owner in run._owner.items() if name != owner)
    tensors[twin][0, 0] += 1
    save_file(tensors, files[1], {"format": "pt"})
    with pytest.raises(CheckpointChangedError, match=twin):
        open_run(run.path).apply()


def test_a_record_that_names_no_models(bert: tuple[Path, Path]) -> None:
    run = prune(spec_of(bert))
    (run.path / "record.json").write_text("{}", "utf-8")
    with pytest.raises(CorruptRunError, match="names no tuned model"):
        open_run(run.path).values(run.pruned[0])


def test_an_unreadable_table_of_rows(bert: tuple[Path, Path]) -> None:
    run = prune(spec_of(bert))
    (run.path / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorruptRunError, match="rows.parquet"):
        open_run(run.path).rows(run.pruned[0])


@pytest.mark.parametrize("dtype", [torch.float8_e8m0fnu, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.complex64])
def test_tensors_of_rare_dtypes_are_passed_on(dtype: torch.dtype, tmp_path: Path) -> None:
    pair = save_pair("bert", tmp_path)
    scale = torch.tensor([1.0, 2.0, 4.0]).to(dtype)
    for folder in pair:
        file = folder / "model.safetensors"
        save_file(load_file(file) | {"scale": scale}, file, {"format": "pt"})
    run = prune(spec_of(pair))
    saved = load_file(run.save_pretrained(tmp_path / "pruned") / "model.safetensors")
    for found in (saved["scale"], run.apply()["scale"]):
        assert found.dtype == dtype
        assert found.view(torch.uint8).equal(scale.view(torch.uint8))


def test_rounding_hides_no_nan() -> None:
    odd = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x3F800000], np.uint32).view(np.float32)
    rounded = round_to(odd, "BF16")
    assert np.isnan(rounded[:2]).all()
    assert rounded[2] == 1


def test_nobody_is_told_to_delete_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")  # somebody's model
    with pytest.raises(CorruptRunError, match="Check the path") as error:
        open_run(tmp_path)
    assert "Delete" not in str(error.value)
