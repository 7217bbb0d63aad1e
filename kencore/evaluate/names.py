"""Which parameter of a loaded model each tensor on disk became.

transformers renames while it loads (prefixes, old names of norms) and ties parameters. Every
pairing found here by name is checked by value, and what no name rule finds is found by value, so
a wrong pairing cannot go unnoticed.
"""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

OLD_NAMES = ((r"\bgamma$", "weight"), (r"\bbeta$", "bias"))


def stored_tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a folder of safetensors files, one at a time."""
    from safetensors import safe_open

    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.is_file():
        files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    for file in files:
        with safe_open(folder / file, framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 - not a dict
                yield name, shard.get_tensor(name)


def match_names(
    folder: Path, state: dict[str, torch.Tensor], prefix: str
) -> dict[str, tuple[str, ...]]:
    """For every tensor on disk, the parameters of the model that hold its values.

    Args:
        folder: holds the safetensors files that the model was loaded from.
        state: the loaded model's parameters and buffers by name, in float32.
        prefix: the model's ``base_model_prefix``.

    Returns:
        Names on disk to one name in ``state`` each (what is tied to it shares its memory); an
        empty tuple where the model holds no parameter with these values.
    """
    found: dict[str, tuple[str, ...]] = {}
    unnamed: list[tuple[str, torch.Tensor]] = []
    for name, tensor in stored_tensors(folder):
        near = [guess for guess in _guesses(name, prefix) if guess in state]
        equal = tuple(guess for guess in near if _same(state[guess], tensor))[:1]
        found[name] = equal
        if not equal:
            unnamed.append((name, tensor))
    taken = {guess for names in found.values() for guess in names}
    free = {name: value for name, value in state.items() if name not in taken}
    for name, tensor in unnamed:
        like = [guess for guess, value in free.items() if _same(value, tensor)]
        nearest = sorted(like, key=lambda guess: -SequenceMatcher(None, name, guess).ratio())[:1]
        found[name] = tuple(nearest)
        for guess in nearest:
            free.pop(guess)
    return found


def _guesses(name: str, prefix: str) -> list[str]:
    for old, new in OLD_NAMES:
        name = re.sub(old, new, name)
    return [name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")]


def _same(value: torch.Tensor, tensor: torch.Tensor) -> bool:
    import torch

    return value.shape == tensor.shape and bool(torch.equal(value.cpu(), tensor.to(value.dtype)))
