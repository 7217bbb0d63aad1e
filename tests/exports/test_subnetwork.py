"""Subnetwork files: what is written is what comes back, to the last bit."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, Run, open_run, prune
from kencore.errors import (
    CheckpointChangedError,
    CorruptRunError,
    RunExistsError,
    SourceNotFoundError,
    StoreNotWritableError,
    WrongBaseError,
)
from kencore.exports.subnetwork import plan as subnetwork_plan
from kencore.exports.subnetwork.open import open_subnetwork, restore_subnetwork
from kencore.exports.subnetwork.plan import subnetwork_bytes
from kencore.exports.subnetwork.read import inspect_subnetwork, is_subnetwork
from kencore.exports.subnetwork.write import packed, write_subnetwork
from tests.support.runs import make_lm_run, make_run
from tests.support.tiny_models import save_pair

POOLER = "bert.pooler.dense.weight"


def pruned_pair(name: str, folder: Path, **asked: object) -> Run:
    """A delta run of a tiny pair."""
    dtype = asked.pop("dtype", torch.float32)
    shards = asked.pop("max_shard_size", "5GB")
    base, tuned = save_pair(name, folder, dtype=dtype, max_shard_size=shards)  # type: ignore[arg-type]
    (tuned / "tokenizer_config.json").write_text('{"model_max_length": 24}', "utf-8")
    spec = {"method": "delta", "keep": 0.3} | asked
    return prune(PruneSpec(model=str(tuned), base=str(base), **spec), out=folder / "run")  # type: ignore[arg-type]


def same_bits(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        other = right[name]
        assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape), name
        assert torch.equal(tensor.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8)), name


def round_trip(run: Run, folder: Path) -> Path:
    """Write, measure, open and restore a run's file; the file."""
    file = write_subnetwork(run, folder / "run.safetensors")
    assert file.stat().st_size == subnetwork_bytes(run)
    same_bits(open_subnetwork(file), run.apply())
    saved = run.save_pretrained(folder / "saved")
    restored = restore_subnetwork(file, None, folder / "restored")
    assert {p.name for p in restored.iterdir()} == {p.name for p in saved.iterdir()}
    for path in saved.iterdir():
        assert path.read_bytes() == (restored / path.name).read_bytes(), path.name
    return file


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("bert", torch.float32),
        ("bert", torch.float16),
        ("bert", torch.bfloat16),
        ("gpt2", torch.float32),
        ("qwen3", torch.bfloat16),
        ("t5", torch.float32),
    ],
)
def test_round_trip(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    round_trip(pruned_pair(name, tmp_path, dtype=dtype), tmp_path)


def test_the_mask_lies_as_the_checkpoint_stores_the_tensor(tmp_path: Path) -> None:
    run = pruned_pair("gpt2", tmp_path)
    file = write_subnetwork(run, tmp_path / "run.safetensors")
    name = "transformer.h.0.attn.c_attn.weight"  # inputs x outputs on disk
    assert run.matrix(name)["transposed"]
    tuned = load_file(Path(run.spec.model) / "model.safetensors")[name].numpy()
    base = load_file(Path(str(run.spec.base)) / "model.safetensors")[name].numpy()
    with safe_open(file, framework="numpy") as opened:  # by the library alone
        bits, values = (opened.get_tensor(f"{name}.{kind}") for kind in ("bitmask", "values"))
        assert list(opened.metadata()) == ["kencore_subnetwork"]
    keep = np.unpackbits(bits, count=tuned.size, bitorder="little").astype(bool)
    np.testing.assert_array_equal(keep.reshape(tuned.shape), run.keep(name).T)
    np.testing.assert_array_equal(values, tuned.reshape(-1)[keep])
    whole = base.reshape(-1).copy()
    whole[keep] = values
    np.testing.assert_array_equal(whole.reshape(tuned.shape), run.apply()[name].numpy())


def test_tied_tensors_stored_twice_are_in_the_file_once(tmp_path: Path) -> None:
    base, tuned = save_pair("gpt2", tmp_path)
    for folder in (base, tuned):
        tensors = load_file(folder / "model.safetensors")
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    run = prune(PruneSpec(model=str(tuned), base=str(base), keep=0.5), out=tmp_path / "run")
    facts = inspect_subnetwork(round_trip(run, tmp_path))
    assert facts["tensors"]["same"] == 1


def test_a_base_of_another_dtype(tmp_path: Path) -> None:
    base, _ = save_pair("bert", tmp_path)
    _, tuned = save_pair("bert", tmp_path / "half", dtype=torch.bfloat16)
    tensors = load_file(tuned / "model.safetensors")
    untouched = "bert.embeddings.LayerNorm.weight"  # vectors: not pruned, and the base's, rounded
    originals = load_file(base / "model.safetensors")
    tensors[untouched] = originals[untouched].bfloat16()
    tensors[POOLER] = originals[POOLER].bfloat16()  # pruned, though it was never tuned
    save_file(tensors, tuned / "model.safetensors", {"format": "pt"})
    spec = PruneSpec(model=str(tuned), base=str(base), keep=0.4, vectors=False)
    run = prune(spec, out=tmp_path / "run")
    file = round_trip(run, tmp_path)
    with safe_open(file, framework="numpy") as opened:
        held = {name.rpartition(".")[0] for name in list(opened.keys())}
    assert untouched not in held
    assert POOLER not in held
    assert "classifier.weight" in held
    assert inspect_subnetwork(file)["tensors"]["base"] == 2


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_rounding_without_torch_is_that_of_torch(dtype: str) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 200_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    wanted = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[dtype]
    by_torch = torch.from_numpy(values).to(wanted).view(torch.uint8).numpy()
    found = subnetwork_plan.rounded(values, "F32", dtype)
    assert found is not None
    np.testing.assert_array_equal(found.view(np.uint8), by_torch)
    assert subnetwork_plan.rounded(np.float32([1, np.nan]), "F32", dtype) is None
    assert subnetwork_plan.rounded(np.float64([1]), "F64", dtype) is None


def test_changed_values_of_a_run_without_a_base(tmp_path: Path) -> None:
    run = make_lm_run(tmp_path, "sparsegpt")
    file = round_trip(run, tmp_path)
    facts = inspect_subnetwork(file)
    assert facts["base"] is None
    assert not facts["needs_base"]
    assert facts["kept"] == run.totals["kept"]
    shutil.rmtree(tmp_path / "lm-0")  # the model is gone, the file is enough
    assert open_subnetwork(file).keys() == load_file(tmp_path / "restored/model.safetensors").keys()


def test_values_and_parameters_that_tuning_changed(tmp_path: Path) -> None:
    base, tuned = save_pair("bert", tmp_path)
    norm = "bert.embeddings.LayerNorm.weight"
    tensors = load_file(tuned / "model.safetensors")
    tensors[norm] = load_file(base / "model.safetensors")[norm]  # the base's, until it was tuned
    save_file(tensors, tuned / "model.safetensors", {"format": "pt"})
    spec = PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.3, vectors=False, rescale="share")
    run = prune(spec, out=tmp_path / "run")
    assert run.kept_values is not None
    before = write_subnetwork(run, tmp_path / "before")
    assert inspect_subnetwork(before)["tensors"]["base"] == 1
    save_file({norm: torch.arange(32.0)}, run.path / "dense.safetensors")
    file = round_trip(open_run(run.path), tmp_path)
    assert torch.equal(open_subnetwork(file)[norm], torch.arange(32.0))
    assert inspect_subnetwork(file)["tensors"]["base"] == 0


