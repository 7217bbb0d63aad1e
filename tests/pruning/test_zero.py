"""Pruning without a base: what is not kept becomes zero, and the share is met to the entry."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, Run, open_run, prune
from kencore.checkpoint.pair import open_models
from kencore.errors import CheckpointChangedError, MatrixNotFoundError, ScopeError
from kencore.pruning.plan import LOST, NOT_A_BLOCK_MATRIX, decide
from kencore.runs.shelf import list_runs
from kencore.system.places import assets_folder
from kencore.views import window as views
from tests.support.tiny_models import ARCHITECTURES, save_pair

ZERO_METHODS = ("magnitude", "random")


def spec_of(model: Path, **settings: object) -> PruneSpec:
    budget = {} if "k" in settings else {"keep": 0.3}
    return PruneSpec.from_dict({"model": str(model), "method": "magnitude"} | budget | settings)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pair("llama", tmp_path_factory.mktemp("llama"))[1]


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def check_every_bit(run: Run, model: Path) -> None:
    """Kept entries are the model's own, the others +0.0; all the rest is as it was."""
    state, dense = run.apply(), stored(model)
    assert state.keys() == dense.keys()
    for name, found in state.items():
        wanted, owner = dense[name], run.owner(name)
        if owner is not None:
            keep = torch.from_numpy(run.keep(owner))
            keep = (keep.T if run.matrix(owner)["transposed"] else keep).reshape(wanted.shape)
            wanted = torch.where(keep, wanted, torch.zeros_like(wanted))
        flat = [t.contiguous().reshape(-1).view(torch.uint8) for t in (found, wanted)]
        assert torch.equal(*flat), name


@pytest.mark.parametrize("method", ZERO_METHODS)
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_to_the_entry(architecture: str, method: str, tmp_path: Path) -> None:
    model = save_pair(architecture, tmp_path)[1]
    run = prune(spec_of(model, method=method))
    assert run.restore == "zero"
    totals = run.totals
    assert totals["reset"] == math.floor(Fraction(7, 10) * totals["pruned"] + Fraction(1, 2))
    check_every_bit(run, model)
    table = run.matrices
    pruned = table[table["status"] == "pruned"]
    assert (pruned["shape"].map(len) == 2).all()
    assert not set(pruned["role"]) & {"embedding", "norm", "bias", "head"}
    assert pruned["base_name"].isna().all()
    assert (pruned["target_keep"] == 0.3).all()
    for _, line in pruned.iterrows():
        rows = run.keep(line["name"]).sum(axis=1)
        assert rows.max() - rows.min() <= 1
        if rows.max() > rows.min():
            assert np.isnan(line["k"])
        else:
            assert line["k"] == rows[0]


@pytest.mark.parametrize("keep", [0.01, 0.1, 0.25, 0.335, 0.5, 0.7, 0.9, 0.999, 1.0])
def test_any_share_is_met_to_the_entry(llama: Path, keep: float) -> None:
    run = prune(spec_of(llama, keep=keep))
    size = run.totals["pruned"]
    assert run.totals["reset"] == math.floor(Fraction(1) * size - Fraction(str(keep)) * size + Fraction(1, 2))
    check_every_bit(run, llama)


def test_magnitude_keeps_the_largest_of_each_row(llama: Path) -> None:
    run = prune(spec_of(llama, keep=0.4))
    for name in run.pruned:
        size, keep = np.abs(run.values(name)), run.keep(name)
        for row in range(len(size)):
            kept, lost = size[row][keep[row]], size[row][~keep[row]]
            assert kept.min(initial=np.inf) >= lost.max(initial=0)


def test_a_row_may_lose_all(tmp_path: Path) -> None:
    model = save_pair("llama", tmp_path)[1]
    run = prune(spec_of(model, keep=0.01, scope=("k",)))
    kept = run.keep(run.pruned[0]).sum(axis=1)
    assert set(kept) == {0, 1}
    check_every_bit(run, model)


def test_entries_per_row_are_as_asked(llama: Path) -> None:
    run = prune(spec_of(llama, k=5))
    for name in run.pruned:
        assert (run.keep(name).sum(axis=1) == 5).all()
        assert run.matrix(name)["k"] == 5
    assert run.matrices["target_keep"].isna().all()
    check_every_bit(run, llama)


def test_what_would_be_lost_is_left_alone_and_says_why(llama: Path) -> None:
    run = prune(spec_of(llama))
    untouched = run.matrices[run.matrices["status"] == "untouched"]
    assert set(untouched["role"]) == {"embedding", "norm", "head"}
    assert set(untouched["reason"]) == {LOST}


@pytest.mark.parametrize(
    ("scope", "roles"),
    [
        (("embedding",), {"embedding"}),
        (("norm",), {"norm"}),
        (("all", "head"), {"q", "k", "v", "o", "gate", "up", "down", "head"}),
        (("q", "model.embed_tokens.weight"), {"q", "embedding"}),
        (("model.layers.0.*",), {"q", "k", "v", "o", "gate", "up", "down"}),
        (("*.input_layernorm.weight", "blocks"), {"q", "k", "v", "o", "gate", "up", "down", "norm"}),
        (("attention",), {"q", "k", "v", "o"}),
    ],
)
def test_only_a_term_that_means_them_reaches_fragile_ones(llama: Path, scope: tuple[str, ...], roles: set[str]) -> None:
    run = prune(spec_of(llama, scope=scope))
    table = run.matrices
    assert set(table.loc[table["status"] == "pruned", "role"]) == roles
    check_every_bit(run, llama)


