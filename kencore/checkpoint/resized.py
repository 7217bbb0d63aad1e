"""Tables that have other rows in the tuned model than in its base: a vocabulary that grew, shrank or was padded.

Row i of the one began as row i of the other, since resizing appends rows or cuts them off. Rows that only the
tuned model has have nothing to go back to: they are kept whole.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.parameter import Parameter

T = TypeVar("T", bound=np.generic)


def table_sizes(parameters: Collection[Parameter]) -> frozenset[int]:
    """Rows of a model's embeddings: a head of as many rows has one for each token, and not for each label."""
    return frozenset(p.rows for p in parameters if p.part == "embedding" and len(p.shape) == 2)


def common_rows(ours: Parameter, theirs: Parameter, sizes: tuple[frozenset[int], frozenset[int]]) -> int | None:
    """Rows that two tables of different length have in common; ``None`` where they are no such tables.

    Args:
        sizes: `table_sizes` of the tuned and of the base model.
    """
    tables = all(_is_table(one, own) for one, own in zip((ours, theirs), sizes, strict=True))
    if not tables or ours.cols != theirs.cols or ours.rows == theirs.rows:
        return None
    return min(ours.rows, theirs.rows)


def _is_table(parameter: Parameter, sizes: frozenset[int]) -> bool:
    if len(parameter.shape) != 2 or parameter.transposed:
        return False
    return parameter.part == "embedding" or (parameter.part == "head" and parameter.rows in sizes)


def fitted(base: NDArray[T], tuned: NDArray[T]) -> NDArray[T]:
    """Rows of a base in the shape of the tuned ones: what the base lacks is as tuned, what it has more is left out."""
    if base.shape == tuned.shape:
        return base
    common = min(len(base), len(tuned))
    return np.concatenate([base[:common], tuned[common:]])
