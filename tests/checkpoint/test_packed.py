"""Packed weights are refused with the name of their format, or unpacked to what they stand for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec
from kencore.checkpoint.convert import convert
from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.packed import packed_in
from kencore.checkpoint.pair import open_models
from kencore.checkpoint.source import resolve
from kencore.errors import (
    CheckpointError,
    NonFiniteWeightError,
    PackedWeightsError,
    RunExistsError,
    SpecError,
    StoreNotWritableError,
)
from kencore.models.inspect import inspect
from kencore.models.language import LanguageModel
from tests.checkpoint.files import rewrite
from tests.support.packed import REFUSED, UNPACKED, meant, save_packed
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_tokenizer(save_pair("llama", tmp_path_factory.mktemp("llama"))[1])


@pytest.mark.parametrize("form", REFUSED)
def test_packed_weights_are_refused_by_name(plain: Path, tmp_path: Path, form: str) -> None:
    folder = save_packed(plain, tmp_path / "m", form)
    word = REFUSED[form][1]
    with pytest.raises(PackedWeightsError, match=f"weights packed as {word};") as caught:
        open_models(PruneSpec(model=str(folder), method="magnitude", keep=0.5))
    assert "Pass the model that it was quantised from" in caught.value.remedy
    with pytest.raises(PackedWeightsError):
        LanguageModel.load(folder, device="cpu")
    with pytest.raises(PackedWeightsError):
        convert(str(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", [*REFUSED, *UNPACKED])
def test_nothing_of_a_packed_model_counts_as_prunable(plain: Path, tmp_path: Path, form: str) -> None:
    folder = save_packed(plain, tmp_path, form)
    layout = read_layout(folder)
    assert layout.prunable == ()
    layers = {p.name: p.reason for p in layout.parameters if "_proj" in p.name}
    assert layers
    for name, reason in layers.items():
        assert "part of a layer packed" in reason or "stored as" in reason, name
    told = inspect(str(folder))
    assert told["parameters"]["prunable"] == 0
    assert not any("random" in note or "another shape" in note for note in told["notes"])
    assert told["notes"][-1].startswith(("Pass the model that", "Unpack it: python -m kencore convert "))


@pytest.mark.parametrize("form", UNPACKED)
def test_numbers_times_scales_become_weights(plain: Path, tmp_path: Path, form: str) -> None:
    folder = save_packed(plain, tmp_path / "m", form)
    with pytest.raises(PackedWeightsError, match="python -m kencore convert"):
        open_models(PruneSpec(model=str(folder), method="magnitude", keep=0.5))
    facts = convert(str(folder), tmp_path / "out")
    before, after = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "out"))
    assert after.keys() == load_file(plain / "model.safetensors").keys()
    unpacked = 0
    for name, tensor in after.items():
        assert tensor.dtype == torch.float32
        if "_proj" in name:
            torch.testing.assert_close(tensor.double(), meant(before, name), rtol=2e-7, atol=0)
            unpacked += tensor.numel()
        else:
            assert torch.equal(tensor, before[name].float())
    assert (facts["unpacked"], facts["rounded"], facts["dtype"]) == (unpacked, 0, "float32")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "float32"
    assert f"{unpacked:,} were packed" in (tmp_path / "out" / "README.md").read_text()
    assert packed_in(tmp_path / "out") is None
    open_models(PruneSpec(model=str(tmp_path / "out"), method="magnitude", keep=0.5)).close()
    model = LanguageModel.load(tmp_path / "out", device="cpu").model
    assert torch.equal(model.state_dict()["model.norm.weight"], after["model.norm.weight"])


@pytest.mark.parametrize("settings", [{"quant_method": "gptq"}, {"quant_method": "bitsandbytes"}, {"bits": 4}])
def test_a_config_that_fits_no_weight_is_refused_and_can_be_cleared(
    plain: Path, tmp_path: Path, settings: dict[str, object]
) -> None:
    folder = rewrite(plain, tmp_path / "m", quantization_config=settings)
    with pytest.raises(PackedWeightsError, match=r"plain weights, but a config\.json that says"):
        resolve(str(folder))
    convert(str(folder), tmp_path / "out")
    resolve(str(tmp_path / "out"))
    one, two = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "out"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_weights_that_are_quantised_as_the_model_runs_are_not_cleared(plain: Path, tmp_path: Path) -> None:
    folder = rewrite(plain, tmp_path / "m", quantization_config={"quant_method": "bitnet"})
    with pytest.raises(PackedWeightsError, match="as they run"):
        convert(str(folder), tmp_path / "out")


@pytest.mark.parametrize("form", ["gptq", "bitsandbytes, config silent", "mxfp4", "fp8 by block", "int8 with SCB"])
def test_a_packed_base_of_a_plain_model_is_refused(plain: Path, tmp_path: Path, form: str) -> None:
    base = save_packed(plain, tmp_path, form)
    with pytest.raises(PackedWeightsError) as caught:
        open_models(PruneSpec(model=str(plain), base=str(base), method="delta", keep=0.5))
    assert caught.value.subject == str(base)
    with pytest.raises(CheckpointError):
        inspect(str(plain), str(base))


@pytest.mark.parametrize(
    ("name", "tensor", "packed"),
    [
        ("model.layers.0.self_attn.bias", torch.zeros(4, 4, dtype=torch.uint8), False),  # a mask, as GPT-2 has
        ("model.embeddings.position_ids", torch.zeros(1, 8, dtype=torch.int64), False),
        ("logit_scale", torch.ones(()), False),
        ("model.layers.0.layer_scale", torch.ones(4), False),
        ("model.layers.0.norm.scales", torch.ones(4, 4), False),
        ("model.layers.0.mlp.up_proj.weight_scale", torch.ones(48, 1), True),  # beside plain weights
        ("model.layers.0.mlp.extra.weight", torch.zeros(4, 4, dtype=torch.int8), True),
        ("model.layers.0.mlp.extra.weight", torch.zeros(4, 4, dtype=torch.float8_e5m2), True),
    ],
)
def test_what_stands_beside_plain_weights(
    plain: Path, tmp_path: Path, name: str, tensor: torch.Tensor, packed: bool
) -> None:
    folder = rewrite(plain, tmp_path, lambda state: state | {name: tensor})
    assert (packed_in(folder) is not None) == packed


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_plain_model_in_another_dtype(plain: Path, tmp_path: Path, dtype: str) -> None:
    facts = convert(str(plain), tmp_path / "out", dtype=dtype)
    wanted = {name: tensor.to(getattr(torch, dtype)) for name, tensor in load_file(plain / "model.safetensors").items()}
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    changed = sum(int((wanted[n].float() != t).sum()) for n, t in load_file(plain / "model.safetensors").items())
    assert facts["rounded"] == changed
    assert (changed == 0) == (dtype == "float32")
    assert {"tokenizer.json", "config.json"} <= set(facts["files"])


def test_what_cannot_be_converted(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="plain safetensors already"):
        convert(str(plain), tmp_path / "out")
    with pytest.raises(SpecError, match="float32, bfloat16, float16"):
        convert(str(plain), tmp_path / "out", dtype="int8")
    with pytest.raises(RunExistsError):
        convert(str(plain), plain, dtype="float16")
    large = rewrite(plain, tmp_path / "large", lambda state: {name: tensor * 1e6 for name, tensor in state.items()})
    with pytest.raises(NonFiniteWeightError, match="float16 cannot hold"):
        convert(str(large), tmp_path / "out", dtype="float16")
    with pytest.raises(StoreNotWritableError):
        convert(str(plain), plain / "config.json" / "out", dtype="float16")
    assert not (tmp_path / "out").exists()


def test_shards_whose_scales_lie_in_another(plain: Path, tmp_path: Path) -> None:
    whole = load_file(save_packed(plain, tmp_path / "whole", "fp8 by row, config silent") / "model.safetensors")
    folder = add_tokenizer(rewrite(plain, tmp_path / "m"))
    (folder / "model.safetensors").unlink()
    shards = {"a.safetensors": {}, "b.safetensors": {}, "scales.safetensors": {}}
    for i, (name, tensor) in enumerate(whole.items()):
        shard = "scales" if name.endswith("_scale") else "ab"[i % 2]
        shards[f"{shard}.safetensors"][name] = tensor
    for file, tensors in shards.items():
        save_file(tensors, folder / file)
    places = {name: file for file, tensors in shards.items() for name in tensors}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(PackedWeightsError, match="packed as F8_E4M3 numbers with scales"):
        resolve(str(folder))
    convert(str(folder), tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").glob("*.safetensors*")}
    assert written == {"a.safetensors", "b.safetensors", "model.safetensors.index.json"}
    model = LanguageModel.load(tmp_path / "out", device="cpu").model.state_dict()
    for name in load_file(plain / "model.safetensors"):
        wanted = meant(whole, name).float() if "_proj" in name else whole[name].float()
        torch.testing.assert_close(model[name], wanted, rtol=2e-7, atol=0)


def test_experts_are_unpacked_one_by_one(tmp_path: Path) -> None:
    """Three dimensions: as many scales as experts, or blocks of each expert."""
    torch.manual_seed(0)
    numbers = torch.randn(3, 8, 6).to(torch.float8_e4m3fn)
    scales, blocks = torch.rand(3, 1, 1), torch.rand(3, 2, 2)
    state = {"a.gate_up_proj": numbers, "a.gate_up_proj_scale_inv": scales}
    state |= {"b.down_proj": numbers.clone(), "b.down_proj_scale_inv": blocks}
    folder = tmp_path / "m"
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    quantised = {"quant_method": "fp8", "weight_block_size": [4, 4]}
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "quantization_config": quantised}))
    convert(str(folder), tmp_path / "out")
    found = load_file(tmp_path / "out" / "model.safetensors")
    spread = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, :, :6]
    assert torch.equal(found["a.gate_up_proj"], numbers.float() * scales)
    assert torch.equal(found["b.down_proj"], numbers.float() * spread)


def test_files_beside_the_weights_come_along_and_nothing_else(plain: Path, tmp_path: Path) -> None:
    folder = rewrite(plain, tmp_path / "m")
    secret = tmp_path / "secret"
    secret.write_text("s")
    (folder / "1_Pooling").mkdir()
    for name in ("1_Pooling/config.json", "vocab.txt", "modeling.py", "pytorch_model.bin", ".hidden", "old.gguf"):
        (folder / name).write_text("x")
    (folder / "link.txt").symlink_to(secret)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Model\n")
    convert(str(folder), tmp_path / "out", dtype="float16")
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert written == {"model.safetensors", "config.json", "README.md", "vocab.txt", "1_Pooling/config.json"}
    readme = (tmp_path / "out" / "README.md").read_text()
    assert readme.startswith("---\nlicense: mit\n---\n# Model\n\n## Converted with KEN_viz")
