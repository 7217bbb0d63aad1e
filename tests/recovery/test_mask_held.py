"""The mask is held: what was pruned is where it was, bit for bit, whatever the optimizer does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import prune, restore_subnetwork, write_subnetwork
from kencore.models.classifier import Classifier
from kencore.models.language import LanguageModel
from kencore.quality.states import pruned_state
from kencore.recovery.hold import Hold
from kencore.runs.run import Run
from kencore.settings.prune import PruneSpec
from tests.support.tuned_cases import LANGUAGE, make_run, reset_entries, tuned_run, write_data

CASES = [
    ("bert", torch.float32, "base"),
    ("bert", torch.float16, "zero"),
    ("gpt2", torch.float32, "zero"),
    ("gpt2", torch.bfloat16, "base"),
    ("qwen3", torch.float16, "base"),
    ("qwen3", torch.bfloat16, "zero"),  # tied embeddings
    ("albert", torch.bfloat16, "base"),
    ("albert", torch.float32, "zero"),  # one block, run twice
]


@pytest.mark.parametrize(("architecture", "dtype", "restore"), CASES)
def test_after_200_steps_every_pruned_entry_is_where_it_was(
    architecture: str, dtype: torch.dtype, restore: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, architecture, dtype=dtype, restore=restore)
    data = write_data(tmp_path, architecture)
    last: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(Hold, "load", after(Hold.load, last))
    tuned = tuned_run(run, data, tmp_path / "out", steps=200, weight_decay=0.1, batch=4, schedule="constant", every=50)
    assert tuned.tuning is not None
    assert tuned.tuning["best_step"] > 0
    start = in_memory(loaded(run, architecture), run)
    assert all(torch.equal(bits, start[name]) for name, bits in last[0].items())
    before, now = run.apply(), tuned.apply()
    assert {name: tensor.dtype for name, tensor in now.items()} == {
        name: tensor.dtype for name, tensor in before.items()
    }
    held, was = reset_entries(run, now), reset_entries(run, before)
    assert held.keys() == was.keys() != set()
    for name in held:
        assert torch.equal(held[name], was[name]), name
        # kept entries did move; keys' biases cancel out in attention, their gradient is rounding alone
        assert name.endswith("key.bias") or not torch.equal(now[name], before[name]), name
    assert sum(bits.numel() for bits in held.values()) >= run.totals["reset"]
    if restore == "zero":
        assert not any(bits.any() for bits in held.values())


def after(load: Any, last: list[dict[str, torch.Tensor]]) -> Any:
    """`Hold.load`, noting first what the last step left of pruned entries."""

    def spy(hold: Hold, values: Any) -> None:
        state = {
            name: place.of(hold.trained[place.parameter]).detach().clone()
            for name, place in hold.places.items()
            if hold.run.owner(name) is not None
        }
        last.append(reset_entries(hold.run, state))
        load(hold, values)

    return spy


def loaded(run: Run, architecture: str) -> Classifier | LanguageModel:
    kind = LanguageModel if architecture in LANGUAGE else Classifier
    model = kind.load(run.tuned_tensors.folder, threads=1)
    for name, tensor in pruned_state(run):
        model.replace({name: tensor})
    return model


def jolt(model: torch.nn.Module, optimizer: torch.optim.Optimizer, chance: torch.Generator) -> None:
    """Random gradients everywhere."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=chance)


def in_memory(model: Classifier | LanguageModel, run: Run) -> dict[str, torch.Tensor]:
    """What the model holds of each pruned tensor on disk: copies of the reset entries' bits."""
    state = model.model.state_dict()
    found = {}
    for name in run.tuned_tensors.names:
        if run.owner(name) is None:
            continue
        pieces = model.pieces.get(name, ())
        if pieces:
            found[name] = torch.cat([piece.of(state[piece.parameter]) for piece in pieces])
        else:
            found[name] = state[model.parameters[name][0]].clone()
    return reset_entries(run, found)


