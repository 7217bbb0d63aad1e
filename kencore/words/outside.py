"""What stands outside the blocks of a model, in plain words: word embeddings, positions, final norm, head."""

from __future__ import annotations

import re
from typing import Final

from kencore.checkpoint.roles import HEADS

_TABLES: Final = (  # the first that fits
    (r"token_type|segment", "token types"),
    (r"position|^wpe$", "positions"),
    (r"patch", "patches"),
    (r"word|tok|^wte$|embed_in|^shared$|^embed(dings?)?$|decoder_embed|encoder_embed", "word embeddings"),
)


def what(name: str, role: str) -> str:
    """What a parameter outside the blocks is; empty where its name does not say.

    Args:
        name: dotted, such as ``bert.embeddings.LayerNorm.bias``.
        role: of `kencore.checkpoint.roles.classify`.
    """
    words = [word.lower() for word in name.split(".")]
    leaf, path = words[-1], words[:-1] or words
    owner = _owner(path, role)
    return f"{owner} bias" if owner and leaf.endswith("bias") else owner


def _owner(path: list[str], role: str) -> str:
    if any("pooler" in word for word in path):
        return "pooler norm" if _is_norm(path) else "pooler"
    if role == "head":
        return "head norm" if _is_norm(path) else "head"
    if _is_norm(path):
        if any("embed" in word for word in path):
            return "embedding norm"
        return "head norm" if _in_head(path) else "final norm"
    if role == "embedding":
        for pattern, words in _TABLES:
            if any(re.search(pattern, word) for word in reversed(path)):
                return words
        return ""
    return "head" if role == "bias" and _in_head(path) else ""


def _is_norm(path: list[str]) -> bool:
    return re.search(r"norm|^ln(_|\d|$)", path[-1]) is not None


def _in_head(path: list[str]) -> bool:
    return bool(HEADS & set(path))
