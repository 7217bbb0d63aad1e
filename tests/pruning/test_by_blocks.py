"""Pruning language models from spec to run: exact counts, exact bits, and measured quality."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore.allocate import atp
from kencore.checkpoint.pair import open_models
from kencore.data.calibration import calibration_windows
from kencore.errors import (
    DeadLayerError,
    KencoreError,
    NonFiniteActivationError,
    NonFiniteWeightError,
    NotALanguageModelError,
    RunNotFoundError,
    SpecError,
    TextTooShortError,
    WindowError,
)
from kencore.models.blocks import spool
from kencore.models.language import LanguageModel
from kencore.pruning.plan import decide
from kencore.pruning.prune import prune
from kencore.pruning.search.allocate import AllocationSettings, allocate
from kencore.pruning.workbench import Workbench
from kencore.quality.judge import judge
from kencore.runs.run import Run, open_run
from kencore.settings.prune import PruneSpec
from tests.support.lost import check_lost
from tests.support.tiny_models import POSITIONS, VOCABULARY, save_pair
from tests.support.tiny_text import add_tokenizer, write_text

FAMILIES = ("opt", "llama", "phi", "mistral", "gpt2", "qwen2", "gpt_neox", "bloom")
SCORES = ("magnitude", "wanda", "multiflow", "sparsegpt")
ALLOCATIONS = (
    ("uniform", "block"),
    ("owl", "block"),
    ("alpha", "block"),
    ("dlp", "block"),
    ("atp", "block"),
    ("neuroal", "block"),
    ("neuroal", "row"),
    ("neuroal", "both"),
)
SPARSITIES = (0.5, 0.6, 0.7, 0.8)
WINDOW = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("language")


@pytest.fixture(scope="module")
def text(folder: Path) -> Path:
    return write_text(folder / "text.txt", 2000)


def pair(folder: Path, family: str, dtype: torch.dtype = torch.float32) -> tuple[Path, Path]:
    """A tuned model with a tokenizer, and its base; made once."""
    where = folder / f"{family}-{dtype}".replace("torch.", "")
    if not where.exists():
        save_pair(family, where, dtype=dtype, change=0.05)
        for which in ("tuned", "base"):
            add_tokenizer(where / which)
    return where / "tuned", where / "base"


def spec(model: Path, text: Path, **settings: Any) -> PruneSpec:
    usual = {
        "method": "wanda",
        "keep": 0.3,
        "calibration": str(text),
        "sequences": 4,
        "search_sequences": 2,
        "window": WINDOW,
        "device": "cpu",
        "cost": False,  # of every kind of model: tests/quality/test_cost_flops.py
    }
    return PruneSpec(model=str(model), **{**usual, **settings})


# --- the target is met to the entry -----------------------------------------------------------


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_target_is_met_to_the_entry(
    folder: Path, text: Path, family: str, score: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any three of family, score, allocation and sparsity meet; all four would be four times as many."""
    every = atp.slopes
    monkeypatch.setattr(atp, "slopes", lambda *given: every(*given)[::9])  # a few, as of lambdas
    model, _ = pair(folder, family)
    asked = spec(model, text, method=score)
    opened = open_models(asked)
    bench = Workbench(opened, decide(opened, asked), device="cpu", threads=1)
    ids = torch.randint(3, VOCABULARY, (3, WINDOW), generator=torch.Generator().manual_seed(0))
    streams = bench.capture(ids)
    rule = bench.rule(score)
    size = sum(slot.size for slot in bench.slots)
    assert size == sum(d.size for d in bench.chosen.values())
    turn = FAMILIES.index(family) + SCORES.index(score)
    for number, (allocation, step) in enumerate(ALLOCATIONS):
        sparsity = SPARSITIES[(turn + number) % len(SPARSITIES)]
        settings = AllocationSettings(
            allocation=allocation,
            step=step,
            sparsity=sparsity,
            lambdas=(0.05, 0.25) if allocation == "neuroal" else None,
        )
        found = allocate(bench.blocks, streams, rule, settings)
        kept = zeros = 0
        for pruned in bench.prune(streams, found.rule, found.counts, norms=False):
            kept += int(pruned.keep.sum())
            assert not pruned.weight[~pruned.keep].any()
            zeros += int((bench.blocks.weight(pruned.slot.name) == 0).sum())
        wanted = int(np.floor(sparsity * size + 0.5))
        assert size - kept == wanted, (allocation, step, sparsity)
        assert zeros == wanted
        bench.restore()
    for slot in bench.slots:  # and all of it left no trace
        assert np.array_equal(bench.blocks.weight(slot.name).numpy(), bench.original(slot.name))


