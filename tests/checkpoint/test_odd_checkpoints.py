"""Checkpoints that are not what today's save_pretrained writes: older names, extra or missing
tensors, ties stored twice, other dtypes, configs that do not fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import transformers

from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.parameter import Layout, Parameter
from kencore.errors import ConfigError
from tests.checkpoint.conftest import Pairs
from tests.checkpoint.files import hollow, rewrite
from tests.support.tiny_models import build

State = dict[str, torch.Tensor]


def test_names_of_old_checkpoints(pairs: Pairs, tmp_path: Path) -> None:
    def old(state: State) -> State:
        names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        pattern = re.compile("|".join(map(re.escape, names)))
        return {pattern.sub(lambda m: names[m[0]], key): value for key, value in state.items()}

    new = read_layout(pairs("bert")[1])
    layout = read_layout(rewrite(pairs("bert")[1], tmp_path, old))
    assert any(parameter.name.endswith("gamma") for parameter in layout.parameters)
    assert _roles(layout) == _roles(new)
    assert [p.model_name for p in layout.parameters] == [p.name for p in new.parameters]
    assert layout.notes == ()


def test_names_without_the_prefix_of_the_base_model(pairs: Pairs, tmp_path: Path) -> None:
    def bare(state: State) -> State:
        return {key.removeprefix("bert."): value for key, value in state.items()}

    layout = read_layout(rewrite(pairs("bert")[1], tmp_path, bare))
    assert _roles(layout) == _roles(read_layout(pairs("bert")[1]))
    assert layout.parameters[0].name == "embeddings.word_embeddings.weight"


def test_names_with_a_prefix_that_the_model_has_not(pairs: Pairs, tmp_path: Path) -> None:
    def drop_head(state: State) -> State:
        return {key: value for key, value in state.items() if key.startswith("bert.")}

    folder = rewrite(pairs("bert")[1], tmp_path, drop_head, architectures=["BertModel"])
    layout = read_layout(folder)
    assert layout.architecture == "BertModel"
    assert layout.blocks == 2
    assert layout.notes == ()
    assert {p.model_name.split(".")[0] for p in layout.parameters} == {"embeddings", "encoder", "pooler"}


def test_tensors_that_the_model_does_not_know(pairs: Pairs, tmp_path: Path) -> None:
    extra = {
        "model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "model.layers.1.self_attn.g_proj.weight": torch.ones(3, 32),
        "layers.0.self_attn.extra_norm.weight": torch.ones(32),
        "cls.seq_relationship.weight": torch.ones(2, 32),
        "position_ids": torch.arange(4),
    }
    folder = rewrite(pairs("llama")[1], tmp_path, lambda state: state | extra)
    found = _by_name(read_layout(folder))
    inv_freq, g_proj, norm, head, ids = (found[name] for name in extra)
    assert inv_freq.reason == "a buffer, not a trained weight"
    assert (g_proj.role, g_proj.part, g_proj.block) == ("other", "attention", 1)
    assert (norm.role, norm.part, norm.block, norm.stack) == ("norm", "norm", 0, "blocks")
    assert (head.role, head.part, head.block) == ("head", "head", None)
    assert ids.reason == "a buffer, not a trained weight: stored as I64"
    assert all(parameter.model_name == "" for parameter in (inv_freq, g_proj, norm, head, ids))
    (note,) = read_layout(folder).notes
    assert note.startswith("LlamaForCausalLM does not use ")
    assert "g_proj" in note
    assert "inv_freq" not in note


def test_missing_tensors_are_noted(pairs: Pairs, tmp_path: Path) -> None:
    def headless(state: State) -> State:
        return {key: value for key, value in state.items() if not key.startswith("classifier")}

    layout = read_layout(rewrite(pairs("bert")[1], tmp_path, headless))
    (note,) = layout.notes
    assert note == ("Not on disk, so random when the model is loaded: classifier.weight, classifier.bias.")


@pytest.mark.parametrize("name", ["gpt2", "t5", "bart", "gemma2"])
def test_tied_weights_stored_twice_are_counted_once(pairs: Pairs, tmp_path: Path, name: str) -> None:
    plain = read_layout(pairs(name)[1])
    (embedding,) = [parameter for parameter in plain.parameters if parameter.aliases]

    def twice(state: State) -> State:
        return state | {"lm_head.weight": state[embedding.name].clone()}

    layout = read_layout(rewrite(pairs(name)[1], tmp_path, twice))
    (twin,) = [parameter for parameter in layout.parameters if parameter.aliases]
    assert {twin.name, *twin.aliases} == {embedding.name, *embedding.aliases}
    assert (twin.role, twin.part) == ("embedding", "embedding")
    assert sum(p.params for p in layout.parameters) == sum(p.params for p in plain.parameters)
    assert layout.notes == ()


def test_tied_weights_stored_twice_and_different_are_two(pairs: Pairs, tmp_path: Path) -> None:
    def untied(state: State) -> State:
        return state | {"lm_head.weight": state["transformer.wte.weight"] + 1}

    layout = read_layout(rewrite(pairs("gpt2")[1], tmp_path, untied))
    found = _by_name(layout)
    assert layout.notes == (
        "config.json ties transformer.wte.weight and lm_head.weight, but their values differ: each is used as it is.",
    )
    assert found["lm_head.weight"].role == "head"
    assert found["lm_head.weight"].aliases == found["transformer.wte.weight"].aliases == ()


def test_tied_weights_stored_under_the_head_s_name(pairs: Pairs, tmp_path: Path) -> None:
    def swapped(state: State) -> State:
        return {key.replace("transformer.wte", "lm_head"): value for key, value in state.items()}

    layout = read_layout(rewrite(pairs("gpt2")[1], tmp_path, swapped))
    (tied,) = [parameter for parameter in layout.parameters if parameter.aliases]
    assert (tied.name, tied.aliases) == ("lm_head.weight", ("transformer.wte.weight",))
    assert tied.role == "embedding"
    assert layout.notes == ()


def test_stored_masks_and_numbers_are_no_parameters(pairs: Pairs, tmp_path: Path) -> None:
    beside = {
        "model.mask": torch.ones(4, 4, dtype=torch.bool),
        "step": torch.tensor(3),
        "model.layers.0.spare": torch.zeros(7),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
    }
    layout = read_layout(rewrite(pairs("llama")[1], tmp_path, lambda state: state | beside))
    counted = [p for p in layout.parameters if p.trained]
    assert sum(p.params for p in counted) == sum(weight.numel() for weight in build("llama").parameters())
    assert {p.name for p in layout.parameters} - {p.name for p in counted} == set(beside)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.zeros(32, 32, dtype=torch.int8), "stored as I8"),
        (torch.zeros(32, 32, dtype=torch.bool), "stored as BOOL"),
        (torch.zeros(32, 32).to(torch.float8_e4m3fn), "stored as F8_E4M3"),
        (torch.zeros(32, 32, dtype=torch.complex64), "stored as C64"),
        (torch.zeros(32, 32, dtype=torch.float64), ""),
        (torch.zeros(32, 32, dtype=torch.bfloat16), ""),
        (torch.zeros(()), "a single number"),
        (torch.zeros(0, 32), "empty"),
        (torch.zeros(2, 4, 4), "3 dimensions"),
    ],
)
def test_reasons_against_pruning(pairs: Pairs, tmp_path: Path, tensor: torch.Tensor, reason: str) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    folder = rewrite(pairs("llama")[1], tmp_path, lambda state: state | {name: tensor})
    layout = read_layout(folder)
    q = _by_name(layout)[name]
    assert q.reason.startswith(reason)
    assert q.prunable == (reason == "")
    assert q.rows * q.cols == q.params == tensor.numel()
    shape = tuple(tensor.shape)
    noted = (f"Of another shape than config.json says: {name}.",)
    assert layout.notes == (() if shape == (32, 32) else noted)


def test_fused_experts_are_a_matrix_for_each_expert(pairs: Pairs, tmp_path: Path) -> None:
    def fuse(state: State) -> State:
        kept = {key: value for key, value in state.items() if ".experts." not in key}
        for block in range(2):
            path = f"model.layers.{block}.mlp.experts"
            kept |= {f"{path}.gate_up_proj": torch.zeros(3, 96, 32)}
            kept |= {f"{path}.down_proj": torch.zeros(3, 32, 48)}
        return kept

    found = _by_name(read_layout(rewrite(pairs("mixtral")[1], tmp_path, fuse)))
    for expert in range(3):
        up, down = (found[f"model.layers.1.mlp.experts.{x}.{expert}"] for x in ("gate_up_proj", "down_proj"))
        assert (up.role, up.part, up.block, up.expert, up.first) == ("gate_up", "feed-forward", 1, expert, 0)
        assert (down.role, down.part, down.block, down.expert) == ("down", "feed-forward", 1, expert)
        assert (up.rows, up.cols, down.rows, down.cols) == (96, 32, 32, 48)
        assert up.measured
        assert down.measured


@pytest.mark.parametrize(("settings", "said"), [({"quant_method": "gptq"}, "gptq"), ({"bits": 4}, "method unknown")])
def test_a_quantised_checkpoint_is_noted(pairs: Pairs, tmp_path: Path, settings: dict[str, object], said: str) -> None:
    folder = rewrite(pairs("llama")[1], tmp_path, quantization_config=settings)
    assert read_layout(folder).notes == (f"Quantised ({said}): packed weights cannot be pruned.",)


@pytest.mark.parametrize(
    ("architectures", "said"),
    [(..., "names no architecture"), ([], "names no architecture"), (["MyBert"], "names MyBert")],
)
def test_an_architecture_that_is_not_known_is_read_as_the_base_model(
    pairs: Pairs, tmp_path: Path, architectures: object, said: str
) -> None:
    layout = read_layout(rewrite(pairs("bert")[1], tmp_path, architectures=architectures))
    assert layout.architecture == "BertModel"
    assert said in layout.notes[0]
    assert _by_name(layout)["classifier.weight"].part == "head"


def test_code_of_the_checkpoint_is_never_run(pairs: Pairs, tmp_path: Path) -> None:
    code = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    folder = rewrite(pairs("llama")[1], tmp_path, auto_map=code)
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    assert read_layout(folder).architecture == "LlamaForCausalLM"
    rewrite(pairs("llama")[1], tmp_path, auto_map=code, model_type="evil")
    with pytest.raises(ConfigError, match=r"model type 'evil'.*Update transformers"):
        read_layout(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "without model_type"),
        ("{}", "without model_type"),
        ('{"model_type": 3}', "without model_type"),
        ('{"model_type": "no-such-model"}', "model type 'no-such-model'"),
        ('{"model_type": "bert", "hidden_size": "wide"}', "config.json of wrong values"),
        ('{"model_type": "bert", "hidden_size": 30, "num_attention_heads": 4}', "can be built from"),
        ('{"model_type": "bert", "hidden_size": -3}', "can be built from"),
    ],
)
def test_a_config_that_does_not_do(pairs: Pairs, tmp_path: Path, text: str, said: str) -> None:
    # named bert: a folder's name is no model type
    folder = rewrite(pairs("bert")[1], tmp_path / "bert")
    (folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        read_layout(folder)
    assert str(folder) in str(caught.value)


def test_no_config_at_all(pairs: Pairs, tmp_path: Path) -> None:
    (rewrite(pairs("bert")[1], tmp_path) / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config\.json"):
        read_layout(tmp_path)


def test_reading_a_layout_leaves_transformers_as_it_was(pairs: Pairs) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), torch.get_rng_state(), torch.get_default_device()
    read_layout(pairs("llama")[1])
    assert logging.get_verbosity() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.get_default_device() == before[2]


def test_a_model_of_seven_billion_is_described_from_its_headers(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig())
    layout = read_layout(hollow(tmp_path, model))
    assert sum(parameter.params for parameter in layout.prunable) == 6_738_415_616
    assert layout.blocks == 32


# beyond the supported ones: other families at their default sizes, and their roles in a block
OTHERS = {
    "Gemma3ForCausalLM": "q k v o gate up down",
    "Phi3ForCausalLM": "qkv o gate_up down",
    "MptForCausalLM": "qkv o up down",
    "GPTNeoForCausalLM": "q k v o up down",
    "BertForPreTraining": "q k v o up down",
    "DebertaForSequenceClassification": "qkv o up down",
    "MPNetForSequenceClassification": "q k v o up down",
    "DistilBertForMaskedLM": "q k v o up down",
    "T5EncoderModel": "q k v o up down",
    "Dinov2Model": "q k v o up down",
    "MambaForCausalLM": "other other other other other",
    "Wav2Vec2ForCTC": None,
    "CLIPModel": None,
    "FunnelForSequenceClassification": None,
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_are_described_too(tmp_path: Path, name: str) -> None:
    kind = getattr(transformers, name)
    with torch.device("meta"):
        model = kind(kind.config_class())
    layout = read_layout(hollow(tmp_path, model))
    total = sum(parameter.params for parameter in layout.parameters)
    saved = set(model.state_dict())
    buffers = sum(value.numel() for key, value in model.named_buffers() if key in saved)
    assert total == sum(p.numel() for p in model.parameters()) + buffers
    assert {p.model_name for p in layout.parameters} == saved - set(model.all_tied_weights_keys)
    if OTHERS[name] is not None:
        roles = [p.role for p in layout.parameters if p.block == 1 and len(p.shape) == 2 and p.role != "embedding"]
        assert sorted(roles) == sorted(OTHERS[name].split())


def _by_name(layout: Layout) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in layout.parameters}


def _roles(layout: Layout) -> list[tuple[object, ...]]:
    return [(p.shape, p.role, p.part, p.block, p.stack, p.reason) for p in layout.parameters]
