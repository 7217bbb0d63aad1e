"""The weight files of a Hugging Face folder, written shard by shard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.header import BITS
from kencore.checkpoint.shards import INDEX, SINGLE
from kencore.checkpoint.write import SafetensorsWriter


def write_weights(
    folder: Path,
    shards: Mapping[str, Sequence[str]],
    entries: Mapping[str, tuple[str, tuple[int, ...]]],
    pieces: Callable[[str], Iterable[NDArray[np.generic]]],
) -> None:
    """Write every shard, and the index where transformers needs one.

    Args:
        folder: is there, and empty.
        shards: file name -> its tensors, in the order of writing.
        entries: tensor -> (safetensors dtype, shape).
        pieces: called once for each tensor: its storage bits, some at a time.
    """
    for shard, names in shards.items():
        announced = {name: entries[name] for name in names}
        with SafetensorsWriter(folder / shard, announced, {"format": "pt"}) as writer:
            for name in names:
                for values in pieces(name):
                    writer.write(name, values)
    if len(shards) > 1 or SINGLE not in shards:
        sizes = (int(np.prod(shape)) * BITS[dtype] // 8 for dtype, shape in entries.values())
        where = {name: shard for shard, names in shards.items() for name in names}
        index = {"metadata": {"total_size": sum(sizes)}, "weight_map": dict(sorted(where.items()))}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True), "utf-8")
