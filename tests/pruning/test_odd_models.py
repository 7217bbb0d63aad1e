"""Odd checkpoints, pruned, measured and exported: the figures are those of the exported folder.

The oracle is transformers and a plain loop over the sentences or the text, on the folder that was exported.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, prune
from kencore.exports.export import export
from kencore.runs.run import Run
from tests.support.tiny_models import SIZES, build
from tests.support.tiny_text import add_tokenizer, write_text

State = dict[str, torch.Tensor]
WINDOW = 16


def _spread(model: Any) -> Any:
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def _classifier(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SIZES, num_labels=3, **settings)
    return _spread(getattr(transformers, f"{name}ForSequenceClassification")(config)).eval()


def _save(model: Any, folder: Path, change: Callable[[State], State] = dict, **config: Any) -> Path:
    model.save_pretrained(folder)
    add_tokenizer(folder)
    state = change(load_file(folder / "model.safetensors"))
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "model.safetensors")
    told = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps({key: value for key, value in told.items() if value is not ...}))
    return folder


def _without(prefix: str) -> Callable[[State], State]:
    return lambda state: {name.removeprefix(prefix): value for name, value in state.items()}


def _under(prefix: str, **more: torch.Tensor) -> Callable[[State], State]:
    return lambda state: (
        {f"{prefix}{name}": value for name, value in state.items()}
        | {name.replace("__", "."): value for name, value in more.items()}
    )


def _untied(state: State) -> State:
    return state | {"lm_head.weight": state["model.embed_tokens.weight"].flip(0)}


def _mixed(state: State) -> State:
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return {name: value.to(kinds[place % 4]) for place, (name, value) in enumerate(sorted(state.items()))}


LANGUAGE: dict[str, tuple[str, Callable[[State], State], dict[str, Any]]] = {
    "a wrapper in a wrapper": ("llama", _under("module._orig_mod."), {}),
    "a language model of a larger one": (
        "llama",
        _under("language_model.", vision_tower__encoder__layers__0__weight=torch.ones(4, 4)),
        {},
    ),
    "a head that is tied by config and stored otherwise": ("qwen3", _untied, {}),
    "a backbone of GPT-2": ("gpt2", _without("transformer."), {}),
    "a trainer's prefix before a tied model": ("gpt2", _under("net.model."), {}),
    "experts behind a wrapper": ("mixtral", _under("_orig_mod."), {}),
    "four dtypes": ("llama", _mixed, {}),
    "an architecture of another type": ("llama", dict, {"architectures": ["MistralForCausalLM"]}),
}


@pytest.mark.parametrize("kind", LANGUAGE)
def test_language_models(kind: str, tmp_path: Path) -> None:
    name, change, config = LANGUAGE[kind]
    folder = _save(_spread(build(name)), tmp_path / "model", change, **config)
    write_text(tmp_path / "t.txt", 200)
    run = prune(
        PruneSpec(
            model=str(folder),
            method="wanda",
            keep=0.5,
            calibration=str(tmp_path / "t.txt"),
            sequences=2,
            window=WINDOW,
            evaluation=str(tmp_path / "t.txt"),
            windows=4,
            baselines=False,
            cost=False,
        ),
        out=tmp_path / "run",
    )
    export(run.path, tmp_path / "out")
    model = _reloaded(transformers.AutoModelForCausalLM, tmp_path / "out")
    assert run.metrics["pruned"]["perplexity"] == pytest.approx(_perplexity(model, tmp_path), rel=1e-4)
    _zeros_are_there(run, tmp_path / "out")


def _reloaded(auto: Any, folder: Path) -> Any:
    model, report = auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]
    return model.eval()


def _perplexity(model: Any, folder: Path) -> float:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "out")
    ids = torch.tensor(tokenizer((folder / "t.txt").read_text())["input_ids"])[: 4 * WINDOW].reshape(4, WINDOW)
    with torch.no_grad():
        losses = [torch.nn.functional.cross_entropy(model(row[None]).logits[0, :-1], row[1:]) for row in ids]
    return math.exp(sum(map(float, losses)) / 4)


def _zeros_are_there(run: Run, folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    for name in run.pruned:
        kept = int(run.matrix(name)["kept"])
        assert int((stored[name] != 0).sum()) <= kept, name


CLASSIFIERS: dict[str, tuple[str, Callable[[State], State], dict[str, Any]]] = {
    "q, k and v in one": ("NomicBert", dict, {}),
    "a backbone's names": ("Bert", _without("bert."), {}),
    "a trainer's prefix": ("Bert", _under("model."), {}),
    "a pretraining head beside": ("Bert", _under("", cls__predictions__bias=torch.zeros(99)), {}),
    "one list of blocks behind DataParallel": ("ModernBert", _under("module."), {}),
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers(kind: str, tmp_path: Path) -> None:
    name, change, config = CLASSIFIERS[kind]
    folder = _save(_classifier(name), tmp_path / "model", change, **config)
    draw = torch.Generator().manual_seed(0)
    words = [" ".join(f"w{i}" for i in torch.randint(3, 99, (n,), generator=draw)) for n in (3, 5, 9, 4, 7, 6)]
    labels = [0, 1, 2, 0, 1, 2]
    lines = "".join(f"{text}\t{label}\n" for text, label in zip(words, labels, strict=True))
    (tmp_path / "d.tsv").write_text(f"sentence\tlabel\n{lines}")
    run = prune(
        PruneSpec(
            model=str(folder),
            method="magnitude",
            keep=0.5,
            evaluation=str(tmp_path / "d.tsv"),
            baselines=False,
            cost=False,
        ),
        out=tmp_path / "run",
    )
    export(run.path, tmp_path / "out")
    model = _reloaded(transformers.AutoModelForSequenceClassification, tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0] for text in words]
    losses = [torch.nn.functional.cross_entropy(row, torch.tensor(y)) for row, y in zip(logits, labels, strict=True)]
    assert run.metrics["pruned"]["loss"] == pytest.approx(float(sum(losses)) / 6, rel=1e-4)
    right = sum(int(row.argmax()) == y for row, y in zip(logits, labels, strict=True))
    assert run.metrics["pruned"]["accuracy"] == pytest.approx(right / 6)
    assert not any("random" in note for note in run.record["notes"])
    _zeros_are_there(run, tmp_path / "out")
