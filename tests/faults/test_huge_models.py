"""A small folder whose config asks for a huge model is refused before anything is built."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from kencore import PruneSpec, prune
from kencore.checkpoint.config import read_config
from kencore.checkpoint.sizes import OnDisk, check_sizes
from kencore.checkpoint.skeleton import read_skeleton
from kencore.errors import ConfigError, KencoreError
from kencore.models.classifier import Classifier
from kencore.models.inspect import inspect
from kencore.models.language import LanguageModel
from kencore.system.places import assets_folder
from tests.support.tiny_models import save_pair

HUGE = (10**6, 10**12, 10**400)
BERT = ("num_labels", "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings")
LLAMA = ("num_hidden_layers", "hidden_size", "vocab_size", "intermediate_size", "num_attention_heads", "num_labels")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    gpt2 = save_pair("gpt2", tmp_path_factory.mktemp("gpt2"))[1]
    demo = assets_folder() / "demo"
    return {"bert": demo / "encoder" / "tuned", "llama": demo / "lm" / "tuned", "gpt2": gpt2}


def changed(source: Path, folder: Path, **values: Any) -> Path:
    shutil.copytree(source, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))
    return folder


@pytest.mark.parametrize("value", HUGE, ids=lambda value: f"{value:.0e}" if value < 10**300 else "10^400")
@pytest.mark.parametrize(
    ("kind", "name"),
    [*(("bert", name) for name in BERT), *(("llama", name) for name in LLAMA), ("gpt2", "n_layer"), ("gpt2", "n_embd")],
)
def test_a_size_that_no_weights_answer_to_is_refused_at_once(
    folders: dict[str, Path], tmp_path: Path, kind: str, name: str, value: int
) -> None:
    folder = changed(folders[kind], tmp_path / "model", **{name: value})
    before, began = psutil.Process().memory_info().rss, time.process_time()
    loads = {"bert": Classifier.load, "llama": LanguageModel.load, "gpt2": LanguageModel.load}[kind]
    for call in (lambda: inspect(str(folder)), lambda: loads(folder, device="cpu")):
        try:
            call()
        except KencoreError:
            continue
        assert (kind, name) in {("llama", "num_labels")}, "it was built"
    with pytest.raises(KencoreError):
        prune(PruneSpec(model=str(folder), base=str(folders[kind]), method="delta", keep=0.5), out=tmp_path / "run")
    assert time.process_time() - began < 20  # it was 10^12 layers
    assert psutil.Process().memory_info().rss - before < 256 * 2**20


def test_every_whole_number_of_a_config_is_looked_at(tmp_path: Path) -> None:
    disk = OnDisk(tensors=40, elements=10**6, widest=1000)
    for fine in (
        {"num_labels": 1000, "n_layer": 48, "rope_theta": 10**9, "eos_token_id": 10**9, "text": {"depths": [2, 18]}},
        {"max_position_embeddings": 10**7, "rope_scaling": {"type": "yarn"}, "block_size": 4096, "layer_norm_eps": 0.1},
    ):
        check_sizes(tmp_path, fine, disk)
    for wrong in (
        {"text_config": {"num_hidden_layers": 10**4}},
        {"depths": [2, 10**4]},
        {"num_labels": 1001},
        {"max_position_embeddings": 10**7},
        {"anything": 10**9},
        {"num_layers": 1e12},
    ):
        with pytest.raises(ConfigError, match="asks for"):
            check_sizes(tmp_path, wrong, disk)


def test_parts_are_counted_while_a_model_is_put_together(folders: dict[str, Path], tmp_path: Path) -> None:
    """A number with a name that nobody knows: here one that says how many experts a layer has."""
    config = {
        "model_type": "switch_transformers",
        "architectures": ["SwitchTransformersForConditionalGeneration"],
        "num_experts": 10**6,
        "num_sparse_encoder_layers": 1,
        "d_model": 8,
        "d_ff": 8,
        "d_kv": 4,
        "num_heads": 2,
    }
    folder = changed(folders["gpt2"], tmp_path / "model", **config)
    with pytest.raises(ConfigError, match="asks for"):
        read_skeleton(folder)


WRONG: tuple[Any, ...] = (5, [5], {"a": []}, -1, 1e400, None)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_field_of_another_type_is_an_error_of_ours(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    folder = changed(folders[kind], tmp_path / "model")
    plain = read_config(folder)
    for name in ("architectures", "model_type", "id2label", "problem_type", "num_hidden_layers", "n_layer"):
        for value in WRONG:
            (folder / "config.json").write_text(json.dumps(plain | {name: value}))
            with contextlib.suppress(KencoreError):  # anything else is not ours
                read_skeleton(folder)
    (folder / "config.json").write_text(json.dumps(plain | {"architectures": [5]}))
    with pytest.raises(ConfigError, match="architectures"):
        read_skeleton(folder)
