"""What a model said of the data that it is measured on, or of some of them: arrays that figures are made of.

A part of the data is whole batches, so that every batch is what it would be if one process read all of them: each
number is then the same to the bit, on processors of one kind with as many threads.

# n windows or sentences of a part, h of them that were compared with held logits
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Said = dict[str, NDArray[Any]]
"""``places`` (n,) int64, and of each place ``nll`` (n,) of a language model, ``logits`` (n, L) of a classifier or
``embeddings`` (n, D) of an encoder; of a language model that is compared also ``compared`` (h,) int64, with ``kl`` and
``same`` (h,); and ``seconds`` ().
"""
COMPARED = ("compared", "kl", "same")


def joined(parts: Sequence[Said], count: int) -> Said | None:
    """All parts in the order of places, each place once; ``None`` unless these are 0 to ``count`` - 1."""
    parts = [part for part in parts if len(part["places"])]
    if not parts:
        return None
    own = [name for name in parts[0] if name not in (*COMPARED, "seconds")]
    found = _ordered(parts, own, "places")
    if not np.array_equal(found["places"], np.arange(count)):
        return None
    if any("compared" in part for part in parts):
        near = _ordered([part for part in parts if "compared" in part], list(COMPARED), "compared")
        first = int((near["compared"] == np.arange(len(near["compared"]))).sum())  # the windows that one would hold
        found |= {name: values[:first] for name, values in near.items()}
    return found | {"seconds": np.asarray(sum(float(part["seconds"]) for part in parts))}


def _ordered(parts: Sequence[Said], names: Sequence[str], by: str) -> Said:
    """Each array of all parts, by ascending place, each place once."""
    _, first = np.unique(np.concatenate([part[by] for part in parts]), return_index=True)
    return {name: np.concatenate([part[name] for part in parts])[first] for name in names}
