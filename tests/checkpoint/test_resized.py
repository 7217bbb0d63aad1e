"""A tuned model whose vocabulary grew, shrank or was padded: rows in common are compared, others kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from kencore import PruneSpec, prune
from kencore.checkpoint.pair import open_pair
from kencore.checkpoint.source import resolve
from kencore.errors import PairMismatchError
from kencore.exports.subnetwork.open import open_subnetwork
from kencore.exports.subnetwork.write import write_subnetwork
from kencore.live.ranking import live_run
from kencore.live.setting import Setting, budgets
from kencore.quality.states import base_state
from tests.support.tiny_models import build

KINDS = {  # kind -> its tables, by the names on disk
    "llama": ("model.embed_tokens.weight", "lm_head.weight"),
    "bert": ("bert.embeddings.word_embeddings.weight",),
    "gpt2": ("transformer.wte.weight",),
    "t5": ("shared.weight",),
}


def pair(kind: str, folder: Path, rows: int, *, pad: int | None = None) -> tuple[Path, Path]:
    """A base of 99 tokens, and a tuned model of so many, all of whose weights moved."""
    model = build(kind)
    model.save_pretrained(folder / "base")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    model.resize_token_embeddings(rows, pad_to_multiple_of=pad, mean_resizing=False)
    model.save_pretrained(folder / "tuned")
    return folder / "tuned", folder / "base"


CASES = [(kind, rows, None, "delta") for kind in KINDS for rows in (100, 90)]


@pytest.mark.parametrize(
    ("kind", "rows", "pad", "method"), [*CASES, ("llama", 99, 64, "delta"), ("llama", 100, None, "ken")]
)
def test_rows_in_common_go_back_and_new_ones_stay(
    kind: str, rows: int, pad: int | None, method: str, tmp_path: Path
) -> None:
    tuned, base = pair(kind, tmp_path, rows, pad=pad)
    run = prune(PruneSpec(model=str(tuned), base=str(base), method=method, keep=0.5), out=tmp_path / "run")
    before, old, after = load_file(tuned / "model.safetensors"), load_file(base / "model.safetensors"), run.apply()
    size = 128 if pad else rows
    for name in KINDS[kind]:
        keep = torch.from_numpy(run.keep(name))
        common = min(size, 99)
        assert keep[common:].all()
        assert torch.equal(keep[:common].sum(1), torch.full((common,), keep.shape[1] // 2))
        wanted = before[name].clone()
        wanted[:common] = torch.where(keep[:common], before[name][:common], old[name][:common])
        assert torch.equal(after[name], wanted)
        assert run.matrix(name)["kept"] == int(keep.sum())
        np.testing.assert_array_equal(run.values(name, "pruned"), wanted.numpy())
        np.testing.assert_array_equal(
            run.values(name, "base", slice(common - 3, None))[:3], old[name][common - 3 : common]
        )
        if method == "delta":
            moved = (before[name][:common] - old[name][:common]).abs()
            assert (moved.masked_fill(~keep[:common], 9).amin(1) >= moved.masked_fill(keep[:common], 0).amax(1)).all()
        if size > 99:
            note = next(
                note for note in run.record["notes"] if note.startswith(f"{name} has {size} rows, 99 in the base")
            )
            assert f"the other {size - 99} kept dense" in note
    # the export loads, the small file gives the same, and all reset is the base but for new rows
    auto = getattr(transformers, json.loads((tuned / "config.json").read_text())["architectures"][0])
    _, said = auto.from_pretrained(run.save_pretrained(tmp_path / "out"), output_loading_info=True)
    assert not said["missing_keys"]
    assert not said["mismatched_keys"]
    restored = open_subnetwork(write_subnetwork(run, tmp_path / "small"))
    assert all(torch.equal(restored[name], tensor) for name, tensor in after.items())
    state = dict(base_state(run))
    for name in KINDS[kind]:
        assert torch.equal(state[name][:common], old[name][:common])
        assert torch.equal(state[name][common:], before[name][common:])


def test_the_total_is_met_over_what_is_compared(tmp_path: Path) -> None:
    tuned, base = pair("llama", tmp_path, 120)
    spec = PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.3, balance=("embedding=1.5",))
    run = prune(spec, out=tmp_path / "run")
    plain = prune(PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.3), out=tmp_path / "plain")
    new = 2 * 21 * 32
    sizes = sum(run.shape(name)[0] * run.shape(name)[1] for name in run.pruned) - new
    assert run.totals["kept"] == plain.totals["kept"]
    assert abs(run.totals["kept"] - new - 0.3 * sizes) < 0.02 * sizes


def test_a_slider_keeps_new_rows_too(tmp_path: Path) -> None:
    tuned, base = pair("llama", tmp_path, 100)
    asked = {"model": str(tuned), "base": str(base), "method": "delta"}
    run = prune(PruneSpec(**asked, keep=0.5), out=tmp_path / "run")
    other = prune(PruneSpec(**asked, keep=0.25), out=tmp_path / "other")
    found = budgets(run, Setting(keep=0.25))
    for name in run.pruned:
        np.testing.assert_array_equal(found[name], other.keep(name).sum(1))
    name = KINDS["llama"][0]
    moved = live_run(run, name, Setting(keep=0.25), patience=60)
    np.testing.assert_array_equal(moved.keep(name), other.keep(name))


def test_tables_outside_the_scope_are_kept(tmp_path: Path) -> None:
    tuned, base = pair("llama", tmp_path, 100)
    asked = {"scope": ("blocks",), "embeddings": False, "head": False}
    run = prune(PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.5, **asked), out=tmp_path / "run")
    before, after = load_file(tuned / "model.safetensors"), run.apply()
    for name in KINDS["llama"]:
        assert run.matrix(name)["status"] == "untouched"
        assert torch.equal(before[name], after[name])


def test_heads_of_other_labels_and_tables_of_another_width(tmp_path: Path) -> None:
    """Rows of a head of labels are labels: those of another task have nothing in common."""
    settings = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    for name, labels, positions in (("base", 2, 32), ("tuned", 3, 48)):
        config = transformers.BertConfig(
            vocab_size=50, num_labels=labels, max_position_embeddings=positions, **settings
        )
        transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / name)
    found = open_pair(resolve(str(tmp_path / "tuned")), resolve(str(tmp_path / "base")))
    assert found.base_names["classifier.weight"] is None
    assert dict(found.common) == {"bert.embeddings.position_embeddings.weight": 32}
    config = transformers.BertConfig(vocab_size=50, **settings | {"intermediate_size": 32})
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "wide")
    with pytest.raises(PairMismatchError, match=r"\(24, 16\) in the tuned model, \(32, 16\) in the base"):
        open_pair(resolve(str(tmp_path / "tuned")), resolve(str(tmp_path / "wide")))
