"""What stands outside the blocks, by the names of published checkpoints."""

from __future__ import annotations

import pytest

from kencore.checkpoint.roles import classify
from kencore.words import outside


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bert.embeddings.word_embeddings.weight", "word embeddings"),
        ("bert.embeddings.position_embeddings.weight", "positions"),
        ("bert.embeddings.token_type_embeddings.weight", "token types"),
        ("bert.embeddings.LayerNorm.weight", "embedding norm"),
        ("bert.embeddings.LayerNorm.bias", "embedding norm bias"),
        ("bert.pooler.dense.weight", "pooler"),
        ("bert.pooler.dense.bias", "pooler bias"),
        ("classifier.weight", "head"),
        ("classifier.bias", "head bias"),
        ("cls.predictions.transform.LayerNorm.weight", "head norm"),
        ("model.embed_tokens.weight", "word embeddings"),
        ("model.decoder.embed_positions.weight", "positions"),
        ("model.norm.weight", "final norm"),
        ("lm_head.weight", "head"),
        ("transformer.wte.weight", "word embeddings"),
        ("transformer.wpe.weight", "positions"),
        ("transformer.ln_f.bias", "final norm bias"),
        ("shared.weight", "word embeddings"),
        ("encoder.final_layer_norm.weight", "final norm"),
        ("gpt_neox.embed_in.weight", "word embeddings"),
        ("vit.embeddings.patch_embeddings.projection.weight", "patches"),
        ("something.else.weight", ""),
    ],
)
def test_every_parameter_says_what_it_is(name: str, said: str) -> None:
    tables = ("shared.", "vit.embeddings.patch")
    role = "embedding" if name.startswith(tables) else classify(name)[0]
    assert outside.what(name, role) == said
