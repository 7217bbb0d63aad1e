"""What an exported folder holds: all that belongs to the model, nothing else, and it loads as the model did."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import save_file

from kencore import PruneSpec, Run, prune
from kencore.checkpoint.companions import companions, left_behind, may_travel
from kencore.exports.export import export
from kencore.exports.subnetwork.open import restore_subnetwork
from kencore.exports.subnetwork.write import write_subnetwork
from tests.support.classifiers import build, save_tokenizer
from tests.support.tiny_models import build as build_model

BELONGS = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "source.spm",
    "bpe.codes",
    "qwen.tiktoken",
    "chat_template.jinja",
    "chat_templates/tool.jinja",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "LICENSE",
]
STAYS = [
    "pytorch_model.bin",
    "model.fp16.safetensors",
    "tf_model.h5",
    "modeling_own.py",
    "run.sh",
    "lora/adapter_model.safetensors",
    "lora/adapter_config.json",
    "optimizer.pt",
    "trainer_state.json",
    "training_args.bin",
    "rng_state.pth",
    "checkpoint-500/model.safetensors",
    "checkpoint-500/tokenizer.json",
    "onnx/model.onnx",
    "onnx/config.json",
    "original/params.json",
    "original/consolidated.00.pth",
    "runs/now/events.out.tfevents.1",
    ".cache/x.json",
    "3_Other/pytorch_model.bin",
]
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense/", "type": "sentence_transformers.models.Dense"},
    {"idx": 3, "name": "3", "path": "3_Other", "type": "sentence_transformers.models.Dense"},
    {"idx": 4, "name": "4", "path": "../../outside", "type": "sentence_transformers.models.Dense"},
]


def furnish(folder: Path) -> None:
    """Put a file of every kind into a model's folder."""
    for name in BELONGS + STAYS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".safetensors"):
            save_file({"linear.weight": np.ones((2, 2), np.float32)}, folder / name)
        elif not (folder / name).exists():
            (folder / name).write_text(f'{{"name": "{name}"}}')
    (folder / "modules.json").write_text(json.dumps(MODULES))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# My model\n")


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a model in a folder with much beside it."""
    folder = tmp_path_factory.mktemp("furnished")
    build("bert", {0: "bad", 1: "good"}).save_pretrained(folder / "model")
    save_tokenizer(folder / "model")
    furnish(folder / "model")
    (folder / "model" / "linked.json").symlink_to("/etc/hostname")
    return prune(PruneSpec(model=str(folder / "model"), method="magnitude", keep=0.5), out=folder / "run")


def test_a_folder_holds_all_that_is_not_weights(furnished: Run, tmp_path: Path) -> None:
    facts = export(furnished.path, tmp_path / "out")
    found, source = files(tmp_path / "out"), files(Path(furnished.spec.model))
    assert set(found) == {"config.json", "model.safetensors", "README.md", *BELONGS}
    for name in ["config.json", *BELONGS]:
        assert found[name] == source[name], name
    assert facts["bytes"] == sum(map(len, found.values()))
    assert set(facts["left_behind"]) == {"modeling_own.py", "run.sh", "3_Other/pytorch_model.bin", "linked.json"}
    assert "safetensors" in facts["left_behind"]["3_Other/pytorch_model.bin"]


def test_the_card_says_what_was_done(furnished: Run, tmp_path: Path) -> None:
    card = (furnished.save_pretrained(tmp_path / "out") / "README.md").read_text("utf-8")
    assert card.startswith("---\nlicense: mit\n---\n# My model\n\n## Pruned with KEN_viz\n")
    totals = furnished.totals
    assert f"{totals['kept']:,} of {totals['pruned']:,} values" in card
    assert "`magnitude`" in card
    assert "`model`" in card
    assert str(Path(furnished.spec.model).parent) not in card  # where it lay is nobody else's business
    # what is pruned again has one such section
    again = prune(PruneSpec(model=str(tmp_path / "out"), method="magnitude", keep=0.25), out=tmp_path / "run")
    card = (again.save_pretrained(tmp_path / "more") / "README.md").read_text("utf-8")
    assert card.count("## Pruned with KEN_viz") == 1


def test_the_small_file_restores_the_same_folder(furnished: Run, tmp_path: Path) -> None:
    write_subnetwork(furnished, tmp_path / "small")
    restored = restore_subnetwork(tmp_path / "small", None, tmp_path / "restored")
    assert files(restored) == files(furnished.save_pretrained(tmp_path / "saved"))


@pytest.mark.parametrize(
    "name",
    [
        "../a.json",
        "/a.json",
        "a/../../b.json",
        "C:/a.json",
        "a\\b.json",
        ".bashrc",
        "a/.x/b.json",
        "run.py",
        "a/b.SO",
        "model.safetensors",
        "a.bin",
        "a/b.bin",
        "a/b/c/d.json",
        "",
        "a.",
        "a /b",
        "a\0.json",
        "a//b.json",
        "./a.json",
        3,
    ],
)
def test_names_that_no_file_of_a_model_has(name: Any) -> None:
    assert not may_travel(name)


def test_a_folder_without_anything_beside_its_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "modules.json").write_text('{"not": "a list"}')
    assert list(companions(tmp_path)) == ["config.json", "modules.json"]
    assert left_behind(tmp_path) == {}


# --- exports load as the models did ---------------------------------------------------------------

CLASSES = {
    "classifier": "AutoModelForSequenceClassification",
    "decoder": "AutoModelForCausalLM",
    "encoder": "AutoModel",
}
LOADED = """
import json, sys, torch, transformers
transformers.utils.logging.set_verbosity_error(); transformers.utils.logging.disable_progress_bar()
found = {}
for kind, folder, auto in json.loads(sys.argv[1]):
    model, said = getattr(transformers, auto).from_pretrained(folder, output_loading_info=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer("a good film and a bad story", return_tensors="pt")
    inputs = {k: v for k, v in inputs.items() if k in ("input_ids", "attention_mask")}
    with torch.no_grad():
        answer = model.eval()(**inputs)
    found[kind] = {
        "model": type(model).__name__, "tokenizer": type(tokenizer).__name__, "ids": inputs["input_ids"].tolist(),
        "template": tokenizer.chat_template, "length": tokenizer.model_max_length,
        "answer": answer[0].flatten().tolist(), "said": {k: sorted(map(str, v)) for k, v in said.items()},
        "ends": getattr(getattr(model, "generation_config", None), "max_length", None),
    }
print(json.dumps(found))
"""


def test_exports_load_in_a_clean_process_and_answer_alike(tmp_path: Path) -> None:
    made: dict[str, Run] = {}
    for kind, model in {
        "classifier": build("roberta", {0: "bad", 1: "good"}),
        "decoder": build_model("qwen2"),
        "encoder": build_model("bert").base_model,
    }.items():
        folder = tmp_path / kind
        if kind == "decoder":
            model.generation_config.max_length = 17
        model.save_pretrained(folder, max_shard_size="30KB" if kind == "decoder" else "1GB")
        save_tokenizer(folder)
        if kind == "decoder":
            (folder / "chat_template.jinja").write_text("{{ messages }}")
        made[kind] = prune(PruneSpec(model=str(folder), method="magnitude", keep=0.5), out=tmp_path / f"{kind}-run")
        made[kind].save_pretrained(tmp_path / f"{kind}-out")
    asked = [(f"{kind}{end}", str(tmp_path / f"{kind}{end}"), CLASSES[kind]) for kind in made for end in ("", "-out")]
    done = subprocess.run([sys.executable, "-c", LOADED, json.dumps(asked)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for kind, run in made.items():
        before, after = found[kind], found[f"{kind}-out"]
        same = ("model", "tokenizer", "ids", "template", "length", "ends", "said")
        assert {name: before[name] for name in same} == {name: after[name] for name in same}
        assert not any(after["said"].values())
        model = getattr(transformers, CLASSES[kind]).from_pretrained(tmp_path / kind)
        model.load_state_dict(run.apply(), strict=False)
        with torch.no_grad():
            wanted = model.eval()(input_ids=torch.tensor(before["ids"]))[0].flatten()
        np.testing.assert_allclose(after["answer"], wanted, rtol=1e-4, atol=1e-5)
        assert not np.allclose(before["answer"], after["answer"], rtol=1e-2)
    assert found["decoder-out"]["ends"] == 17
    assert found["decoder-out"]["template"] == "{{ messages }}"
