"""Models with experts from spec to run and to exports: exact counts, exact bits, and who is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from kencore.checkpoint.pair import open_models
from kencore.exports.masks import export_mask
from kencore.exports.subnetwork.open import open_subnetwork, restore_subnetwork
from kencore.exports.subnetwork.write import write_subnetwork
from kencore.models.inspect import inspect
from kencore.pruning.plan import ROUTER, chosen, decide
from kencore.pruning.prune import prune
from kencore.settings.prune import PruneSpec
from kencore.settings.sweep import SweepSpec
from tests.support.experts import save_experts
from tests.support.tiny_text import write_text

KINDS = ["mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3", "phimoe", "llama4", "granitemoe", "nemotron_h"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "text.txt", 400)


def spec(model: Path, text: Path, **settings: Any) -> PruneSpec:
    usual = {
        "method": "wanda",
        "keep": 0.5,
        "calibration": str(text),
        "sequences": 3,
        "window": 12,
        "cost": False,
        "device": "cpu",
    }
    return PruneSpec(**({"model": str(model)} | usual | settings))


def perplexity(folder: Path, text: Path, windows: int) -> float:
    """A plain loop over windows of 12 words, whose numbers are their tokens."""
    net = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([int(word[1:]) for word in text.read_text().split()])[: 12 * windows].reshape(-1, 12)
    with torch.no_grad():
        losses = [torch.nn.functional.cross_entropy(net(one[None]).logits[0, :-1], one[1:]) for one in ids]
    return float(torch.stack(losses).mean().exp())


@pytest.mark.parametrize("kind", KINDS)
def test_every_expert_meets_the_budget_and_the_export_is_what_was_measured(
    kind: str, text: Path, tmp_path: Path
) -> None:
    model = save_experts(kind, tmp_path / "model")
    run = prune(
        spec(model, text, evaluation=str(text), windows=4, baselines=False, propagate="dense"), out=tmp_path / "run"
    )
    experts = [name for name in run.pruned if ".experts." in name or "_linear" in name]
    assert len(experts) >= 8
    out = run.save_pretrained(tmp_path / "out")
    before, after = load_file(model / "model.safetensors"), load_file(out / "model.safetensors")
    assert {name: value.shape for name, value in after.items()} == {name: value.shape for name, value in before.items()}
    zeros = sum(int(((after[name] == 0) & (value != 0)).sum()) for name, value in before.items())
    assert zeros == run.totals["reset"] == run.totals["pruned"] // 2
    for name in experts:
        if name in after:
            assert int((after[name] == 0).sum()) == after[name].numel() // 2
        else:
            stack, expert = name.rsplit(".", 1)
            assert int((after[stack][int(expert)] == 0).sum()) == after[stack][0].numel() // 2
    assert run.metrics["pruned"]["perplexity"] == pytest.approx(perplexity(out, text, 4), rel=1e-5)
    assert run.metrics["dense"]["perplexity"] == pytest.approx(perplexity(model, text, 4), rel=1e-5)
    told = inspect(str(model))["streams"]
    assert told == {"matrices": len(run.pruned), "parameters": run.totals["pruned"]}


@pytest.mark.parametrize("kind", ["gpt_oss", "qwen3_moe"])
def test_a_pair_of_models_with_experts(kind: str, text: Path, tmp_path: Path) -> None:
    """Kept entries are the tuned ones, the others the base's, biases of experts among them."""
    base = save_experts(kind, tmp_path / "base")
    tuned = transformers.AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape))
    tuned.save_pretrained(tmp_path / "tuned")
    asked = PruneSpec(model=str(tmp_path / "tuned"), base=str(base), method="ken", keep=0.5, device="cpu")
    run = prune(asked, out=tmp_path / "run")
    state, masks = run.apply(), tmp_path / "masks.safetensors"
    old, new = load_file(base / "model.safetensors"), load_file(tmp_path / "tuned" / "model.safetensors")
    keep = load_file(export_mask(run, masks))
    assert any("bias" in name for name in keep) == (kind == "gpt_oss")
    for name, value in state.items():
        assert torch.equal(value, torch.where(keep[name], new[name], old[name]) if name in keep else new[name])
    routers = run.matrices[run.matrices["role"] == "router"]
    assert set(routers["status"]) == {"untouched"}
    assert set(routers["reason"]) == {ROUTER}
    packed = write_subnetwork(run, tmp_path / "packed.safetensors")
    again = open_subnetwork(packed)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], value) for name, value in state.items())
    folder = restore_subnetwork(packed, None, tmp_path / "again")
    want = run.save_pretrained(tmp_path / "whole")
    assert (folder / "model.safetensors").read_bytes() == (want / "model.safetensors").read_bytes()


