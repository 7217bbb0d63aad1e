"""Changed entries of a run, and adapters of its low-rank changes, put onto the base again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from kencore import Run
from kencore.checkpoint.source import resolve
from kencore.codes.table import decode
from kencore.errors import SpecError
from kencore.exports.export import export
from kencore.exports.updates import KEY, apply_updates
from tests.exports.test_subnetwork import same_bits
from tests.pruning.test_by_bytes import coded
from tests.support.runs import make_run


def base_state(run: Run) -> dict[str, torch.Tensor]:
    return load_file(Path(run.base_tensors.folder) / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "dtype"), [("bert", torch.float32), ("gpt2", torch.bfloat16), ("qwen3", torch.float16)]
)
def test_updates_make_the_run_of_the_base_bit_for_bit(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    run = coded(tmp_path, name, dtype=dtype, bits=9)
    facts = export(run.path, tmp_path / "updates.safetensors", "sparse-delta")
    base = base_state(run)
    before = {key: value.clone() for key, value in base.items()}
    found = apply_updates(facts["file"], base)
    expected = run.apply()
    same_bits({key: found[key] for key in expected}, expected)
    same_bits(base, before)  # the caller's own
    with safe_open(facts["file"], framework="pt") as file:
        assert json.loads(file.metadata()[KEY])["version"] == 1
        for key in file.keys():  # noqa: SIM118 - no mapping
            if key.endswith(".indices"):
                places = file.get_tensor(key)
                assert (places.diff() > 0).all()
                assert len(places) == len(file.get_tensor(f"{key[:-8]}.values"))


def test_only_what_changed_is_in_it(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    facts = export(run.path, tmp_path / "updates.safetensors", "sparse-delta")
    with safe_open(facts["file"], framework="numpy") as file:
        stored = {key[:-8]: file.get_tensor(key) for key in file.keys() if key.endswith(".indices")}  # noqa: SIM118
    assert set(stored) >= set(run.pruned)
    for name in run.pruned:
        places = stored[name]
        changed = np.flatnonzero((run.keep(name) & (run.values(name, "difference") != 0)).reshape(-1))
        assert places.tolist() == changed.tolist()


def test_an_adapter_has_the_factors_and_merges_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))
    run = coded(tmp_path, "bert", bits=14, code="lowrank")
    facts = export(run.path, tmp_path / "lora", "lora")
    made = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert config["rank_pattern"] == config["alpha_pattern"]
    served = [name for name in run.codes if f"base_model.model.{name[:-7]}.lora_A.weight" in made]
    assert served
    for name in served:
        a, b = (made[f"base_model.model.{name[:-7]}.lora_{side}.weight"].double().numpy() for side in "AB")
        assert np.array_equal(a, np.rint(a))
        values = decode(run.codes[name])[0]
        assert np.abs(b @ a - values).max() <= 1e-6 * np.abs(values).max()
    merged = load_file(resolve(str(tmp_path / "lora")).folder / "model.safetensors")
    applied = run.apply()
    for name in served:
        assert torch.allclose(merged[name], applied[name], rtol=0, atol=1e-6)
    assert set(facts["left_out"]) == {name for name in run.codes if run.codes[name].code != "none"} - set(served)


def test_a_run_without_low_rank_has_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="without a matrix in low rank"):
        export(make_run(tmp_path).path, tmp_path / "lora", "lora")
    assert not (tmp_path / "lora").exists()
