"""Models from files: they answer as the saved folder does, however often they were switched."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

import kencore
from kencore.errors import SpecError, WrongBaseError
from kencore.exports.subnetwork.write import write_subnetwork
from tests.pruning.test_by_bytes import coded
from tests.support.tiny_models import save_pair


def test_a_loaded_model_and_switched_ones_answer_as_the_saved_folders(tmp_path: Path) -> None:
    first = coded(tmp_path, bits=14)
    second = kencore.prune(
        dataclasses.replace(first.spec, method="delta", bits=None, keep=0.3), out=tmp_path / "other", threads=1
    )
    base = str(first.spec.base)
    files = {name: write_subnetwork(run, tmp_path / name) for name, run in (("a", first), ("b", second))}
    ids = torch.arange(5, 15)[None]
    wanted = {}
    for name, run in (("a", first), ("b", second)):
        model = AutoModelForSequenceClassification.from_pretrained(run.save_pretrained(tmp_path / f"saved-{name}"))
        wanted[name] = model.eval()(input_ids=ids).logits
    assert not torch.equal(wanted["a"], wanted["b"])
    assert torch.equal(kencore.load(base, files["a"])(input_ids=ids).logits, wanted["a"])
    with kencore.TunedModels(base, files) as models:
        for name in ("a", "b", "a", "a", "b"):
            model = models.switch(name)
            assert models.now == name
            assert torch.equal(model(input_ids=ids).logits, wanted[name])
        with pytest.raises(SpecError, match="one of a, b"):
            models.switch("c")
    with pytest.raises(SpecError, match="files: none"):
        kencore.TunedModels(base, {})
    other, _ = save_pair("gpt2", tmp_path / "gpt2")
    with pytest.raises(WrongBaseError):
        kencore.TunedModels(other, files)
