"""What transformers builds from the config of the most usual language models, without importing it.

Their modules follow from a few numbers of config.json. Only a config in which every word is known here, and says
nothing out of the way, is read so; any other is left to transformers. A test holds both readings together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Shapes = Iterator[tuple[str, tuple[int, ...], str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One model class.

    Args:
        model_type: as config.json names it.
        norm: class of its norms.
        biases: projections of attention that always have a bias.
        head_norms: queries and keys are normed by head.
        stated: numbers that config.json must give, since their defaults are of another size.
    """

    model_type: str
    norm: str
    biases: tuple[str, ...] = ()
    head_norms: bool = False
    stated: tuple[str, ...] = ("num_key_value_heads",)


FAMILIES = {
    "LlamaForCausalLM": Family(model_type="llama", norm="LlamaRMSNorm", stated=()),
    "MistralForCausalLM": Family(model_type="mistral", norm="MistralRMSNorm"),
    "Qwen2ForCausalLM": Family(model_type="qwen2", norm="Qwen2RMSNorm", biases=("q", "k", "v")),
    "Qwen3ForCausalLM": Family(
        model_type="qwen3", norm="Qwen3RMSNorm", head_norms=True, stated=("num_key_value_heads", "head_dim")
    ),
}

SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _token(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _switch(value: Any) -> bool:
    return isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _rope(value: Any) -> bool:
    """None, or the plain kind."""
    if value is None:
        return True
    known: dict[str, Callable[[Any], bool]] = {"rope_theta": _number, "rope_type": lambda kind: kind == "default"}
    return isinstance(value, dict) and value.keys() <= known.keys() and all(known[k](v) for k, v in value.items())


KNOWN: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(SIZES, _size),
    **dict.fromkeys(("num_key_value_heads", "head_dim"), _size),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sliding_window"), _token),
    **dict.fromkeys(("attention_bias", "mlp_bias", "tie_word_embeddings", "use_cache", "use_sliding_window"), _switch),
    **dict.fromkeys(("attention_dropout", "initializer_range", "rms_norm_eps", "rope_theta"), _number),
    **dict.fromkeys(("max_window_layers", "pretraining_tp"), _number),
    **dict.fromkeys(("rope_parameters", "rope_scaling"), _rope),
    **dict.fromkeys(("model_type", "transformers_version", "_name_or_path", "_model_name_or_path"), _text),
    "architectures": lambda names: isinstance(names, list) and len(names) == 1,
    "hidden_act": lambda name: name in ("silu", "gelu", "relu"),
    "layer_types": lambda kinds: isinstance(kinds, list) and set(kinds) == {"full_attention"},
    **dict.fromkeys(("dtype", "torch_dtype"), lambda name: name in ("float32", "float16", "bfloat16")),
}
"""Words of config.json, and what each may say. A word that is not here is left to transformers."""


def family_of(config: dict[str, Any]) -> Family | None:
    """The family of a config that is plain in every word; ``None`` for any other."""
    names = config.get("architectures")
    family = FAMILIES.get(str(names[0])) if isinstance(names, list) and names else None
    if family is None or config.get("model_type") != family.model_type:
        return None
    missing = [name for name in (*SIZES, *family.stated) if name not in config]
    if missing or not all(name in KNOWN and KNOWN[name](value) for name, value in config.items()):
        return None
    heads, shared = config["num_attention_heads"], config.get("num_key_value_heads") or config["num_attention_heads"]
    fits = heads % shared == 0 and config["hidden_size"] % heads == 0
    kinds = config.get("layer_types")
    return family if fits and (kinds is None or len(kinds) == config["num_hidden_layers"]) else None


def parameters(family: Family, config: dict[str, Any]) -> Shapes:
    """Name, shape and owner of every parameter, in the model's order; a tied head comes last."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield "model.embed_tokens.weight", (vocabulary, hidden), "Embedding"
    for block in range(config["num_hidden_layers"]):
        yield from _block(family, config, f"model.layers.{block}")
    yield "model.norm.weight", (hidden,), family.norm
    yield "lm_head.weight", (vocabulary, hidden), "Linear"


def _block(family: Family, config: dict[str, Any], path: str) -> Shapes:
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    size = config.get("head_dim") or hidden // heads
    own, shared = heads * size, (config.get("num_key_value_heads") or heads) * size
    has_bias = config.get("attention_bias", False) and family.model_type in ("llama", "qwen3")
    biases = ("q", "k", "v", "o") if has_bias else family.biases
    for name, rows, columns in (("q", own, hidden), ("k", shared, hidden), ("v", shared, hidden), ("o", hidden, own)):
        yield from _linear(f"{path}.self_attn.{name}_proj", rows, columns, name in biases)
    if family.head_norms:
        for name in ("q_norm", "k_norm"):
            yield f"{path}.self_attn.{name}.weight", (size,), family.norm
    wide = config.get("mlp_bias", False) and family.model_type == "llama"
    for name, rows, columns in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
        yield from _linear(f"{path}.mlp.{name}_proj", rows, columns, wide)
    for name in ("input_layernorm", "post_attention_layernorm"):
        yield f"{path}.{name}.weight", (hidden,), family.norm


def _linear(path: str, rows: int, columns: int, bias: bool) -> Shapes:
    yield f"{path}.weight", (rows, columns), "Linear"
    if bias:
        yield f"{path}.bias", (rows,), "Linear"
