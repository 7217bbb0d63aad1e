"""Rescaled restore against the formula written out, and through the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from kencore import PruneSpec, prune
from kencore.errors import NonFiniteWeightError, SpecError
from kencore.methods.rescale import FACTORS, rescaled
from kencore.quality.judge import judge
from kencore.settings.checks import RESCALES
from tests.pruning.test_prune import bits_of, spec_of, stored
from tests.quality.test_judge import files  # noqa: F401 - a fixture
from tests.support.lost import check_lost
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer, write_text


@given(rows=st.integers(1, 5), columns=st.integers(1, 12), seed=st.integers(0, 2**31), density=st.floats(0, 1))
def test_kept_differences_grow_by_what_their_row_lost(rows: int, columns: int, seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    base, tuned = rng.normal(size=(2, rows, columns)).astype(np.float32)
    keep = rng.random((rows, columns)) < density
    before = base.copy(), tuned.copy(), keep.copy()
    found = rescaled(tuned, base, keep, "share")
    for array, was in zip((base, tuned, keep), before, strict=True):
        np.testing.assert_array_equal(array, was)  # the caller's own are as they were
    for i in range(rows):
        kept = int(keep[i].sum())
        for j in range(columns):
            if not keep[i, j]:
                assert found[i, j] == base[i, j]
            elif kept == columns:
                assert found[i, j] == tuned[i, j]
            else:
                wanted = base[i, j] + (float(tuned[i, j]) - base[i, j]) * columns / kept
                assert found[i, j] == pytest.approx(wanted, rel=1e-5, abs=1e-5)


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 12),
    seed=st.integers(0, 2**31),
    density=st.floats(0, 1),
    dead=st.booleans(),
)
def test_energy_reaches_as_far_along_the_difference_as_the_whole_of_it(
    rows: int, columns: int, seed: int, density: float, dead: bool
) -> None:
    rng = np.random.default_rng(seed)
    base, tuned = rng.normal(size=(2, rows, columns)).astype(np.float32)
    if dead:
        tuned[0] = base[0]
    keep = rng.random((rows, columns)) < density
    found = rescaled(tuned, base, keep, "energy")
    assert (found[~keep] == base[~keep]).all()
    for new, old, own, kept in zip(found, base, tuned, keep, strict=True):
        moved, whole = new.astype(float) - old, own.astype(float) - old
        if kept.all():
            np.testing.assert_array_equal(new, own)
        elif (whole[kept] ** 2).sum() == 0:
            np.testing.assert_array_equal(new, old)
        else:
            room = 1e-6 * columns * np.abs(new).max() * np.abs(whole).max()  # of float32 values
            assert abs(moved @ whole - whole @ whole) <= room
            factors = moved[kept] * whole[kept]
            assert (factors >= -room).all()  # no difference changes its sign


def test_it_undoes_what_a_random_choice_takes_on_average() -> None:
    """The mean over many masks is the tuned weight itself: what DARE is made for."""
    rng = np.random.default_rng(0)
    base, tuned = rng.normal(size=(2, 1, 6)).astype(np.float32)
    masks = np.argsort(rng.random((20000, 6)), axis=1) < 2
    whole = np.broadcast_to
    found = rescaled(whole(tuned, masks.shape), whole(base, masks.shape), masks, "share")
    spread = found.std(axis=0) / np.sqrt(len(masks))
    assert (np.abs(found.mean(axis=0) - tuned[0]) < 5 * spread).all()


@pytest.mark.parametrize("kind", ["share", "energy"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_a_run_holds_the_rescaled_values(architecture: str, dtype: torch.dtype, kind: str, tmp_path: Path) -> None:
    pair = save_pair(architecture, tmp_path, dtype=dtype)
    run = prune(spec_of(pair, method="delta", keep=0.3, rescale=kind))
    base, tuned = stored(pair[0]), stored(pair[1])
    for name, found in run.apply().items():
        if (owner := run.owner(name)) is None:
            assert bits_of(found) == bits_of(tuned[name])
            continue
        line = run.matrix(owner)
        keep = torch.from_numpy(run.keep(owner))  # R, C
        kept = keep.sum(1, keepdim=True)
        old = base[line["base_name"]].to(dtype)
        sides = [side.float() for side in (tuned[name], old)]
        turned = [side.T if line["transposed"] else side for side in sides]
        sides = [side.reshape(run.shape(owner)) for side in turned]  # R, C
        factor = torch.tensor(keep.shape[1]) / kept.clamp(min=1)
        if kind == "energy":
            squared = (sides[0] - sides[1]).double() ** 2
            gone = squared.sum(1, keepdim=True) / (squared * keep).sum(1, keepdim=True)
            factor = gone.nan_to_num(1.0).float()
        wanted = torch.where(keep, sides[1] + (sides[0] - sides[1]) * factor, sides[1])
        wanted = torch.where(keep & (kept == keep.shape[1]), sides[0], wanted).to(dtype)
        wanted = (wanted.T if line["transposed"] else wanted).reshape(found.shape)
        assert torch.equal(found.float(), wanted.float()), name
    assert run.kept_values is not None


def test_rows_that_are_kept_whole_keep_every_bit(tmp_path: Path) -> None:
    pair = save_pair("bert", tmp_path, dtype=torch.float64)
    run = prune(spec_of(pair, keep=1.0, rescale="share"))
    tuned = stored(pair[1])
    assert all(bits_of(found) == bits_of(tuned[name]) for name, found in run.apply().items())


def test_values_too_large_for_the_dtype_are_refused(tmp_path: Path) -> None:
    pair = save_pair("bert", tmp_path, dtype=torch.float16, change=9000.0)
    with pytest.raises(NonFiniteWeightError, match=r"rescaled.*row \d+"):
        prune(spec_of(pair, method="delta", keep=0.05, rescale="share"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_values_too_large_are_refused_beside_an_allocation_too(tmp_path: Path) -> None:
    pair = save_pair("llama", tmp_path / "pair", dtype=torch.float16)
    weights = stored(add_tokenizer(pair[1]))
    weights["model.layers.0.mlp.down_proj.weight"][3] = 30000.0
    save_file(weights, pair[1] / "model.safetensors", {"format": "pt"})
    text = write_text(tmp_path / "text.txt", 400)
    spec = spec_of(
        pair,
        method="random",
        keep=0.3,
        rescale="share",
        allocation="owl",
        window=8,
        sequences=2,
        search_sequences=1,
        calibration=str(text),
    )
    with pytest.raises(NonFiniteWeightError, match=r"layers\.0\.mlp\.down.*rescaled.*row 3"):
        prune(spec, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_with_an_allocation_the_same_values_come_out(tmp_path: Path) -> None:
    """The pipeline of language models rescales as the one without activations does."""
    asked = {
        "model": "demo-lm",
        "method": "random",
        "keep": 0.25,
        "rescale": "share",
        "scope": ("attention",),
        "vectors": False,
        "seed": 3,
    }
    plain = prune(PruneSpec.from_dict(asked), out=tmp_path / "plain")
    few = {"sequences": 2, "search_sequences": 2, "window": 32}
    spread = prune(PruneSpec.from_dict(asked | few | {"allocation": "owl"}), out=tmp_path / "spread")
    assert plain.spec.base == spread.spec.base == "demo-lm-base"
    check_lost(plain)
    check_lost(spread)
    for name in spread.pruned:
        keep = spread.keep(name)
        wanted = rescaled(spread.values(name), spread.values(name, "base"), keep, "share")
        as_half = wanted.astype(np.float16).astype(np.float32)
        found = spread.values(name, "pruned")
        whole = keep.all(axis=1)
        np.testing.assert_array_equal(found[~whole], as_half[~whole])
        np.testing.assert_array_equal(found[whole], spread.values(name)[whole])
    assert {name: int(plain.keep(name).sum()) for name in plain.pruned} != {
        name: int(spread.keep(name).sum()) for name in spread.pruned
    }


def test_baselines_of_a_rescaled_run(files: tuple[Path, Path, Path]) -> None:  # noqa: F811
    """Its own rule without rescaling, and DARE: each is the run that it stands for."""
    base, tuned, data = files
    asked = {"model": str(tuned), "base": str(base), "keep": 0.2, "seed": 5}
    spec = PruneSpec(**asked, method="delta", rescale="energy", cost=False, evaluation=str(data))
    metrics = prune(spec, threads=1).metrics
    assert set(metrics["baselines"]) == {"random", "magnitude", "delta", "dare"}
    for name, method, rescale in (("delta", "delta", "none"), ("dare", "random", "share")):
        alone = prune(PruneSpec(**asked, method=method, rescale=rescale), threads=1)
        found = judge(str(alone.path), str(data), cost=False, threads=1)["pruned"]
        assert found["loss"] == metrics["baselines"][name]["loss"] != metrics["pruned"]["loss"]


def test_settings() -> None:
    assert ("none", *FACTORS) == RESCALES
    with pytest.raises(SpecError, match="rescale"):
        PruneSpec(model="x", method="magnitude", keep=0.5, rescale="share")
    with pytest.raises(SpecError, match="rescale"):
        PruneSpec(model="demo", keep=0.5, rescale="twice")
    spec = PruneSpec(model="demo", keep=0.5, rescale="share")
    assert PruneSpec.from_json(spec.to_json()) == spec
    assert spec.updates
