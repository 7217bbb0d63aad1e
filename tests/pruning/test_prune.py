"""The pipeline against the checkpoints themselves: every bit kept or reset as the mask says."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, Run, open_run, prune, select
from kencore.errors import (
    CheckpointChangedError,
    CorruptRunError,
    JobCancelled,
    NonFiniteWeightError,
    RunExistsError,
    RunNotFoundError,
    ScopeError,
    StoreNotWritableError,
)
from kencore.methods.table import rules
from kencore.runs.shelf import delete_run, list_runs
from kencore.settings.demo import SHIPPED
from tests.support.tiny_models import ARCHITECTURES, save_pair

SAME_BYTES = ("spec.json", "masks.safetensors", "rows.parquet", "matrices.parquet")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(base, tuned) folders of a tiny BERT classifier."""
    return save_pair("bert", tmp_path_factory.mktemp("bert"))


def spec_of(pair: tuple[Path, Path], **settings: object) -> PruneSpec:
    budget = {} if "k" in settings else {"keep": 0.5}
    base, tuned = pair
    return PruneSpec.from_dict({"model": str(tuned), "base": str(base)} | budget | settings)


def stored(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for file in folder.glob("*.safetensors"):
        tensors |= load_file(file)
    return tensors


def bits_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def check_every_bit(run: Run, pair: tuple[Path, Path]) -> None:
    """Kept entries equal tuned, the others base; what was not pruned equals tuned."""
    base, tuned = stored(pair[0]), stored(pair[1])
    state = run.apply()
    assert state.keys() == tuned.keys()
    for name, found in state.items():
        wanted = tuned[name]
        owner = run.owner(name)
        if owner is not None:
            line = run.matrix(owner)
            keep = torch.from_numpy(run.keep(owner))
            assert (keep.sum(1) == min(line["k"], line["cols"])).all()
            keep = (keep.T if line["transposed"] else keep).reshape(wanted.shape)
            old = base[line["base_name"]].to(wanted.dtype)
            wanted = torch.where(keep, wanted, old)
        assert found.dtype == wanted.dtype
        assert bits_of(found) == bits_of(wanted), name


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_through_the_public_api(architecture: str, tmp_path: Path) -> None:
    pair = save_pair(architecture, tmp_path)
    run = prune(spec_of(pair))
    check_every_bit(run, pair)
    table = run.matrices
    by_status = table.groupby("status")["params"].sum()
    on_disk = sum(tensor.numel() for tensor in stored(pair[1]).values())
    twice = sum(stored(pair[1])[name].numel() for tied in table["tied"] for name in tied if name in stored(pair[1]))
    assert by_status.sum() == on_disk - twice
    assert by_status["pruned"] == run.totals["pruned"] > 0.5 * on_disk
    assert run.totals["kept"] + run.totals["reset"] == run.totals["pruned"]
    assert (table.loc[table["status"] != "pruned", "reason"] != "").all()


@pytest.mark.parametrize("method", rules())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_rule_and_dtype(method: str, dtype: torch.dtype, tmp_path: Path) -> None:
    pair = save_pair("gpt2", tmp_path, dtype=dtype)
    run = prune(spec_of(pair, method=method, keep=0.3))
    check_every_bit(run, pair)
    for name in run.pruned:
        rows = run.rows(name)
        np.testing.assert_array_equal(rows["kept"], run.keep(name).sum(1))
        if method != "random":
            weight = torch.from_numpy(run.values(name, "tuned"))
            base = torch.from_numpy(run.values(name, "base"))
            mask = select(weight, int(run.matrix(name)["k"]), rule=method, base=base)
            np.testing.assert_array_equal(run.keep(name), mask.numpy())


def test_dtypes_that_differ(tmp_path: Path) -> None:
    base, _ = save_pair("llama", tmp_path / "a", dtype=torch.float32)
    _, tuned = save_pair("llama", tmp_path / "b", dtype=torch.bfloat16)
    run = prune(spec_of((base, tuned)))
    check_every_bit(run, (base, tuned))
    assert any("float32" in note.lower() or "F32" in note for note in run.record["notes"])


def test_a_base_that_was_trained_apart_is_told(bert: tuple[Path, Path], tmp_path: Path) -> None:
    base, tuned = bert
    other, _ = save_pair("bert", tmp_path, seed=9)
    notes = {
        name: prune(PruneSpec(model=str(tuned), base=str(of), keep=0.5)).notes
        for name, of in (("own", base), ("other", other))
    }
    assert notes["own"] == ()
    (note,) = notes["other"]
    drawn, moved = 0.02, 0.01  # spreads: of initial weights, and of what tuning added
    ratio = ((2 * drawn**2 + moved**2) / (drawn**2 + moved**2)) ** 0.5
    assert f"{ratio:.1f} times the spread of the weights" in note


def test_the_saved_folder_holds_the_same_bits(bert: tuple[Path, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    run = prune(spec_of(bert))
    folder = run.save_pretrained(tmp_path / "pruned")
    state, saved = run.apply(), stored(folder)
    assert state.keys() == saved.keys()
    assert all(bits_of(state[name]) == bits_of(saved[name]) for name in state)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    with pytest.raises(RunExistsError, match="not empty"):
        run.save_pretrained(folder)


@pytest.mark.parametrize("side", [0, 1])
def test_a_checkpoint_that_changed_is_refused(side: int, tmp_path: Path) -> None:
    pair = save_pair("bert", tmp_path)
    run = prune(spec_of(pair))
    file = pair[side] / "model.safetensors"
    tensors = load_file(file)
    tensors["bert.pooler.dense.weight"][0, 0] += 1
    save_file(tensors, file, {"format": "pt"})
    again = open_run(run.path)
    with pytest.raises(CheckpointChangedError, match="bert.pooler.dense.weight"):
        again.apply()
    with pytest.raises(CheckpointChangedError, match="bert.pooler.dense.weight"):
        again.save_pretrained(tmp_path / "pruned")


def test_the_same_spec_is_the_same_bytes(bert: tuple[Path, Path], tmp_path: Path) -> None:
    for method in rules():
        spec = spec_of(bert, method=method)
        one = prune(spec, out=tmp_path / f"{method}-1", threads=1)
        two = prune(spec, out=tmp_path / f"{method}-2", threads=2)
        for file in SAME_BYTES:
            assert (one.path / file).read_bytes() == (two.path / file).read_bytes(), file


def test_sharded_checkpoints_are_pruned_and_saved_shard_by_shard(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base, tuned = save_pair("llama", tmp_path, max_shard_size="20KB")
    assert len(list(tuned.glob("*.safetensors"))) > 2
    run = prune(spec_of((base, tuned)))
    check_every_bit(run, (base, tuned))
    folder = run.save_pretrained(tmp_path / "pruned")
    assert {file.name for file in folder.glob("*.safetensors")} == {file.name for file in tuned.glob("*.safetensors")}
    loaded = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in run.apply().items())


def test_k_and_share(bert: tuple[Path, Path]) -> None:
    run = prune(spec_of(bert, k=40))
    check_every_bit(run, bert)
    pruned = run.matrices[run.matrices["status"] == "pruned"]
    assert (pruned["kept"] == pruned["rows"] * pruned["cols"].clip(upper=40)).all()


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"scope": ("attention",), "vectors": False}, {"attention"}),
        ({"scope": ("feed-forward",)}, {"feed-forward"}),
        ({"scope": ("q", "down")}, {"attention", "feed-forward"}),
        ({"scope": ("*.layer.0.*",), "vectors": False}, {"attention", "feed-forward"}),
    ],
)
def test_scopes(bert: tuple[Path, Path], settings: dict[str, object], parts: set[str]) -> None:
    run = prune(spec_of(bert, **settings))
    check_every_bit(run, bert)
    pruned = run.matrices[run.matrices["status"] == "pruned"]
    assert set(pruned["part"]) == parts
    if settings.get("scope") == ("q", "down"):
        assert set(pruned["role"]) == {"q", "down"}
    if settings.get("vectors") is False:
        assert (pruned["rows"] > 1).all()