# --- the run on disk --------------------------------------------------------------------------

RUNS = [
    ("llama", torch.float16, {"method": "wanda", "allocation": "neuroal", "step": "both", "cost": True}),
    ("gpt2", torch.bfloat16, {"method": "sparsegpt", "allocation": "owl"}),
    ("opt", torch.float32, {"method": "multiflow", "allocation": "atp", "propagate": "dense"}),
    ("phi", torch.float16, {"method": "magnitude", "allocation": "alpha"}),
    ("gpt_neox", torch.float32, {"method": "wanda", "refine": "dsnot"}),
    ("mistral", torch.float32, {"method": "sparsegpt", "refine": "dsnot", "allocation": "dlp"}),
    ("mixtral", torch.float32, {"method": "wanda", "allocation": "neuroal"}),
    ("llama", torch.float16, {"method": "wanda", "allocation": "neuroal", "published": True}),
    ("llama", torch.float16, {"method": "sparsegpt", "published": True}),
    ("falcon", torch.float32, {"method": "random", "allocation": "neuroal", "fast": True}),
    ("bloom", torch.float32, {"method": "wanda", "allocation": "neuroal", "reference": "global"}),
    ("llama", torch.float16, {"method": "ken", "allocation": "neuroal", "base": True}),
    (
        "llama",
        torch.float32,
        {"method": "delta", "allocation": "neuroal", "step": "both", "reference": "global", "base": True},
    ),
    ("gpt2", torch.float16, {"method": "ken-density", "allocation": "owl", "base": True}),
    ("opt", torch.float32, {"method": "wanda", "base": True}),
]


@pytest.mark.parametrize(("family", "dtype", "settings"), RUNS)
def test_a_run_holds_what_was_measured(
    folder: Path, text: Path, tmp_path: Path, family: str, dtype: torch.dtype, settings: dict[str, Any]
) -> None:
    model, base = pair(folder, family, dtype)
    settings = settings | ({"base": str(base)} if "base" in settings else {})
    asked = spec(model, text, evaluation=str(text), windows=5, baselines=True, **settings)
    run = prune(asked, out=tmp_path / "run", threads=1)
    check_bits(run, model, base if asked.base else None)
    if not asked.published:
        size = run.totals["pruned"]
        assert run.totals["reset"] == int(np.floor(0.7 * size + 0.5))
    # an independent path: the exported folder, loaded and measured from the start
    exported = run.save_pretrained(tmp_path / "exported")
    for path, figure in ((model, "dense"), (exported, "pruned")):
        again = judge(str(path), str(text), window=WINDOW, windows=5, cost=False, device="cpu", threads=1)
        assert run.metrics[figure]["nll"] == pytest.approx(again["nll"], rel=1e-6)
        assert again["data_sha256"] == run.metrics["data_sha256"]
    assert run.metrics["task"] == "language"
    assert ("base" in run.metrics) == (asked.base is not None)
    assert asked.method not in run.metrics["baselines"]
    assert "random" in run.metrics["baselines"] or asked.method == "random"
    for found in run.metrics["baselines"].values():
        assert found["windows"] == 5
    trace = run.trace
    assert trace is not None
    assert trace["calibration"]["sequences"] == 4
    assert len(trace["calibration"]["offsets"]) == 4
    assert set(trace["matrices"]) == set(run.pruned)
    for name in run.pruned:
        norms = run.activation_norms(name)
        assert norms is not None
        assert norms[0].shape == norms[1].shape == (run.shape(name)[1],)


