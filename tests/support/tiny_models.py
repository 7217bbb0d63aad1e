"""Tiny random models of every architecture that is supported, built from their config.

Others use it: ``save_pair("bert", folder)`` writes a base and a tuned checkpoint, each in well
under a second, the way transformers writes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

LANGUAGE_MODELS = (
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "phi",
    "opt",
    "gpt2",
    "gptj",
    "gpt_neox",
    "bloom",
    "falcon",
    "gemma2",
)
"""The architectures whose models predict the next token."""

VOCABULARY = 99
HIDDEN = 32
INNER = 48
BLOCKS = 2
HEADS = 4
POSITIONS = 24
COMMON = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
# the names most configs use for the same sizes
SIZES = COMMON | {
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": POSITIONS,
}
GPT = COMMON | {"n_embd": HIDDEN, "n_layer": BLOCKS, "n_head": HEADS, "n_positions": POSITIONS}


def _model(config: str, model: str, settings: dict[str, Any]) -> Callable[[], PreTrainedModel]:
    def build() -> PreTrainedModel:
        made = getattr(transformers, config)(**settings)
        return getattr(transformers, model)(made).eval()

    return build


_FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", SIZES | {"num_key_value_heads": 2}),
    "mistral": ("MistralConfig", "MistralForCausalLM", SIZES | {"num_key_value_heads": 2}),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", SIZES | {"num_key_value_heads": 2, "num_local_experts": 3}),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", SIZES | {"num_key_value_heads": 2}),
    "qwen3": (
        "Qwen3Config",
        "Qwen3ForCausalLM",
        SIZES | {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True},
    ),
    "phi": ("PhiConfig", "PhiForCausalLM", SIZES),
    "opt": (
        "OPTConfig",
        "OPTForCausalLM",
        COMMON
        | {
            "hidden_size": HIDDEN,
            "word_embed_proj_dim": HIDDEN,
            "ffn_dim": INNER,
            "num_hidden_layers": BLOCKS,
            "num_attention_heads": HEADS,
            "max_position_embeddings": POSITIONS,
        },
    ),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", GPT | {"n_inner": INNER}),
    "gptj": ("GPTJConfig", "GPTJForCausalLM", GPT | {"n_inner": INNER, "rotary_dim": 4}),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", SIZES),
    "bloom": ("BloomConfig", "BloomForCausalLM", COMMON | {"hidden_size": HIDDEN, "n_layer": BLOCKS, "n_head": HEADS}),
    "falcon": ("FalconConfig", "FalconForCausalLM", SIZES | {"ffn_hidden_size": INNER}),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", SIZES | {"num_key_value_heads": 2, "head_dim": 8}),
    "bert": ("BertConfig", "BertForSequenceClassification", SIZES),
    "roberta": ("RobertaConfig", "RobertaForSequenceClassification", SIZES | {"pad_token_id": 1, "bos_token_id": 0}),
    "distilbert": (
        "DistilBertConfig",
        "DistilBertForSequenceClassification",
        COMMON
        | {
            "dim": HIDDEN,
            "hidden_dim": INNER,
            "n_layers": BLOCKS,
            "n_heads": HEADS,
            "max_position_embeddings": POSITIONS,
        },
    ),
    "deberta-v2": (
        "DebertaV2Config",
        "DebertaV2ForSequenceClassification",
        SIZES
        | {
            "relative_attention": True,
            "position_buckets": 8,
            "pos_att_type": ["p2c", "c2p"],
            "norm_rel_ebd": "layer_norm",
            "type_vocab_size": 0,
        },
    ),
    "electra": ("ElectraConfig", "ElectraForSequenceClassification", SIZES | {"embedding_size": 16}),
    "modernbert": (
        "ModernBertConfig",
        "ModernBertForSequenceClassification",
        SIZES | {"cls_token_id": 1, "sep_token_id": 2, "global_attn_every_n_layers": 2},
    ),
    "albert": (
        "AlbertConfig",
        "AlbertForSequenceClassification",
        SIZES | {"embedding_size": 16, "num_hidden_groups": 1},
    ),
    "vit": (
        "ViTConfig",
        "ViTForImageClassification",
        {
            "hidden_size": HIDDEN,
            "intermediate_size": INNER,
            "num_hidden_layers": BLOCKS,
            "num_attention_heads": HEADS,
            "image_size": 16,
            "patch_size": 8,
        },
    ),
    "t5": (
        "T5Config",
        "T5ForConditionalGeneration",
        {
            "vocab_size": VOCABULARY,
            "d_model": HIDDEN,
            "d_ff": INNER,
            "d_kv": 8,
            "num_layers": BLOCKS,
            "num_decoder_layers": 3,
            "num_heads": HEADS,
        },
    ),
    "bart": (
        "BartConfig",
        "BartForConditionalGeneration",
        COMMON
        | {
            "d_model": HIDDEN,
            "encoder_ffn_dim": INNER,
            "decoder_ffn_dim": INNER,
            "encoder_layers": BLOCKS,
            "decoder_layers": 3,
            "encoder_attention_heads": HEADS,
            "decoder_attention_heads": HEADS,
            "max_position_embeddings": POSITIONS,
        },
    ),
}

ARCHITECTURES: dict[str, Callable[[], PreTrainedModel]] = {name: _model(*family) for name, family in _FAMILIES.items()}
"""Model type -> a builder of a fresh model with random weights, in evaluation mode."""


def build(name: str, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> PreTrainedModel:
    """A model of ``ARCHITECTURES`` with the weights that ``seed`` gives.

    Norms and biases are random too: transformers starts them as constants, which no trained
    model has.
    """
    with _seeded(seed):
        model = ARCHITECTURES[name]()
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
    return model.to(dtype)


def save_pair(
    name: str,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    change: float = 0.01,
    max_shard_size: str = "5GB",
) -> tuple[Path, Path]:
    """Write ``folder/base`` and ``folder/tuned``: every weight moved a little.

    Args:
        dtype: both checkpoints are saved in it.
        change: standard deviation of tuned - base, in absolute terms.

    Returns:
        The two folders.
    """
    model = build(name, seed=seed)
    base, tuned = Path(folder) / "base", Path(folder) / "tuned"
    _save(model, base, dtype, max_shard_size)
    with _seeded(seed + 1):
        for parameter in model.parameters():
            parameter.data += change * torch.randn_like(parameter)
    _save(model, tuned, dtype, max_shard_size)
    return base, tuned


def _save(model: PreTrainedModel, folder: Path, dtype: torch.dtype, max_shard_size: str) -> None:
    import copy

    with _quiet():
        copy.deepcopy(model).to(dtype).save_pretrained(folder, max_shard_size=max_shard_size)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
