"""Which sentences go through a model together, so that no answer depends on what else is in the batch.

Sentences of one length need no padding. Then nothing that differs among models can go wrong: where
padding goes, what positions come after it, which token a decoder takes for the last, and whether
config and tokenizer mean the same token by it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kencore.data.tokens import Row, tokenised
from kencore.models.seam import forward
from kencore.models.tokenizer import table_rows

if TYPE_CHECKING:
    import torch

    from kencore.models.loaded import LoadedModel

LIKE = 1e-3  # of the largest logit: answers that differ by less differ by rounding


def length(row: Row) -> int:
    """Tokens of a text."""
    return len(row["input_ids"])


def same_length(rows: Sequence[Row], which: Sequence[int], size: int) -> Iterator[list[int]]:
    """Parts of ``which`` in ascending length: all rows of a part are as long, ``size`` at most."""
    part: list[int] = []
    for i in sorted(which, key=lambda i: length(rows[i])):
        if part and (len(part) == size or length(rows[i]) != length(rows[part[0]])):
            yield part
            part = []
        part.append(i)
    if part:
        yield part


def stacked(rows: Sequence[Row], device: str) -> dict[str, torch.Tensor]:
    """Tensors (batch, tokens) of rows of one length."""
    import torch

    return {key: torch.tensor([row[key] for row in rows], device=device) for key in rows[0]}


def most_at_once(model: Any, size: int) -> int:
    """``size``, or one where transformers takes one at a time: decoders whose config has no padding token."""
    return 1 if getattr(model.config.get_text_config(), "pad_token_id", None) is None else size


def taken(model: Any, rows: list[Row]) -> list[Row]:
    """Rows with what the model's forward pass takes: a tokenizer may give token types to one that has none."""
    takes = inspect.signature(model.forward).parameters
    if not rows or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values()) or rows[0].keys() <= set(takes):
        return rows
    return [{key: values for key, values in row.items() if key in takes} for row in rows]


def padding_is_harmless(loaded: LoadedModel, rows: Sequence[Row]) -> bool:
    """Whether the shortest row's answer beside the longest, padded, is its answer alone.

    Training asks, to learn from a batch in one pass; what is measured is never padded.
    """
    import torch

    model, tokenizer = loaded.model, loaded.tokenizer
    pads = (tokenizer.pad_token_id, getattr(model.config.get_text_config(), "pad_token_id", None))
    table = table_rows(model)
    if None in pads or pads[0] != pads[1] or (table is not None and pads[0] >= table):
        return False
    short, long = min(rows, key=length), max(rows, key=length)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            alone = forward(model, **stacked([short], loaded.device)).logits[0].float()
            beside = forward(model, **padded(loaded, [short, long])).logits[0].float()
    finally:
        model.train(training)
    return bool((alone - beside).abs().max() <= LIKE * alone.abs().max().clamp(min=1.0))


def padded(loaded: LoadedModel, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Tensors (batch, longest of the batch), as the tokenizer pads."""
    return dict(loaded.tokenizer.pad(list(rows), return_tensors="pt").to(loaded.device))


def read_rows(loaded: LoadedModel, texts: Sequence[str], pairs: Sequence[str] | None, limit: int | None) -> list[Row]:
    """Tokens of texts as the model takes them.

    Raises:
        TokenizerError: the tokenizer fails.
    """
    return taken(loaded.model, tokenised(loaded.tokenizer, texts, pairs, limit=limit))