def check_bits(run: Run, model: Path, base: Path | None) -> None:
    """Kept entries as the method left them, the others zero or the base's, all else untouched."""
    tuned = load_file(model / "model.safetensors")
    old = None if base is None else load_file(base / "model.safetensors")
    state = run.apply()
    assert set(state) == set(tuned)
    pruned = set(run.pruned)
    assert pruned
    for name, before in tuned.items():
        after = state[name]
        assert after.dtype == before.dtype
        if name not in pruned:
            assert torch.equal(after, before), name
            continue
        line = run.matrix(name)
        assert line["block"] is not None
        keep = torch.from_numpy(run.keep(name))
        keep = keep.t() if line["transposed"] else keep
        rest = torch.zeros_like(before) if old is None else old[name]
        assert torch.equal(after[~keep], rest[~keep]), name
        if not run.spec.updates:
            assert torch.equal(after[keep], before[keep]), name
        assert int(keep.sum()) == int(line["kept"]) == int(run.rows(name)["kept"].sum())


def input_norms(model: Path, text: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Norms of what linear layers are given on the calibration text, by hooks on a whole model."""
    loaded = LanguageModel.load(model)
    ids = calibration_windows(loaded.tokenizer, text, sequences=4, window=WINDOW, seed=0, positions=POSITIONS).ids
    modules, found = dict(loaded.model.named_modules()), {}
    for name in names:
        modules[name.removesuffix(".weight")].register_forward_pre_hook(
            lambda _, args, name=name: found.__setitem__(name, args[0].double())
        )
    with torch.no_grad():
        loaded.model(ids)
    return {name: (x**2).sum((0, 1)).div(len(ids)).sqrt().numpy() for name, x in found.items()}


def test_norms_are_of_the_dense_and_of_the_pruned_model(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")
    run = prune(spec(model, text), out=tmp_path / "run")
    dense = input_norms(model, text, run.pruned)
    sparse = input_norms(run.save_pretrained(tmp_path / "exported"), text, run.pruned)
    for name in run.pruned:
        norms = run.activation_norms(name)
        assert norms is not None
        np.testing.assert_allclose(norms[0], dense[name], rtol=1e-4)
        np.testing.assert_allclose(norms[1], sparse[name], rtol=1e-4)
    last = run.pruned[-1]
    assert not np.allclose(dense[last], sparse[last], rtol=1e-2)


def test_sparsegpt_changes_what_it_keeps(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")
    run = prune(spec(model, text, method="sparsegpt"), out=tmp_path / "run", threads=1)
    check_lost(run)
    tuned = load_file(model / "model.safetensors")
    state = run.apply()
    moved = [
        name
        for name in run.pruned
        if not torch.equal(state[name][torch.from_numpy(run.keep(name))], tuned[name][torch.from_numpy(run.keep(name))])
    ]
    assert len(moved) == len(run.pruned)


def test_the_uniform_baseline_is_the_uniform_run(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")
    common: dict[str, Any] = {"evaluation": str(text), "windows": 5}
    spread = prune(spec(model, text, allocation="neuroal", baselines=True, **common), out=tmp_path / "spread")
    even = prune(spec(model, text, **common), out=tmp_path / "even")
    plain = prune(spec(model, text, method="magnitude", **common), out=tmp_path / "plain")
    found = spread.metrics["baselines"]
    assert found["uniform"]["nll"] == pytest.approx(even.metrics["pruned"]["nll"], rel=1e-6)
    assert found["magnitude"]["nll"] == pytest.approx(plain.metrics["pruned"]["nll"], rel=1e-6)


def test_measuring_again_keeps_the_baselines_that_need_streams(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")
    asked = spec(model, text, allocation="neuroal", baselines=True, evaluation=str(text), windows=5)
    run = prune(asked, out=tmp_path / "run")
    before = run.metrics["baselines"]
    assert "uniform" in before
    judge(str(run.path), str(text), cost=False, save=True, device="cpu")
    assert open_run(run.path).metrics["baselines"] == before
    other = write_text(tmp_path / "other.txt", 200, seed=1)
    judge(str(run.path), str(other), cost=False, save=True, device="cpu")
    assert open_run(run.path).metrics["baselines"] == {}


@pytest.mark.parametrize("published", [False, True])
def test_baselines_prune_as_much_whenever_they_are_measured(
    folder: Path, text: Path, tmp_path: Path, published: bool
) -> None:
    model, _ = pair(folder, "opt")
    counted: list[int] = []
    own = Workbench.prune_all

    def prune_all(bench: Workbench, streams: Any, rule: Any, counts: Any, **rest: Any) -> None:
        counted.append(sum(int(rows.sum()) for rows in counts.values()))
        own(bench, streams, rule, counts, **rest)

    asked = spec(
        model,
        text,
        allocation="neuroal",
        step="both",
        keep=0.37,
        published=published,
        evaluation=str(text),
        windows=5,
        baselines=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workbench, "prune_all", prune_all)
        run = prune(asked, out=tmp_path / "run")
    assert counted == [run.totals["reset"]] * len(run.metrics["baselines"])
    again = judge(str(run.path), str(text), baselines=True, cost=False, device="cpu")
    for name in ("random", "magnitude"):
        wanted = run.metrics["baselines"][name]["nll"]
        assert again["baselines"][name]["nll"] == pytest.approx(wanted, rel=1e-6), name


def test_equal_specs_give_equal_bytes(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "gpt2")
    asked = spec(model, text, method="sparsegpt", allocation="neuroal")
    one, two = (prune(asked, out=tmp_path / name, threads=1) for name in ("one", "two"))
    for name in ("masks", "values", "activations"):
        file = f"{name}.safetensors"
        assert (one.path / file).read_bytes() == (two.path / file).read_bytes(), file
    for name in ("rows", "matrices"):
        file = f"{name}.parquet"
        assert (one.path / file).read_bytes() == (two.path / file).read_bytes(), file


def test_cancelling_leaves_nothing(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")

    class EnoughError(Exception):
        pass

    for stop in ("Block step", "Pruning block 2"):

        def progress(done: float, total: float, message: str, stop: str = stop) -> None:
            assert 0 <= done <= total
            if message.startswith(stop):
                raise EnoughError

        out = tmp_path / "home" / "run"
        with pytest.raises(EnoughError):
            prune(spec(model, text, allocation="neuroal"), out=out, progress=progress)
        assert list(out.parent.iterdir()) == []
    with pytest.raises(RunNotFoundError):
        open_run(out)


def test_progress_only_goes_up(folder: Path, text: Path, tmp_path: Path) -> None:
    model, base = pair(folder, "llama")
    seen: list[float] = []
    asked = spec(
        model,
        text,
        method="delta",
        base=str(base),
        allocation="neuroal",
        step="both",
        evaluation=str(text),
        windows=3,
        baselines=True,
    )
    prune(asked, out=tmp_path / "run", progress=lambda done, total, _: seen.append(done / total))
    assert (np.diff(seen) >= -1e-9).all()
    assert seen[-1] == 1


def test_threads_are_those_asked_for_everywhere_and_given_back(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")
    before = torch.get_num_threads()
    wanted, seen = before + 1, set()
    asked = spec(model, text, allocation="neuroal", evaluation=str(text), windows=3)

    def progress(done: float, total: float, message: str) -> None:
        if message.startswith(("Block step", "Pruning", "Measuring")):
            seen.add(torch.get_num_threads())

    prune(asked, out=tmp_path / "run", threads=wanted, progress=progress)
    assert seen == {wanted}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("allocation", ["uniform", "owl", "neuroal"])
def test_each_calibration_text_is_captured_once(
    folder: Path, text: Path, tmp_path: Path, allocation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = []
    own = Workbench.capture

    def capture(bench: Workbench, ids: torch.Tensor) -> Any:
        captured.append(len(ids))
        return own(bench, ids)

    monkeypatch.setattr(Workbench, "capture", capture)
    model, _ = pair(folder, "llama")
    prune(spec(model, text, allocation=allocation), out=tmp_path / "run")
    assert captured == ([2, 4] if allocation == "neuroal" else [4])  # to search on, and all


def test_shares_before_rounding_stay_between_none_and_all(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")
    run = prune(spec(model, text, allocation="alpha", keep=0.1), out=tmp_path / "run")
    targets = run.matrices.loc[run.matrices["status"] == "pruned", "target_keep"]
    assert targets.between(0, 1).all()
    assert targets.min() == 0  # AlphaPruning asks for more than everything here


# --- mistakes ---------------------------------------------------------------------------------


def changed(model: Path, folder: Path, change: Any) -> Path:
    """A copy of a model with other weights."""
    folder.mkdir()
    for path in model.iterdir():
        if path.is_file() and path.suffix != ".safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    state = {name: tensor.clone() for name, tensor in load_file(model / "model.safetensors").items()}
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def mistakes(folder: Path, text: Path, tmp_path: Path) -> Iterator[tuple[Any, type, list[str]]]:
    llama, _ = pair(folder, "llama")
    short = write_text(tmp_path / "short.txt", WINDOW - 1)
    yield spec(pair(folder, "bert")[0], text), NotALanguageModelError, ["BertForSequence"]
    yield spec(pair(folder, "t5")[0], text), NotALanguageModelError, ["T5"]
    yield spec(llama, short), TextTooShortError, [str(WINDOW - 1), str(WINDOW)]
    also_short = write_text(tmp_path / "also_short.txt", WINDOW - 2)
    yield spec(llama, text, evaluation=str(also_short)), TextTooShortError, [str(WINDOW - 2)]
    yield spec(llama, text, window=POSITIONS + 1), WindowError, [str(POSITIONS)]

    def infinite(state: dict[str, torch.Tensor]) -> None:
        state["model.layers.1.mlp.down_proj.weight"][3, 4] = torch.inf

    broken = changed(llama, tmp_path / "broken", infinite)
    yield spec(broken, text), NonFiniteWeightError, ["layers.1.mlp.down_proj", "row 3"]

    def overflowing(state: dict[str, torch.Tensor]) -> None:
        state["model.layers.0.mlp.down_proj.weight"] *= 1e38
        state["model.layers.0.mlp.up_proj.weight"] *= 1e38

    loud = changed(llama, tmp_path / "loud", overflowing)
    yield spec(loud, text), NonFiniteActivationError, ["Block 0"]

    def silent(state: dict[str, torch.Tensor]) -> None:
        for name in state:
            if name.startswith("model.layers.1.") and "norm" in name:
                state[name].zero_()
            if name.startswith("model.layers.1.") and ("v_proj" in name or "up_proj" in name):
                state[name].zero_()

    dead = changed(llama, tmp_path / "dead", silent)
    yield spec(dead, text, allocation="neuroal"), DeadLayerError, ["Block 1"]


def test_each_mistake_has_its_message_and_leaves_nothing(folder: Path, text: Path, tmp_path: Path) -> None:
    seen = set()
    for i, (asked, error, parts) in enumerate(mistakes(folder, text, tmp_path)):
        out = tmp_path / f"run{i}" / "out"
        with pytest.raises(error) as caught:
            prune(asked, out=out, threads=1)
        message = str(caught.value)
        assert isinstance(caught.value, KencoreError)
        for part in parts:
            assert part in message, message
        assert not out.parent.exists() or list(out.parent.iterdir()) == []
        seen.add(message)
    assert len(seen) == i + 1


@pytest.mark.parametrize("sparsity", [0.0, 1.0, 1.5])
def test_a_sparsity_that_prunes_nothing_all_or_more(folder: Path, text: Path, sparsity: float) -> None:
    model, _ = pair(folder, "llama")
    with pytest.raises(SpecError) as caught:
        spec(model, text, keep=1 - sparsity)
    assert "sparsity" in str(caught.value)


def test_a_dead_matrix_is_said_and_does_no_harm(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")

    def silent(state: dict[str, torch.Tensor]) -> None:
        state["model.layers.1.mlp.up_proj.weight"].zero_()

    dead = changed(model, tmp_path / "dead", silent)
    run = prune(spec(dead, text, allocation="neuroal", step="both"), out=tmp_path / "run")
    assert any("down_proj" in note for note in run.record["notes"])
    assert run.trace is not None
    assert all(np.isfinite(run.trace["block_search"]["costs"]))
    json.dumps(run.trace, allow_nan=False)


def test_settings_survive_in_the_run(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")
    asked = spec(model, text, allocation="neuroal", step="row", reference="global", fast=True)
    run = prune(asked, out=tmp_path / "run")
    assert dataclasses.asdict(open_run(run.path).spec) == dataclasses.asdict(asked)
    trace = run.trace
    assert trace is not None
    assert (trace["step"], trace["reference"]) == ("row", "global")
    assert trace["block_search"] is None
    costs = trace["row_search"]["costs"]
    assert 0 < costs.count(None) < len(costs)  # fast: not every lambda is tried


def test_settings_of_the_pruning_are_used(folder: Path, text: Path, tmp_path: Path) -> None:
    model, _ = pair(folder, "llama")
    common: dict[str, Any] = {"evaluation": str(text), "windows": 5, "seed": 3}
    runs = {
        name: prune(spec(model, text, **common, **settings), out=tmp_path / name)
        for name, settings in {
            "pruned": {},
            "dense": {"propagate": "dense"},
            "dsnot": {"refine": "dsnot"},
            "spread": {"refine": "dsnot", "allocation": "owl", "baselines": True},
        }.items()
    }
    first, last = runs["pruned"].pruned[0], runs["pruned"].pruned[-1]
    masks = {name: (run.keep(first), run.keep(last)) for name, run in runs.items()}
    assert np.array_equal(masks["pruned"][0], masks["dense"][0])  # both read the embeddings
    assert not np.array_equal(masks["pruned"][1], masks["dense"][1])
    assert not np.array_equal(masks["pruned"][0], masks["dsnot"][0])
    # the same method with the same share everywhere, its refinement included
    found = runs["spread"].metrics["baselines"]["uniform"]["nll"]
    assert found == pytest.approx(runs["dsnot"].metrics["pruned"]["nll"], rel=1e-6)
    assert found != pytest.approx(runs["pruned"].metrics["pruned"]["nll"], rel=1e-6)
    # random baselines take the run's seed: as a pruning by zero without calibration text does
    plain = prune(spec(model, text, method="random", scope=("blocks",), **common), out=tmp_path / "plain")
    again = runs["spread"].metrics["baselines"]["random"]["nll"]
    assert again == pytest.approx(plain.metrics["pruned"]["nll"], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_hidden_states_on_disk_change_nothing(
    dtype: torch.dtype, folder: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned, _ = pair(folder, "llama", dtype)
    spec = PruneSpec(
        model=str(tuned), method="sparsegpt", keep=0.4, calibration=str(text), sequences=4, window=WINDOW, device="cpu"
    )
    runs = [prune(spec, out=tmp_path / "memory")]
    made: list[spool.Spooled] = []
    monkeypatch.setattr(spool, "LIMIT", 0)
    begin = spool.Spooled.__init__
    monkeypatch.setattr(spool.Spooled, "__init__", lambda self: (made.append(self), begin(self))[1])
    runs.append(prune(spec, out=tmp_path / "disk"))
    assert len(made) > 2
    for name in ("masks.safetensors", "values.safetensors", "rows.parquet", "activations.safetensors"):
        assert (runs[0].path / name).read_bytes() == (runs[1].path / name).read_bytes(), name
