"""How near predictions are to the dense model's, of every state that a run is measured in, against plain torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kencore import PruneSpec, prune
from kencore.quality.states import baseline_state, pruned_state
from tests.support.classifiers import WORDS, save_tokenizer
from tests.support.tiny_models import save_pair

WINDOW = 16


def test_every_step_says_how_near_its_predictions_are(tmp_path: Path) -> None:
    base, tuned = save_pair("llama", tmp_path, change=0.3, dtype=torch.bfloat16)
    for side in (base, tuned):
        save_tokenizer(side)
    words = torch.randint(len(WORDS), (300,), generator=torch.Generator().manual_seed(1))
    text = tmp_path / "text.txt"
    text.write_text(" ".join(WORDS[i] for i in words), "utf-8")
    asked = {"keep": 0.4, "method": "ken", "evaluation": str(text), "baselines": True, "cost": False, "window": WINDOW}
    reset = prune(PruneSpec(model=str(tuned), base=str(base), **asked), out=tmp_path / "run")  # type: ignore[arg-type]
    dense = predictions(load_file(tuned / "model.safetensors"), tuned, text)
    states = {"base": load_file(base / "model.safetensors"), "pruned": dict(pruned_state(reset))}
    states |= {rule: dict(baseline_state(reset, rule, 1)) for rule in reset.metrics["baselines"]}
    for name, state in states.items():
        found = predictions(load_file(tuned / "model.safetensors") | state, tuned, text)
        kl = same = 0.0
        for before, after in zip(dense, found, strict=True):
            kl += float((before.exp() * (before - after)).sum()) / len(dense)
            same += float(before.argmax() == after.argmax()) / len(dense)
        said = (reset.metrics["baselines"].get(name) or reset.metrics[name])["versus_dense"]
        assert said["kl"] == pytest.approx(kl, rel=1e-4), name
        assert said["same_answer"] == pytest.approx(same), name
        assert "kl_windows" not in said
    assert all("kl" not in one["versus_pruned"] for one in reset.metrics["baselines"].values())


def predictions(state: dict[str, torch.Tensor], like: Path, text: Path) -> list[torch.Tensor]:
    """Log-probabilities (V,), float64, of every predicted token, by transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(like, dtype=torch.float32).eval()
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)
    tokens = AutoTokenizer.from_pretrained(like)(text.read_text())["input_ids"]
    found = []
    with torch.no_grad():
        for i in range(0, len(tokens) - WINDOW + 1, WINDOW):
            logits = network(input_ids=torch.tensor([tokens[i : i + WINDOW]])).logits[0, :-1]
            found += list(logits.double().log_softmax(dim=1))
    return found
