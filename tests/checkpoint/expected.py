"""What each architecture is made of, written down by hand; names as on disk."""

from __future__ import annotations

# roles of the 2-D weights of one block
SPLIT = "q k v o up down"
GATED = "q k v o gate up down"
FUSED = "qkv o up down"
BLOCK_ROLES = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma2"), GATED),
    **dict.fromkeys(("phi", "opt", "gptj", "bert", "roberta", "distilbert"), SPLIT),
    **dict.fromkeys(("electra", "albert", "vit", "t5", "bart"), SPLIT),
    **dict.fromkeys(("gpt2", "gpt_neox", "bloom", "falcon"), FUSED),
    "modernbert": "qkv o gate_up down",
    "deberta-v2": SPLIT + " other other",  # projections of the relative positions
    "mixtral": "q k v o router" + " gate up down" * 3,  # the router, three experts
}
DECODER_ROLES = "q k v o q k v o up down"  # of t5 and bart: self and cross attention

LINEAR = "classifier.weight classifier.bias"
TWO_LAYERS = "classifier.dense.weight classifier.dense.bias classifier.out_proj.weight classifier.out_proj.bias"
HEADS = {
    **dict.fromkeys(("qwen3", "opt", "gpt2", "bloom", "falcon", "gemma2", "t5"), ""),
    **dict.fromkeys(("llama", "mistral", "mixtral", "qwen2"), "lm_head.weight"),
    **dict.fromkeys(("phi", "gptj"), "lm_head.weight lm_head.bias"),
    **dict.fromkeys(("bert", "albert", "vit", "deberta-v2"), LINEAR),
    **dict.fromkeys(("roberta", "electra"), TWO_LAYERS),
    "gpt_neox": "embed_out.weight",
    "distilbert": f"pre_classifier.weight pre_classifier.bias {LINEAR}",
    "modernbert": f"head.dense.weight head.norm.weight {LINEAR}",
    "bart": "final_logits_bias",
}
POOLERS = {
    "bert": "bert.pooler.dense.weight bert.pooler.dense.bias",
    "deberta-v2": "pooler.dense.weight pooler.dense.bias",
    "albert": "albert.pooler.weight albert.pooler.bias",
}
# the name on disk, then its aliases in order
TIED = {
    "qwen3": "model.embed_tokens.weight lm_head.weight",
    "gemma2": "model.embed_tokens.weight lm_head.weight",
    "opt": "model.decoder.embed_tokens.weight lm_head.weight",
    "gpt2": "transformer.wte.weight lm_head.weight",
    "bloom": "transformer.word_embeddings.weight lm_head.weight",
    "falcon": "transformer.word_embeddings.weight lm_head.weight",
    "t5": "shared.weight decoder.embed_tokens.weight encoder.embed_tokens.weight lm_head.weight",
    "bart": "model.shared.weight lm_head.weight model.decoder.embed_tokens.weight model.encoder.embed_tokens.weight",
}