def test_activations_reach_no_more_than_matrices_of_blocks(llama: Path) -> None:
    pair = open_models(spec_of(llama))
    for scope in (("norm",), ("embedding",), ("head",)):
        with pytest.raises(ScopeError, match="at least one matrix inside a block"):
            decide(pair, spec_of(llama, method="wanda", scope=scope))
    plan = decide(pair, spec_of(llama, method="wanda"))
    reasons = {d.parameter.role: d.reason for d in plan if d.status == "untouched"}
    assert reasons == dict.fromkeys(("embedding", "norm", "head"), NOT_A_BLOCK_MATRIX)
    assert all(d.k is None for d in plan)


def test_values_and_cells_without_a_base(llama: Path) -> None:
    run = prune(spec_of(llama))
    name = run.pruned[0]
    tuned, keep = run.values(name), run.keep(name)
    window = (slice(3, 9), slice(2, 20))
    assert run.values(name, "base", *window).tolist() == np.zeros((6, 18)).tolist()
    assert np.array_equal(run.values(name, "difference"), tuned)
    assert np.array_equal(run.values(name, "pruned"), np.where(keep, tuned, 0))
    row, col = np.argwhere(~keep)[0]
    told = views.cell(run, name, int(row), int(col))
    assert (told["base"], told["pruned"], told["kept"]) == (0.0, 0.0, False)
    assert told["difference"] == told["tuned"] == tuned[row, col]
    rows = run.rows(name)
    square = np.square(tuned.astype(np.float64))
    share = (square * keep).sum(axis=1) / square.sum(axis=1)
    np.testing.assert_allclose(rows["diff_share_kept"], share, rtol=1e-5)
    with pytest.raises(MatrixNotFoundError, match="no base model"):
        _ = run.base_tensors


def test_the_record_names_no_base_and_the_run_opens_again(llama: Path) -> None:
    run = prune(spec_of(llama, method="random"))
    assert run.record["sources"]["base"] is None
    assert run.record["sources"]["tuned"] == {"text": str(llama.resolve()), "revision": None}
    assert run.id.startswith("random-0.3-")
    again = open_run(run.id)
    assert again.spec == run.spec
    assert (again.trace, again.activation_norms(run.pruned[0])) == (None, None)
    labels = [summary.label for summary in list_runs() if summary.id == run.id]
    assert labels == [f"{llama.parent.name}/tuned · random 70 % sparse"]


def test_the_saved_folder_is_a_model_of_zeros(llama: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    run = prune(spec_of(llama))
    folder = run.save_pretrained(tmp_path / "pruned")
    model = AutoModelForCausalLM.from_pretrained(folder)
    state = run.apply()
    assert all(torch.equal(model.state_dict()[name], state[name]) for name in state)
    zeros = sum(int((tensor == 0).sum()) for name, tensor in state.items() if name in run.pruned)
    assert zeros >= run.totals["reset"]


def test_another_model_is_refused(tmp_path: Path) -> None:
    model = save_pair("llama", tmp_path)[1]
    run = prune(spec_of(model))
    tensors = stored(model)
    tensors[run.pruned[0]][0, 0] += 1
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointChangedError, match=run.pruned[0]):
        open_run(run.path).apply()


@pytest.mark.parametrize(("method", "restore"), [("magnitude", "zero"), ("delta", "base")])
def test_the_demo_language_model(method: str, restore: str) -> None:
    run = prune(PruneSpec(model="demo-lm", method=method, keep=0.5, scope=("k",)))
    demo = assets_folder() / "demo" / "lm"
    assert run.tuned_tensors.folder == demo / "tuned"
    assert run.restore == restore
    state, tuned = run.apply(), load_file(demo / "tuned" / "model.safetensors")
    base = load_file(demo / "base" / "model.safetensors")
    for name in run.pruned:
        old = base[name] if restore == "base" else torch.zeros_like(tuned[name])
        keep = torch.from_numpy(run.keep(name))
        assert torch.equal(state[name], torch.where(keep, tuned[name], old))
        assert keep.sum() * 2 == keep.numel()
    labels = [summary.label for summary in list_runs() if summary.id == run.id]
    budget = "50 % sparse" if restore == "zero" else "50 %"
    assert labels == [f"demo LM · {method} {budget} · k"]


def test_the_same_bytes_on_any_number_of_threads(llama: Path, tmp_path: Path) -> None:
    for method in ZERO_METHODS:
        spec = spec_of(llama, method=method, seed=3)
        one = prune(spec, out=tmp_path / f"{method}-1", threads=1)
        two = prune(spec, out=tmp_path / f"{method}-2", threads=2)
        for file in ("masks.safetensors", "rows.parquet", "matrices.parquet"):
            assert (one.path / file).read_bytes() == (two.path / file).read_bytes()
