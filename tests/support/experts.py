"""Tiny language models with experts, each of another kind on disk and in memory."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.support.tiny_models import SIZES
from tests.support.tiny_text import add_tokenizer

FEW = SIZES | {"num_key_value_heads": 2, "intermediate_size": 20, "max_position_embeddings": 48}
LATENT = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    # one by one on disk
    "mixtral": ("Mixtral", FEW | {"num_local_experts": 4}),
    "phimoe": ("Phimoe", FEW | {"num_local_experts": 4}),
    "qwen3_moe": (
        "Qwen3Moe",
        FEW | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "head_dim": 8},
    ),
    "deepseek_v3": (
        "DeepseekV3",  # with shared experts, and a first block without any
        FEW
        | LATENT
        | {"num_key_value_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
        | {"moe_intermediate_size": 12, "first_k_dense_replace": 1, "n_shared_experts": 1},
    ),
    # stacked on disk, as inputs x outputs; gate and up in turns, with biases
    "gpt_oss": (
        "GptOss",
        FEW
        | {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8}
        | {"layer_types": ["sliding_attention", "full_attention"]},
    ),
    # stacked on disk, as inputs x outputs; every expert is given all tokens, zeros for most
    "llama4": (
        "Llama4",
        FEW
        | {"num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 24, "head_dim": 8}
        | {"interleave_moe_layer_step": 1},
    ),
    # stacked on disk under other names
    "granitemoe": ("GraniteMoe", FEW | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    # blocks of two kinds
    "nemotron_h": (
        "NemotronH",
        FEW
        | {"head_dim": 8, "layers_block_type": ["mamba", "attention", "moe", "mlp"], "num_hidden_layers": 4}
        | {"mamba_num_heads": 4, "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 1, "chunk_size": 16}
        | {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "n_group": 1}
        | {"moe_shared_expert_intermediate_size": 12, "topk_group": 1, "use_mamba_kernels": False},
    ),
}
CONFIGS = {"llama4": "Llama4TextConfig"}


@cache
def _built(kind: str) -> Any:
    name, settings = MODELS[kind]
    config = getattr(transformers, CONFIGS.get(kind, f"{name}Config"))(**settings)
    torch.manual_seed(0)
    made = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            # experts of some are not set at all
            parameter.copy_((0.2 if parameter.dim() > 1 else 0.05) * torch.randn(parameter.shape))
            parameter.add_(1 if parameter.dim() == 1 else 0)
    return made


def save_experts(kind: str, folder: Path, *, unused: int | None = None) -> Path:
    """A model with a tokenizer in a folder.

    Args:
        unused: of gpt_oss: this expert is sent no token.
    """
    made = _built(kind)
    if unused is not None:
        made = type(made)(made.config).eval()
        made.load_state_dict(_built(kind).state_dict())
        for block in made.model.layers:
            block.mlp.router.bias.data[unused] = -1e4
    made.save_pretrained(folder)
    add_tokenizer(folder)
    return folder
