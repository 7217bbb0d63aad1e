"""Roles told from names alone, as for tensors that the model does not know."""

from __future__ import annotations

import pytest

from kencore.checkpoint.roles import classify


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # one of each family, inside a block
        ("model.layers.0.self_attn.q_proj.weight", "q attention"),
        ("model.layers.0.self_attn.k_proj.bias", "bias attention"),
        ("bert.encoder.layer.0.attention.self.value.weight", "v attention"),
        ("bert.encoder.layer.0.attention.output.dense.weight", "o attention"),
        ("bert.encoder.layer.0.intermediate.dense.weight", "up feed-forward"),
        ("bert.encoder.layer.0.output.dense.weight", "down feed-forward"),
        ("bert.encoder.layer.0.output.LayerNorm.gamma", "norm norm"),
        ("distilbert.transformer.layer.0.attention.out_lin.weight", "o attention"),
        ("distilbert.transformer.layer.0.sa_layer_norm.weight", "norm norm"),
        ("transformer.h.0.attn.c_attn.weight", "qkv attention"),
        ("transformer.h.0.attn.c_proj.weight", "o attention"),
        ("transformer.h.0.mlp.c_proj.weight", "down feed-forward"),
        ("transformer.h.0.mlp.c_proj.bias", "bias feed-forward"),
        ("transformer.h.0.ln_1.weight", "norm norm"),
        ("gpt_neox.layers.0.attention.query_key_value.weight", "qkv attention"),
        ("gpt_neox.layers.0.mlp.dense_4h_to_h.weight", "down feed-forward"),
        ("model.decoder.layers.0.fc1.weight", "up feed-forward"),
        ("model.decoder.layers.0.fc2.bias", "bias feed-forward"),
        ("model.decoder.layers.0.encoder_attn.out_proj.weight", "o attention"),
        ("model.layers.0.attn.Wqkv.weight", "qkv attention"),
        ("model.layers.0.attn.Wo.weight", "o attention"),
        ("model.layers.0.mlp.Wi.weight", "gate_up feed-forward"),
        ("model.layers.0.mlp.Wo.weight", "down feed-forward"),
        ("encoder.block.0.layer.0.SelfAttention.o.weight", "o attention"),
        ("encoder.block.0.layer.1.DenseReluDense.wi_0.weight", "gate feed-forward"),
        ("encoder.block.0.layer.1.DenseReluDense.wi_1.weight", "up feed-forward"),
        ("encoder.block.0.layer.1.DenseReluDense.wi.weight", "up feed-forward"),
        ("encoder.block.0.layer.1.DenseReluDense.wo.weight", "down feed-forward"),
        ("model.layers.0.self_attn.qkv_proj.weight", "qkv attention"),
        ("model.layers.0.mlp.gate_up_proj.weight", "gate_up feed-forward"),
        ("model.layers.0.block_sparse_moe.experts.7.w1.weight", "gate feed-forward"),
        ("model.layers.0.block_sparse_moe.experts.7.w2.weight", "down feed-forward"),
        ("model.layers.0.block_sparse_moe.experts.7.w3.weight", "up feed-forward"),
        ("model.layers.0.block_sparse_moe.gate.weight", "router feed-forward"),
        ("model.layers.0.mlp.experts.3.down_proj.weight", "down feed-forward"),
        ("model.layers.0.mlp.shared_expert_gate.weight", "router feed-forward"),
        ("model.layers.0.mlp.experts.gate_up_proj", "gate_up feed-forward"),
        ("model.layers.0.mlp.experts.down_proj_bias", "bias feed-forward"),
        ("model.layers.0.self_attn.q_norm.weight", "norm norm"),
        ("rwkv.blocks.0.attention.key.weight", "k attention"),
        ("rwkv.blocks.0.attention.output.weight", "o attention"),
        ("rwkv.blocks.0.feed_forward.key.weight", "other feed-forward"),
        ("backbone.layers.0.mixer.in_proj.weight", "other other"),
        ("encoder.blocks.0.0.ffn.linear_1.weight", "up feed-forward"),
        ("transformer.layer.0.ff.layer_2.weight", "down feed-forward"),
        ("transformer.layer.0.rel_attn.q", "q attention"),
        ("vision_model.encoder.layers.0.self_attn.projection.weight", "o attention"),
        ("model.layers.0.linear_1.weight", "other other"),
        ("model.layers.0.strange.thing", "other other"),
    ],
)
def test_inside_a_block(name: str, expected: str) -> None:
    assert " ".join(classify(name, in_block=True)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.embed_tokens.weight", "embedding embedding"),
        ("transformer.wte.weight", "embedding embedding"),
        ("transformer.wpe.weight", "embedding embedding"),
        ("embeddings.position_embeddings.weight", "embedding embedding"),
        ("embeddings.LayerNorm.weight", "norm norm"),
        ("model.norm.weight", "norm norm"),
        ("transformer.ln_f.bias", "norm norm"),
        ("bert.pooler.dense.weight", "pooler pooler"),
        ("bert.pooler.dense.bias", "bias pooler"),
        ("classifier.weight", "head head"),
        ("classifier.out_proj.bias", "bias head"),
        ("classifier.norm.weight", "norm head"),
        ("lm_head.weight", "head head"),
        ("lm_head.bias", "bias head"),
        ("cls.predictions.transform.LayerNorm.weight", "norm head"),
        ("cls.predictions.bias", "bias head"),
        ("score.weight", "head head"),
        ("something.else.weight", "other other"),
        ("weight", "other other"),
    ],
)
def test_outside_of_the_blocks(name: str, expected: str) -> None:
    assert " ".join(classify(name)) == expected


def test_what_is_known_of_the_model_goes_before_the_name() -> None:
    assert classify("final.weight", module="LlamaRMSNorm") == ("norm", "norm")
    assert classify("normal.weight", module="Linear") == ("other", "other")
    assert classify("tokens.weight", module="Embedding") == ("embedding", "embedding")
    assert classify("patches.embedding.weight", module="Conv2d") == ("embedding", "embedding")
    assert classify("project.weight", module="Linear", in_head=True) == ("head", "head")
    assert classify("cls.weight", module="Linear", in_head=False) == ("other", "other")
    # a block is never the head, whatever its modules are called
    assert classify("head.layers.0.q_proj.weight", in_block=True) == ("q", "attention")