def test_several_weight_files_and_files_of_the_base(tmp_path: Path) -> None:
    base, tuned = save_pair("bert", tmp_path, max_shard_size="20KB")
    for name, texts in {"tokenizer.json": ("{}", "{}"), "vocab.txt": ("a", "b")}.items():
        for folder, text in zip((base, tuned), texts, strict=True):
            (folder / name).write_text(text)
    run = prune(PruneSpec(model=str(tuned), base=str(base), keep=0.5), out=tmp_path / "run")
    file = round_trip(run, tmp_path)
    assert len(inspect_subnetwork(file)["weight_files"]) > 2
    with safe_open(file, framework="numpy") as opened:
        carried = {name for name in list(opened.keys()) if name.endswith(".file")}
    assert carried == {"config.json.file", "vocab.txt.file", "README.md.file"}
    (base / "tokenizer.json").write_text("[]")
    with pytest.raises(WrongBaseError, match="tokenizer.json"):
        restore_subnetwork(file, None, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    (base / "tokenizer.json").unlink()
    with pytest.raises(WrongBaseError, match="no such file"):
        restore_subnetwork(file, None, tmp_path / "again")


def test_dense_where_that_is_smaller_and_nothing_where_all_went_back(tmp_path: Path) -> None:
    run = pruned_pair("bert", tmp_path, k=10_000, keep=None)  # every entry of every row
    facts = inspect_subnetwork(round_trip(run, tmp_path))
    assert facts["tensors"]["values"] == 0
    none = rewritten(run, tmp_path / "none", lambda keep: np.zeros_like(keep))
    (tmp_path / "b").mkdir()
    facts = inspect_subnetwork(round_trip(none, tmp_path / "b"))
    assert facts["tensors"]["values"] == 0
    assert facts["tensors"]["base"] == len(run.pruned)


def rewritten(run: Run, folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Run:
    """A copy of a run with other masks, its tables in step."""
    from safetensors.numpy import load_file as load
    from safetensors.numpy import save_file as save

    shutil.copytree(run.path, folder)
    masks = load(folder / "masks.safetensors")
    table = run.matrices.copy()
    for name in run.pruned:
        keep = change(run.keep(name))
        masks[name] = np.packbits(keep, axis=1, bitorder="little")
        table.loc[table["name"] == name, "kept"] = int(keep.sum())
    save(masks, folder / "masks.safetensors")
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(folder / "matrices.parquet").remove_metadata()
    pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), folder / "matrices.parquet")
    return open_run(folder)