def test_an_expert_that_no_token_is_sent_to_is_said(text: Path, tmp_path: Path) -> None:
    model = save_experts("gpt_oss", tmp_path / "model", unused=3)
    run = prune(spec(model, text, allocation="owl"), out=tmp_path / "run")
    said = [note for note in run.record["notes"] if "No calibration token" in note]
    assert len(said) == 1
    assert "of 24 matrices, so magnitude decided there" in said[0]
    assert "model.layers.0.mlp.experts.gate_up_proj.3, model.layers.0.mlp.experts.down_proj.3" in said[0]
    assert run.totals["reset"] == run.totals["pruned"] // 2
    name = "model.layers.1.mlp.experts.down_proj.3"
    assert run.activation_norms(name) is None
    other = run.activation_norms(name.replace("proj.3", "proj.0"))
    assert other is None or other[0].shape == (20,)


@pytest.mark.parametrize("allocation", ["neuroal", "dlp", "alpha"])
def test_allocations_share_out_among_experts(allocation: str, text: Path, tmp_path: Path) -> None:
    model = save_experts("mixtral", tmp_path / "model")
    more = {"step": "both", "search_sequences": 2, "fast": True} if allocation == "neuroal" else {}
    run = prune(spec(model, text, allocation=allocation, **more), out=tmp_path / "run")
    assert len(run.pruned) == 2 * (4 + 4 * 3)
    assert run.totals["reset"] == run.totals["pruned"] // 2
    kept = run.matrices[run.matrices["status"] == "pruned"]
    assert (kept["kept"] > 0).all()


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss", "llama4", "nemotron_h"])
def test_methods_prune_one_set(kind: str, text: Path, tmp_path: Path) -> None:
    model = save_experts(kind, tmp_path / "model")
    sweep = SweepSpec(
        model=str(model), methods=("magnitude", "wanda", "random"), keeps=(0.5,), calibration=str(text), device="cpu"
    )
    sets = []
    for point in sweep.points():
        pair = open_models(point)
        sets.append(set(chosen(decide(pair, point))))
        pair.close()
    assert len(sets) == 3
    assert sets[0] == sets[1] == sets[2]
    assert not any("router" in name or name.endswith("gate.weight") for name in sets[0])
    assert any("experts" in name for name in sets[0])


def test_a_router_is_pruned_where_it_is_named(tmp_path: Path) -> None:
    model = save_experts("gpt_oss", tmp_path / "model")
    for scope, many in ((("all",), 0), (("feed-forward",), 0), (("router",), 2), (("*.router.weight", "q"), 2)):
        asked = PruneSpec(model=str(model), method="magnitude", keep=0.5, scope=scope, device="cpu")
        pair = open_models(asked)
        found = [name for name in chosen(decide(pair, asked)) if name.endswith("router.weight")]
        pair.close()
        assert len(found) == many


def test_what_a_state_space_model_decays_by_is_left_alone(tmp_path: Path) -> None:
    config = transformers.MambaConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, state_size=4)
    transformers.MambaForCausalLM(config).save_pretrained(tmp_path)
    asked = PruneSpec(model=str(tmp_path), method="magnitude", keep=0.5, device="cpu")
    pair = open_models(asked)
    found = {decision.parameter.name.split("mixer.")[-1]: decision.status for decision in decide(pair, asked)}
    pair.close()
    assert found["A_log"] == "untouched"
    assert found["in_proj.weight"] == "pruned"
