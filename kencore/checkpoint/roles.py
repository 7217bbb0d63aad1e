"""What a tensor does, told from its name and, where the model is known, from its module.

Names are those of the published architectures; a tensor whose name says nothing gets ``other``.
"""

from __future__ import annotations

import re

_ROLE_BY_MODULE = {
    "q": "q query q_proj q_lin query_proj wq to_q q_a_proj q_b_proj q_attn q_head",
    "k": "k key k_proj k_lin key_proj wk to_k k_head",
    "v": "v value v_proj v_lin value_proj wv to_v v_head",
    "qkv": "qkv qkv_proj c_attn query_key_value wqkv in_proj kv_proj kv_a_proj_with_mqa kv_b_proj",
    "o": "o o_proj out_lin to_out post_proj",
    "up": "up_proj fc1 c_fc fc_in dense_h_to_4h lin1 wi wi_1 w3 v1 ffn linear1 linear_1 layer_1",
    "gate": "gate_proj wi_0 w1",
    "gate_up": "gate_up_proj",
    "down": "down_proj fc2 fc_out dense_4h_to_h lin2 w2 ffn_output linear2 linear_2 layer_2",
}
ROLE_BY_MODULE = {word: role for role, text in _ROLE_BY_MODULE.items() for word in text.split()}
# these mean it only inside a module that is called attention, or feed-forward
NEED_ATTENTION = frozenset(["q", "k", "v", "o", "query", "key", "value", "in_proj", "to_out", "post_proj"])
NEED_FEED_FORWARD = frozenset(["linear1", "linear_1", "linear2", "linear_2", "layer_1", "layer_2"])
# the last projection of attention and of the feed-forward share these names: the path decides
SHARED_OUT = frozenset(["dense", "c_proj", "out_proj", "wo", "proj", "projection", "output"])
ROUTERS = frozenset(["gate", "router", "shared_expert_gate"])
# both matrices of Granite's and JetMoE's experts, in the feed-forward and in attention
_IN_AND_OUT = {"input_linear": ("gate_up", "q"), "output_linear": ("down", "o")}
ATTENTION_ROLES = frozenset({"q", "k", "v", "qkv", "o"})
FEED_FORWARD_ROLES = frozenset({"up", "gate", "gate_up", "down"})
_HEADS = """
lm_head embed_out classifier score qa_outputs cls head heads pre_classifier classification_head
vocab_projector vocab_transform vocab_layer_norm generator_lm_head generator_predictions
discriminator_predictions predictions final_logits_bias multiple_choice_head sequence_summary
"""
HEADS = frozenset(_HEADS.split())
_ATTENTION = re.compile(r"att(n|ention)", re.IGNORECASE)
_FEED_FORWARD = re.compile(
    r"^(mlp|ffn|ff|feed_?forward.*|intermediate|output|dense(relu|gated)\w*|experts?|moe"
    r"|block_sparse_moe|shared_experts?)$",
    re.IGNORECASE,
)
_NORM = re.compile(r"norm|^ln(_|\d|$)", re.IGNORECASE)
_EMBEDDING = re.compile(r"embed|^w[tp]e$", re.IGNORECASE)
_BIAS = re.compile(r"(^|_)bias$")


def classify(name: str, *, module: str = "", in_block: bool = False, in_head: bool | None = None) -> tuple[str, str]:
    """Role and part of a tensor.

    Args:
        name: dotted, such as ``bert.encoder.layer.0.attention.self.query.weight``.
        module: class name of the module that owns it, ``""`` if unknown.
        in_block: it lies inside a transformer block.
        in_head: it lies outside of the base model; ``None``: unknown, the name decides.

    Returns:
        The role, one of ``parameter.ROLES``, and the part, one of ``parameter.PARTS``. The part is
        where the tensor lies: a norm of the head has role ``norm`` and part ``head``, the table
        of T5's relative positions role ``embedding`` and part ``attention``.
    """
    *path, leaf = name.split(".")
    if leaf in ROLE_BY_MODULE:  # a bare parameter named like a module, as fused experts are
        path.append(leaf)
    owner = path[-1] if path else leaf
    pooler = any("pooler" in word.lower() for word in path)
    if in_head is None:
        in_head = any(word in HEADS for word in [*path, leaf])
    head = in_head and not in_block and not pooler
    if any(word in ROUTERS or "router" in word for word in path):
        return "router", "feed-forward"
    if "norm" in module.lower() or (not module and _NORM.search(owner)):
        return "norm", "head" if head else "norm"
    weight = _weight_role(path, owner, module)
    part = _part(path, weight, pooler=pooler, head=head)
    if _BIAS.search(leaf):
        return "bias", part
    if weight == "embedding" and not head:
        return "embedding", part
    if pooler:
        return "pooler", part
    return ("head" if head else weight), part


def _is_table(module: str) -> bool:
    return "embedding" in module.lower()


def _weight_role(path: list[str], owner: str, module: str) -> str:
    low = owner.lower()
    patches = module.startswith("Conv") and any(_EMBEDDING.search(word) for word in path)
    if _is_table(module) or patches or (not module and _EMBEDDING.search(owner)):
        return "embedding"
    attention = any(_ATTENTION.search(word) for word in path)
    feed_forward = any(_FEED_FORWARD.match(word) for word in path[:-1])
    if low in _IN_AND_OUT:
        return _IN_AND_OUT[low][attention]
    if low in SHARED_OUT:
        if low == "dense" and path[-2:-1] == ["intermediate"]:
            return "up"
        return "o" if attention else "down" if feed_forward else "other"
    if owner == "Wi":  # ModernBERT: input and gate in one matrix
        return "gate_up"
    if (low in NEED_ATTENTION and not attention) or (low in NEED_FEED_FORWARD and not feed_forward):
        return "other"
    return ROLE_BY_MODULE.get(low, "other")


def _part(path: list[str], weight: str, *, pooler: bool, head: bool) -> str:
    if pooler:
        return "pooler"
    if head:
        return "head"
    if weight in FEED_FORWARD_ROLES:
        return "feed-forward"
    if weight in ATTENTION_ROLES or any(_ATTENTION.search(word) for word in path):
        return "attention"
    if weight == "embedding" or any(_EMBEDDING.search(word) for word in path):
        return "embedding"
    if any(_FEED_FORWARD.match(word) for word in path):
        return "feed-forward"
    return "other"