SHAPES = hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=37)
WIDTHS = {"F32": np.uint32, "F16": np.uint16, "BF16": np.uint16}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bits_and_any_mask_come_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """-0.0, NaN payloads, empty rows, nothing kept, everything kept, odd shapes."""
    dtype = data.draw(st.sampled_from(sorted(WIDTHS)))
    shape = data.draw(SHAPES)
    tuned, base = (data.draw(hnp.arrays(WIDTHS[dtype], shape)) for _ in range(2))
    rows = shape if len(shape) == 2 else (1, *shape)
    keep = data.draw(st.one_of(st.just(np.zeros(rows, bool)), st.just(np.ones(rows, bool)), hnp.arrays(bool, rows)))
    transposed = len(shape) == 2 and data.draw(st.booleans())
    restore = data.draw(st.sampled_from(["base", "zero"]))
    folder = tmp_path_factory.mktemp("bits")
    mask = keep.T.copy() if transposed else keep
    run = one_tensor_run(folder, tuned, base, mask, dtype, transposed, restore)
    file = write_subnetwork(run, folder / "file.safetensors")
    assert file.stat().st_size == subnetwork_bytes(run)
    found = open_subnetwork(file)["w"]
    reset = base if restore == "base" else np.zeros_like(base)
    wanted = np.where(keep.reshape(shape), tuned, reset)  # on integers: bits, not numbers
    assert found.reshape(-1).view(torch.uint8).numpy().tobytes() == wanted.tobytes()
    assert tuple(found.shape) == shape
    smaller = -(-tuned.size // 8) + keep.sum() * tuned.itemsize < tuned.nbytes
    ways = inspect_subnetwork(file)["tensors"]
    if restore == "zero":
        assert ways["values"] == int(smaller)
    else:
        assert ways["base"] == int(not keep.any() or np.array_equal(tuned, base))


def one_tensor_run(
    folder: Path, tuned: np.ndarray, base: np.ndarray, mask: np.ndarray, dtype: str, transposed: bool, restore: str
) -> Run:
    """A run of one pruned tensor ``w`` of given bits; ``mask`` is outputs x inputs."""
    from kencore.runs.measures import MatrixMeasures, row_measures
    from kencore.runs.writer import RunWriter
    from tests.checkpoint.files import entry, write

    for side, bits in (("tuned", tuned), ("base", base)):
        (folder / side).mkdir()
        header = {"w": entry(dtype, list(bits.shape), 0, bits.nbytes)}
        write(folder / side / "model.safetensors", header, bits.tobytes())
        (folder / side / "config.json").write_text("{}")
    rows, columns = mask.shape
    zeros = np.zeros(mask.shape, np.float32)
    line = {
        "name": "w",
        "base_name": "w",
        "block": None,
        "stack": "",
        "role": "other",
        "part": "other",
        "shape": list(tuned.shape),
        "rows": rows,
        "cols": columns,
        "transposed": transposed,
        "dtype": dtype,
        "params": tuned.size,
        "status": "pruned",
        "reason": "",
        "k": None,
        "tied": [],
        "kept": int(mask.sum()),
        "bytes_dense": tuned.nbytes,
        "bytes_stored": tuned.nbytes,
        "tuned_sha256": hashlib.sha256(tuned.tobytes()).hexdigest(),
        "base_sha256": hashlib.sha256(base.tobytes()).hexdigest(),
    }
    with RunWriter(folder / "run", {"w": (rows, columns)}) as writer:
        writer.add_rows("w", mask)
        writer.add_table("w", [row_measures(zeros, zeros, mask)])
        measures = MatrixMeasures()
        measures.add(zeros, zeros, mask)
        writer.add_matrices([measures.columns() | line])
        spec = {"model": str(folder / "tuned"), "keep": 0.5, "method": "magnitude"}
        if restore == "base":
            spec |= {"base": str(folder / "base")}
        writer.add_json("spec.json", {"spec": spec, "versions": {}})
        sources = {side: {"text": str(folder / side)} for side in ("tuned", "base")}
        if restore == "zero":
            sources["base"] = None  # type: ignore[assignment]
        writer.add_json("record.json", {"created": "", "sources": sources})
        writer.add_json("metrics.json", {})
        writer.finish()
    return open_run(folder / "run")


def test_bits_of_masks_laid_end_to_end() -> None:
    rng = np.random.default_rng(5)
    pieces = [rng.random((rows, 7)) < 0.5 for rows in (1, 3, 0, 9, 2)]
    found = np.concatenate(list(packed(iter(pieces))))
    whole = np.concatenate([piece.reshape(-1) for piece in pieces])
    np.testing.assert_array_equal(found, np.packbits(whole, bitorder="little"))


def test_tensors_larger_than_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore.exports.subnetwork import open as subnetwork
    from kencore.exports.subnetwork import write as subnetwork_write
    from kencore.runs import restore as export

    run = pruned_pair("gpt2", tmp_path)
    whole = write_subnetwork(run, tmp_path / "whole.safetensors").read_bytes()
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 70)
    monkeypatch.setattr(subnetwork_write, "ROWS_AT_ONCE", 45)
    monkeypatch.setattr(subnetwork, "AT_ONCE", 104)
    assert round_trip(run, tmp_path).read_bytes() == whole