@pytest.mark.parametrize(
    ("architecture", "restore"), [("modernbert", "base"), ("mixtral", "zero"), ("mixtral", "base"), ("opt", "zero")]
)
def test_the_model_in_memory_is_held_after_every_step(architecture: str, restore: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, architecture, restore=restore)
    model = loaded(run, architecture)
    hold = Hold(model, run, "all")
    before, chance = in_memory(model, run), torch.Generator().manual_seed(0)
    start = hold.copy()
    optimizer = torch.optim.SGD(list(hold.trained.values()), lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    for _ in range(5):
        jolt(model.model, optimizer, chance)
        optimizer.step()
        hold.project()
        for name, bits in in_memory(model, run).items():
            assert torch.equal(bits, before[name]), name
    moved = sum(int((value != start[name]).sum()) for name, value in hold.trained.items())
    assert moved == pytest.approx(hold.moving, rel=1e-3)  # a few gradients round to nothing


@pytest.mark.parametrize("restore", ["base", "zero"])
def test_masking_gradients_alone_lets_pruned_entries_drift(restore: str, tmp_path: Path) -> None:
    """Why there is a projection: AdamW with decay, gradients masked, nothing put back.

    From zero, decay alone cannot move an entry; moments gathered before the mask was on do.
    """
    run = make_run(tmp_path, restore=restore)
    model = loaded(run, "bert")
    hold = Hold(model, run, "all")
    before, chance = in_memory(model, run), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(list(hold.trained.values()), lr=3e-3, weight_decay=0.1)
    for step in range(20):
        jolt(model.model, optimizer, chance)
        if step or restore == "base":
            hold.mask_gradients()
        optimizer.step()
        if not step and restore == "zero":
            hold.project()
    after = in_memory(model, run)
    drifted = [name for name in before if not torch.equal(after[name], before[name])]
    assert len(drifted) == len(before)
    hold.project()
    assert all(torch.equal(bits, before[name]) for name, bits in in_memory(model, run).items())


def test_masked_gradients_are_zero_where_an_entry_is_held(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    model = loaded(run, "bert")
    hold = Hold(model, run, "all")
    jolt(model.model, torch.optim.SGD(model.model.parameters()), torch.Generator().manual_seed(0))
    hold.mask_gradients()
    gradients = {name: value.grad.clone() for name, value in hold.trained.items() if value.grad is not None}
    held = sum(int((gradient == 0).sum()) for gradient in gradients.values())
    assert held == run.totals["reset"]
    assert hold.moving == sum(value.numel() for value in hold.trained.values()) - held


@pytest.mark.parametrize("architecture", ["bert", "qwen3", "mixtral"])
def test_kept_alone_changes_nothing_that_was_not_pruned(architecture: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, architecture, restore="zero", scope=("attention",))
    data = write_data(tmp_path, architecture)
    tuned = tuned_run(run, data, tmp_path / "out", train="kept")
    before, after = run.apply(), tuned.apply()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(run.pruned)
    assert tuned.changed_names == ()
    assert not (tuned.path / "dense.safetensors").exists()
    assert tuned.tuning is not None
    assert tuned.tuning["trained"] == run.totals["kept"]


def test_all_changes_what_was_not_pruned_too(tmp_path: Path) -> None:
    run = make_run(tmp_path, scope=("attention",))
    tuned = tuned_run(run, write_data(tmp_path, "bert"), tmp_path / "out")
    before, after = run.apply(), tuned.apply()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(before)
    assert set(tuned.changed_names) == {name for name in before if run.owner(name) is None}
    saved = load_file(tuned.save_pretrained(tmp_path / "model") / "model.safetensors")
    assert all(torch.equal(saved[name], after[name]) for name in after)
    file = write_subnetwork(tuned, tmp_path / "file")
    restore_subnetwork(file, tmp_path / "base", tmp_path / "restored")
    restored = load_file(tmp_path / "restored" / "model.safetensors")
    assert all(torch.equal(restored[name], after[name]) for name in after)


@pytest.mark.parametrize("scope", [("all",), ("attention",)])
def test_tied_twins_on_disk_are_both_written(scope: tuple[str, ...], tmp_path: Path) -> None:
    first = make_run(tmp_path, "qwen3")
    for side in ("base", "tuned"):  # as older versions of transformers saved them
        file = tmp_path / side / "model.safetensors"
        state = load_file(file)
        state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
        save_file(state, file, {"format": "pt"})
    shutil.rmtree(first.path)
    spec = PruneSpec(
        model=str(tmp_path / "tuned"), base=str(tmp_path / "base"), keep=0.4, method="magnitude", scope=scope, window=12
    )
    run = prune(spec, out=tmp_path / "run")
    tuned = tuned_run(run, write_data(tmp_path, "qwen3"), tmp_path / "out")
    before, after = run.apply(), tuned.apply()
    assert torch.equal(after["lm_head.weight"], after["model.embed_tokens.weight"])
    assert not torch.equal(after["lm_head.weight"], before["lm_head.weight"])
    held, was = reset_entries(run, after), reset_entries(run, before)
    assert all(torch.equal(held[name], was[name]) for name in was)


@pytest.mark.parametrize(
    "settings", [{"method": "delta", "rescale": "share"}, {"method": "sparsegpt", "restore": "zero"}]
)
def test_a_run_whose_values_were_changed_is_tuned_from_them(settings: dict[str, str], tmp_path: Path) -> None:
    data = write_data(tmp_path, "llama")
    restore = {"restore": settings.pop("restore", "base")}
    run = make_run(tmp_path, "llama", calibration=str(data), sequences=4, **restore, **settings)
    tuned = tuned_run(run, data, tmp_path / "out", steps=1, lr=1e-9)
    before, after = run.apply(), tuned.apply()
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-7)


def test_a_tuned_run_can_be_tuned_again(tmp_path: Path) -> None:
    run = make_run(tmp_path, dtype=torch.float16, scope=("blocks",))
    data = write_data(tmp_path, "bert")
    once = tuned_run(run, data, tmp_path / "once")
    twice = tuned_run(once, data, tmp_path / "twice", seed=5)
    assert twice.tuning is not None
    assert twice.tuning["parent"]["id"] == once.id
    states = [found.apply() for found in (run, once, twice)]
    held = [reset_entries(run, state) for state in states]
    for name in held[0]:
        assert torch.equal(held[0][name], held[2][name])
    for name in states[0]:  # keys' biases cancel out in attention: they hardly learn
        assert name.endswith("key.bias") or not torch.equal(states[1][name], states[2][name]), name
    # nothing is better than where it starts: its weights stay, those that are not pruned included
    stuck = tuned_run(once, data, tmp_path / "stuck", steps=4, lr=1.0, clip=None, every=4)
    assert stuck.tuning is not None
    assert stuck.tuning["best_step"] == 0
    assert "weights are unchanged" in " ".join(stuck.record["notes"])
    assert all(torch.equal(states[1][name], tensor) for name, tensor in stuck.apply().items())
