"""Where tensors on disk are in a loaded model, whatever transformers renames, joins or splits on the way.

The oracle is transformers: a model whose weights were swapped is the one that it loads from the other weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from kencore.checkpoint.layout import read_layout
from kencore.errors import OtherStateError
from kencore.models.fingerprint import digest, hashes_of, hashes_to_be
from kencore.models.loaded import LoadedModel
from kencore.models.loading import load_fields
from kencore.models.names import _rows, stored_tensors
from tests.support.tiny_models import SIZES, build
from tests.support.tiny_text import add_tokenizer

FUSED = {"nomic": ("NomicBert", {}), "gte": ("Gte", {}), "jina": ("JinaEmbeddingsV3", {})}
LANGUAGE = ("llama", "mixtral", "gpt2", "qwen3")


def _made(kind: str, seed: int) -> Any:
    torch.manual_seed(seed)
    if kind in LANGUAGE:
        return build(kind, seed=seed)
    name, settings = FUSED[kind]
    config = getattr(transformers, f"{name}Config")(**SIZES, num_labels=3, **settings)
    return getattr(transformers, f"{name}ForSequenceClassification")(config).eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    made: dict[tuple[str, int], Path] = {}

    def get(kind: str, seed: int) -> Path:
        if (kind, seed) not in made:
            folder = tmp_path_factory.mktemp(f"{kind}-{seed}")
            _made(kind, seed).save_pretrained(folder)
            made[kind, seed] = add_tokenizer(folder)
        return made[kind, seed]

    return get


def _auto(kind: str) -> Any:
    return transformers.AutoModelForCausalLM if kind in LANGUAGE else transformers.AutoModelForSequenceClassification


def _loaded(kind: str, folder: Path) -> LoadedModel:
    fields, missing = load_fields(_auto(kind), folder, device="cpu", dtype=torch.float32)
    assert not missing
    return LoadedModel(threads=None, **fields)


@pytest.mark.parametrize("kind", [*LANGUAGE, *FUSED])
def test_swapped_weights_are_those_that_transformers_loads(kind: str, saved: Callable[[str, int], Path]) -> None:
    model = _loaded(kind, saved(kind, 0))
    other = dict(stored_tensors(saved(kind, 1)))
    to_be = hashes_to_be(model, other.__getitem__)
    model.replace(other)
    wanted = _auto(kind).from_pretrained(saved(kind, 1), dtype=torch.float32).state_dict()
    found = model.model.state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    held = hashes_of(model)
    assert to_be
    assert {name: held[name] for name in to_be} == to_be
    assert digest(held) != digest(hashes_of(_loaded(kind, saved(kind, 0))))


@pytest.mark.parametrize("kind", FUSED)
def test_of_one_that_is_split_nothing_is_said_to_be_random(kind: str, saved: Callable[[str, int], Path]) -> None:
    layout = read_layout(saved(kind, 0))
    assert not any("random" in note for note in layout.notes)
    model = _loaded(kind, saved(kind, 0))
    split = {name: pieces for name, pieces in model.pieces.items() if len(pieces) > 1}
    assert split
    assert all(sum(piece.rows for piece in pieces) == model_rows(layout, name) for name, pieces in split.items())
    assert not model.ignored


def model_rows(layout: Any, name: str) -> int:
    (shape,) = [p.shape for p in layout.parameters if p.name == name]
    return int(shape[0])


def test_equal_tensors_are_not_mixed_up(saved: Callable[[str, int], Path], tmp_path: Path) -> None:
    """Zero biases, and experts that are copies of one: names decide, not values."""
    folder = Path(shutil.copytree(saved("mixtral", 0), tmp_path / "m"))
    flat = {name: torch.zeros_like(value) for name, value in load_file(folder / "model.safetensors").items()}
    save_file(flat, folder / "model.safetensors", {"format": "pt"})
    model = _loaded("mixtral", folder)
    other = dict(stored_tensors(saved("mixtral", 1)))
    model.replace(other)
    wanted = _auto("mixtral").from_pretrained(saved("mixtral", 1), dtype=torch.float32).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in model.model.state_dict().items())


def test_tied_weights_that_differ_on_disk_are_two(saved: Callable[[str, int], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved("qwen3", 0), tmp_path / "m"))
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    model = _loaded("qwen3", folder)
    model.replace({"lm_head.weight": torch.zeros_like(tensors["lm_head.weight"])})
    state = model.model.state_dict()
    assert torch.equal(state["model.embed_tokens.weight"], tensors["model.embed_tokens.weight"])
    assert not state["lm_head.weight"].any()


def test_signs_of_zero_are_no_difference(saved: Callable[[str, int], Path]) -> None:
    model = _loaded("llama", saved("llama", 0))
    name = "lm_head.weight"
    zeros = torch.zeros_like(model.model.state_dict()[name])
    model.replace({name: -zeros})
    before = hashes_of(model)
    model.replace({name: zeros})
    assert hashes_of(model) == before


def test_what_is_measured_must_be_what_is_exported(
    saved: Callable[[str, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kencore import PruneSpec, prune
    from kencore.quality.judge_model import Judge
    from tests.support.tiny_text import write_text

    write_text(tmp_path / "t.txt", 300)
    spec = PruneSpec(
        model=str(saved("llama", 0)),
        method="magnitude",
        keep=0.5,
        evaluation=str(tmp_path / "t.txt"),
        window=16,
        baselines=False,
    )
    run = prune(spec, out=tmp_path / "good")
    assert run.metrics["pruned"]["perplexity"] > 0
    bring = Judge.bring

    def wrong(self: Judge, tensors: Any, state: Any = None) -> None:
        bring(self, tensors, state)
        with torch.no_grad():
            self.model.model.model.layers[1].mlp.up_proj.weight[3, 5] += 1

    monkeypatch.setattr(Judge, "bring", wrong)
    with pytest.raises(OtherStateError, match=r"layers\.1\.mlp\.up_proj\.weight differs"):
        prune(spec, out=tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_rows_by_hand() -> None:
    starts, widths = np.array([0, 6]), [(3,), (3,)]
    stacked = np.arange(12).reshape(1, 4, 3)
    assert [(m, p.expert, p.row, p.rows, p.first) for m, p in _rows("x", stacked, starts, widths)] == [
        (0, 0, 0, 2, 0),
        (1, 0, 2, 2, 0),
    ]
    assert list(_rows("x", np.arange(6).reshape(2, 3).T.copy(), starts, widths)) == []
    halves = np.arange(6)[3:]
    assert [(m, p.row, p.rows, p.first) for m, p in _rows("x", halves, np.array([0]), [()])] == [(0, 0, 3, 3)]
