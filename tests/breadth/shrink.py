"""Small configs of any model type: known sizes are set small, all else stays as its class has it.

A size is set only where the class has such a field and uses it: what is ``None``, 0 or empty by
default is off or follows from other fields, and is left alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig

VOCABULARY = 64
HIDDEN, HEADS, KEYS, HEAD, INNER = 32, 4, 2, 8, 48
BLOCKS, MIXED_BLOCKS = 2, 4  # stacks whose blocks differ get more, so that each kind is there
POSITIONS = 64

_GROUPS: list[tuple[int, str]] = [
    (
        VOCABULARY,
        """vocab_size decoder_vocab_size vocab_size_per_layer_input unpadded_vocab_size entity_vocab_size
        encoder_hash_byte_group_vocab ngram_vocab_size_base pronunciation_vocab_size shape_vocab_size
        codebook_size audio_vocab_size num_hash_buckets max_xpath_tag_unit_embeddings
        max_xpath_subs_unit_embeddings""",
    ),
    (
        HIDDEN,
        """hidden_size d_model n_embd dim emb_dim embed_dim embedding_size input_embedding_size output_embedding_size
        word_embed_proj_dim d_latents entity_emb_size hidden_size_global embedding_dim backbone_hidden_size
        out_hidden_size projector_input_dim projector_output_dim vision_output_dim attention_hidden_size lru_width
        prediction_head_size audio_embed_dim mm_embed_dim output_proj_dims pronunciation_embed_dim shape_embed_dim
        resnet_dim intra_bottleneck_size true_hidden_size output_num_channels adapter_in_dim adapter_out_dim
        adapter_input_size""",
    ),
    (
        INNER,
        """intermediate_size d_ff ffn_dim dff dim_ff hidden_dim n_inner d_inner encoder_ffn_dim decoder_ffn_dim
        ffn_hidden_size mlp_dim moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size
        shared_experts_intermediate_size expert_ffn_hidden_size dense_intermediate_size intermediate_size_mlp
        prefix_dense_intermediate_size moe_shared_expert_intermediate_size feed_forward_size prompt_mid_dim""",
    ),
    (
        HEADS,
        """num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads
        attention_heads num_self_attention_heads num_cross_attention_heads num_encoder_attention_heads
        num_decoder_attention_heads swa_num_attention_heads conf_num_attention_heads linear_num_heads
        linear_num_value_heads index_n_heads indexer_n_heads num_local_experts num_experts n_routed_experts
        moe_num_experts""",
    ),
    (
        KEYS,
        """num_key_value_heads num_kv_heads kv_n_heads swa_num_key_value_heads linear_num_key_heads
        num_global_key_value_heads num_experts_per_tok moe_top_k moe_topk moe_k top_k_experts n_mamba_heads""",
    ),
    (
        HEAD,
        """head_dim d_kv d_head dim_head swa_head_dim global_head_dim kv_channels linear_head_dim attention_head_size
        linear_key_head_dim linear_value_head_dim qk_nope_head_dim qk_rope_head_dim v_head_dim index_head_dim
        mamba_n_heads mamba_num_heads mamba_head_dim mamba_d_head hidden_size_per_layer_input laurel_rank
        kv_lora_rank q_lora_rank o_lora_rank adapter_rank mamba_d_state state_size ssm_state_size moe_latent_size
        hc_lowrank router_hidden_size gated_norm_rank index_topk index_block_size embedding_rank num_landmarks
        segment_means_seq_len num_latents vision_soft_tokens_per_image mm_tokens_per_image num_centroids
        centroid_intermediate_top_k coordinate_size shape_size max_num_rows max_num_columns feature_size
        query_pre_attn_scalar relative_attention_num_buckets num_buckets position_buckets rel_extent d_rel
        zero_expert_num xpath_unit_hidden_size structure_dim num_hash""",
    ),
    (4, "rotary_dim"),
    (
        BLOCKS,
        """num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_decoder_layers
        num_encoder_layers depth num_self_attends_per_block conf_num_hidden_layers n_group topk_group n_groups
        mamba_n_groups mamba_ngroups num_global_layers""",
    ),
    (
        POSITIONS,
        """max_position_embeddings n_positions max_seq_len n_ctx context_length max_target_positions
        max_source_positions position_embedding_size max_2d_position_embeddings position_bias_max_distance
        relative_attention_max_distance num_position_embeddings mm_posemb_size local_attention_window_len
        original_max_position_embeddings""",
    ),
    (
        16,
        """sliding_window local_attention sliding_window_size attention_window_size attention_window keep_window_size
        mamba_chunk_size chunk_size attention_chunk_size local_transformer_stride linear_chunk_size""",
    ),
    (32, "image_size"),
]
SMALL: dict[str, Any] = {name: size for size, names in _GROUPS for name in names.split()}
ALWAYS = frozenset({"head_dim", "num_key_value_heads", "num_experts_per_tok", "vocab_size"})
MIXED = frozenset({"layer_types", "layers_block_type", "mlp_layer_types", "decoder_sparse_step"})
USUAL_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
LAYERS = ("num_hidden_layers", "n_layer", "num_layers")

LEFT = object()  # as the class has it after all
FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
SHARED_CACHE = {"layer_types": [SLIDING, FULL, SLIDING, FULL], "num_kv_shared_layers": 2}
ZAMBA = {"layers_block_type": [LINEAR, LINEAR, "hybrid", LINEAR, "hybrid"], "num_hidden_layers": 5}
HYBRID = [LINEAR, FULL, LINEAR, FULL]
TYPES: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {
        "rope_parameters": {FULL: {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}}
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": INNER, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note_text": {
        "num_key_value_heads": HEADS,
        "swa_num_attention_heads": HEADS,
        "swa_num_key_value_heads": HEADS,
        "swa_q_lora_rank": HEAD,
        "swa_kv_lora_rank": HEAD,
        "swa_head_dim": 2 * HEAD,
        "swa_qk_nope_head_dim": HEAD,
        "swa_v_head_dim": HEAD,
    },
    "dots3_note_vision_encoder": {"pyramid_num_routed": [-1, 4], "num_hidden_layers": 2},
    "esmc": {"num_key_value_heads": HEADS},
    "falcon_h1": {"mamba_d_ssm": 2 * HIDDEN},
    "gemma3n_text": SHARED_CACHE,
    "gemma4_assistant.text_config": {
        "hidden_size_per_layer_input": 0,
        "vocab_size_per_layer_input": 0,
        "num_kv_shared_layers": MIXED_BLOCKS,
    },
    "gemma4_text": SHARED_CACHE,
    "gemma4_unified_text": SHARED_CACHE,
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "lfm2_moe": {"layer_types": ["conv", "conv", FULL, "conv"]},
    "mamba2": {"num_heads": 8},
    "neomme": {"head_dim": 16},
    "qwen4_exp_text": {
        "layer_types": [LINEAR, LINEAR, LINEAR, "indexed_attention"],
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
    },
    "reformer": {
        "axial_pos_shape": (8, 8),
        "axial_pos_embds_dim": (8, 24),
        "attn_layers": ("local", "lsh"),
        "num_hidden_layers": 2,
        "num_buckets": 4,
        "hash_seed": 0,
        "lsh_attn_chunk_length": 8,
        "local_attn_chunk_length": 8,
    },
    "phi4_multimodal_audio": dict.fromkeys(
        ("ext_pw_out_channel", "depthwise_separable_out_channel", "nemo_conv_channels"), HIDDEN
    ),
    "xmod": {"default_language": "en_XX"},
    "zamba": ZAMBA,
    "zamba2": ZAMBA,
    "zaya": {"num_experts_per_tok": 1},
    "bailing_hybrid": {"layer_group_size": 4},
    "bamba": {"attn_layer_indices": [1, 3]},
    "esm": {"vocab_size": VOCABULARY, "mask_token_id": 3, "pad_token_id": 1},
    "granitemoehybrid": {"layer_types": HYBRID},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {"layer_types": HYBRID},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8},
    "lilt": {"hidden_size": 48},
    "markuplm": {"tag_pad_id": 60, "subs_pad_id": 60},
    "mpnet": {"relative_attention_num_buckets": 32},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "t5": {"decoder_start_token_id": 0},
    "xlstm": {"mlstm_round_up_to_multiple_of": 8, "ffn_round_up_to_multiple_of": 8},
}
"""What single model types need beside the sizes."""


def small_config(model_type: str, **settings: Any) -> Any:
    """The config of a small model of that type; ``settings`` have the last word."""
    return _made(CONFIG_MAPPING[model_type], settings)


def _made(kind: Any, settings: dict[str, Any] | None = None) -> Any:
    asked = {**_sizes(kind), **_tokens(kind), **_parts(kind), **TYPES.get(kind.model_type, {}), **(settings or {})}
    return kind(**{name: value for name, value in asked.items() if value is not LEFT})


def _sizes(kind: Any) -> dict[str, Any]:
    fields = {field.name: _default(field) for field in dataclasses.fields(kind)}
    chosen = {}
    for name, default in fields.items():
        if name in SMALL and not isinstance(default, bool) and (default or name in ALWAYS):
            chosen[name] = SMALL[name]
    if fields.keys() & MIXED:
        chosen |= dict.fromkeys((name for name in LAYERS if name in chosen), MIXED_BLOCKS)
    if "qk_nope_head_dim" in chosen and "num_key_value_heads" in chosen:
        chosen["num_key_value_heads"] = HEADS  # keys come from one latent vector: as many as queries
    computed = not isinstance(getattr(kind, "head_dim", None), int | type(None))
    if "head_dim" in chosen and fields["head_dim"] is None and computed:
        del chosen["head_dim"]  # worked out from other sizes
    return chosen


def _tokens(kind: Any) -> dict[str, Any]:
    """Special tokens inside the small vocabulary; those that are inside already stay."""
    chosen: dict[str, Any] = {}
    last = VOCABULARY
    for field in dataclasses.fields(kind):
        if not field.name.endswith(("_token_id", "_token_index")):
            continue
        default = _default(field)
        numbers: Any = default if isinstance(default, list | tuple) else [default]
        if all(number is None or number < VOCABULARY for number in numbers):
            continue
        usual = USUAL_TOKENS.get(field.name)
        if usual is None:
            usual = last = last - 1
        chosen[field.name] = usual
    return chosen


def _parts(kind: Any) -> dict[str, Any]:
    """Configs inside the config, made small as well."""
    parts = {}
    for name, spec in (kind.sub_configs_defaults or {}).items():
        if isinstance(spec, type):
            parts[name] = _made(spec)
        elif not spec.optional:
            inner = CONFIG_MAPPING[spec.model_type] if spec.config_class is AutoConfig else spec.config_class
            own = {
                key: value
                for key, value in spec.init_kwargs.items()
                if key not in SMALL and not key.endswith("_token_id")
            }
            parts[name] = _made(inner, own | TYPES.get(f"{kind.model_type}.{name}", {}))
    return parts


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory()