def test_same_run_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for compress in (False, True):
        files = [write_subnetwork(open_run(run.path), tmp_path / f"{i}-{compress}", compress) for i in range(2)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_size_is_that_of_values_and_bits(tmp_path: Path) -> None:
    """Of a model as wide as MiniLM, all else is less than a fiftieth."""
    base, tuned = wide_pair(tmp_path)
    spec = PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.25)
    run = prune(spec, out=tmp_path / "run")
    file = write_subnetwork(run, tmp_path / "file")
    table, chosen = run.matrices, run.matrices["status"] == "pruned"
    bits = int((-(-table["params"][chosen] // 8)).sum())
    values = 4 * int(table["kept"][chosen].sum())
    dense = int(table["bytes_dense"][~chosen].sum())
    least = bits + values + dense
    assert least < file.stat().st_size < 1.02 * least
    assert inspect_subnetwork(file)["bytes_dense"] == run.totals["bytes_dense"]


def wide_pair(folder: Path) -> tuple[Path, Path]:
    """(base, tuned) of 2 blocks of 384, inner 1536, vocabulary 2,000."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=2000,
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=2,
        num_attention_heads=12,
        max_position_embeddings=64,
    )
    model = BertForSequenceClassification(config)
    for side in ("base", "tuned"):
        model.save_pretrained(folder / side)
        for parameter in model.parameters():
            parameter.data += 0.01 * torch.randn_like(parameter)
    return folder / "base", folder / "tuned"


def test_progress_and_cancelling(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    told: list[tuple[float, float, str]] = []
    file = write_subnetwork(run, tmp_path / "file", progress=lambda *report: told.append(report))
    assert told[-1][0] == told[-1][1] > 1
    assert [done for done, total, _ in told if total > 1] == sorted(done for done, total, _ in told if total > 1)

    class Stop(Exception):  # noqa: N818
        pass

    def stop(done: float, total: float, message: str) -> None:
        if total > 1 and done > total / 2:
            raise Stop

    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Stop):
        write_subnetwork(run, tmp_path / "second", progress=stop)
    with pytest.raises(Stop):
        restore_subnetwork(file, None, tmp_path / "model", progress=stop)
    with pytest.raises(Stop):
        open_subnetwork(file, progress=stop)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    file = write_subnetwork(run, tmp_path / "file")
    content = file.read_bytes()
    with pytest.raises(RunExistsError):
        write_subnetwork(run, file)
    with pytest.raises(RunExistsError):
        restore_subnetwork(file, None, tmp_path)
    assert file.read_bytes() == content
    with pytest.raises(StoreNotWritableError):
        write_subnetwork(run, file / "below")


def test_a_wrong_base_is_named_by_its_first_tensor(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    file = write_subnetwork(run, tmp_path / "file")
    base = tmp_path / "pair" / "base"
    tensors = load_file(base / "model.safetensors")
    names = sorted(name for name in run.pruned)
    changed = [names[3], names[8]]

    def other(change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
        folder = tmp_path / "other"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(base, folder)
        copy = {name: tensor.clone() for name, tensor in tensors.items()}
        change(copy)
        save_file(copy, folder / "model.safetensors")
        return folder

    def bump(copy: dict[str, torch.Tensor]) -> None:
        for name in changed:
            copy[name].view(-1)[-1] += 1e-3

    def drop(copy: dict[str, torch.Tensor]) -> None:
        del copy[names[5]]

    def flatten(copy: dict[str, torch.Tensor]) -> None:
        copy[names[2]] = copy[names[2]].reshape(1, -1).clone()

    for change, name, words in (
        (bump, changed[0], "other weights"),
        (drop, names[5], "no such tensor"),
        (flatten, names[2], "of shape"),
    ):
        with pytest.raises(WrongBaseError, match=words) as caught:
            restore_subnetwork(file, other(change), tmp_path / "model")
        assert caught.value.subject.startswith(f"{name} in ")
        with pytest.raises(WrongBaseError, match=words):
            open_subnetwork(file, tmp_path / "other")
    assert not (tmp_path / "model").exists()
    same_bits(open_subnetwork(file, other(lambda copy: None)), run.apply())


def test_a_base_that_moved_is_asked_for(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    file = write_subnetwork(run, tmp_path / "file")
    state = run.apply()
    (tmp_path / "pair" / "base").rename(tmp_path / "moved")
    with pytest.raises(SourceNotFoundError, match="Pass it as the base"):
        open_subnetwork(file)
    same_bits(open_subnetwork(file, tmp_path / "moved"), state)


def test_models_that_changed_since_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    path = tmp_path / "pair" / "tuned" / "model.safetensors"
    tensors = load_file(path)
    tensors[POOLER][0, 0] += 1
    save_file(tensors, path)
    with pytest.raises(CheckpointChangedError, match=POOLER):
        write_subnetwork(open_run(run.path), tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_run_that_contradicts_itself(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.matrices.loc[run.matrices["name"] == POOLER, "kept"] -= 1
    with pytest.raises(CorruptRunError, match="disagree"):
        write_subnetwork(run, tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == []


def test_what_is_a_subnetwork_file(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for compress in (False, True):
        file = write_subnetwork(run, tmp_path / f"file-{compress}", compress)
        assert is_subnetwork(file)
        facts = inspect_subnetwork(file)
        assert facts["compressed"] == compress
        assert facts["spec"]["method"] == "ken"
        json.dumps(facts)
    for other in (tmp_path, tmp_path / "none", run.path / "masks.safetensors", run.path / "spec.json"):
        assert not is_subnetwork(other)