def test_a_scope_that_matches_nothing_is_said(bert: tuple[Path, Path], home: Path) -> None:
    with pytest.raises(ScopeError, match="nope"):
        prune(spec_of(bert, scope=("nope*",)))
    assert {run.id for run in list_runs()} <= set(SHIPPED)


def test_a_head_of_the_tuned_model_alone_stays_dense(tmp_path: Path) -> None:
    base, tuned = save_pair("bert", tmp_path)
    tensors = load_file(base / "model.safetensors")
    kept = {n: t for n, t in tensors.items() if not n.startswith("classifier")}
    save_file(kept, base / "model.safetensors", {"format": "pt"})
    run = prune(spec_of((base, tuned)))
    line = run.matrix("classifier.weight")
    assert (line["status"], line["kept"]) == ("unprunable", line["params"])
    assert "only in the tuned model" in line["reason"]
    state, old = run.apply(), stored(tuned)
    assert bits_of(state["classifier.weight"]) == bits_of(old["classifier.weight"])


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_weight_that_is_not_a_number(side: int, bad: float, tmp_path: Path) -> None:
    pair = save_pair("bert", tmp_path)
    tensors = load_file(pair[side] / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    tensors[name][5, 3] = bad
    save_file(tensors, pair[side] / "model.safetensors", {"format": "pt"})
    with pytest.raises(NonFiniteWeightError, match=rf"{name}.*(base|tuned).*row 5"):
        prune(spec_of(pair), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_cancelling_leaves_nothing(bert: tuple[Path, Path], tmp_path: Path) -> None:
    calls = []

    def cancel_later(done: float, total: float, message: str) -> None:
        calls.append((done, total, message))
        if len(calls) == 8:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        prune(spec_of(bert), out=tmp_path / "run", progress=cancel_later)
    assert list(tmp_path.iterdir()) == []


def test_progress_rises_to_its_total(bert: tuple[Path, Path]) -> None:
    calls: list[tuple[float, float, str]] = []
    prune(spec_of(bert), progress=lambda *call: calls.append(call))
    shares = [done / total for done, total, _ in calls]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert any("query" in message for *_, message in calls)


def test_what_is_there_is_not_overwritten(bert: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").write_text("mine")
    with pytest.raises(RunExistsError):
        prune(spec_of(bert), out=tmp_path / "run")
    assert (tmp_path / "run" / "file").read_text() == "mine"


def test_a_place_that_cannot_be_written(bert: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreNotWritableError):
        prune(spec_of(bert), out=tmp_path / "file" / "run")


def test_a_full_disk(bert: tuple[Path, Path], tmp_path: Path) -> None:
    """A limit on file size is a disk that fills up while the run is written."""
    code = (
        "import sys\n"
        "from kencore import PruneSpec, prune\n"
        "from kencore.errors import StoreNotWritableError\n"
        "spec = PruneSpec(model=sys.argv[1], base=sys.argv[2], keep=0.5)\n"
        "try:\n    prune(spec, out=sys.argv[3])\n"
        "except StoreNotWritableError as error:\n    print(error)\n    sys.exit(7)\n"
    )
    limit = (2000, 2000)
    done = subprocess.run(
        [sys.executable, "-c", code, str(bert[1]), str(bert[0]), str(tmp_path / "run")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert "too large" in done.stdout.lower()
    assert list(tmp_path.iterdir()) == []


class TestStore:
    def test_runs_are_listed_opened_and_deleted(self, bert: tuple[Path, Path]) -> None:
        run = prune(spec_of(bert))
        listed = [summary for summary in list_runs() if not summary.id.startswith("demo")]
        assert [(s.id, s.problem) for s in listed] == [(run.id, None)]
        assert open_run(run.id).totals == open_run(run.path).totals == run.totals
        delete_run(run.id)
        assert not run.path.exists()
        with pytest.raises(RunNotFoundError):
            open_run(run.id)

    @pytest.mark.parametrize("file", ["spec.json", "masks.safetensors", "matrices.parquet"])
    @pytest.mark.parametrize("harm", ["gone", "empty", "cut", "noise"])
    def test_a_corrupt_run_is_said_and_hides_no_other(self, bert: tuple[Path, Path], file: str, harm: str) -> None:
        good, bad = prune(spec_of(bert)), prune(spec_of(bert, keep=0.25))
        path = bad.path / file
        content = path.read_bytes()
        if harm == "gone":
            path.unlink()
        else:
            noise = np.random.default_rng(0).bytes(len(content))
            path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": noise}[harm])
        with pytest.raises(CorruptRunError, match=bad.id):
            open_run(bad.id)
        assert open_run(good.id).totals == good.totals
        listed = {summary.id: summary.problem for summary in list_runs()}
        assert listed[good.id] is None
        assert bad.id in listed

    @pytest.mark.parametrize("name", ["..", "../..", "/etc", ".", ""])
    def test_ids_from_links_cannot_leave_the_store(self, name: str) -> None:
        from kencore.runs.shelf import find_stored_run

        with pytest.raises(RunNotFoundError):
            find_stored_run(name)
