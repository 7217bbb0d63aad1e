"""Which parameter of a loaded model each tensor on disk became.

transformers renames while it loads (prefixes, old names of norms) and ties parameters. Every
pairing found here by name is checked by value, and what no name rule finds is found by value, so
a wrong pairing cannot go unnoticed. Experts are matrices of their own on disk and slices of one
tensor in memory: those are found by value too.

Shapes: E experts, R rows (outputs) of one, F rows of those that are stacked, C columns (inputs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

from kencore.checkpoint.shards import find_shards

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

OLD_NAMES = ((r"\bgamma$", "weight"), (r"\bbeta$", "bias"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor on disk that is part of a parameter (E, F, C): its expert and its rows there."""

    parameter: str
    expert: int
    row: int
    rows: int


def stored_tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a folder of safetensors files, one at a time."""
    from safetensors import safe_open

    for file in find_shards(folder).files.values():
        with safe_open(file, framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 - not a dict
                yield name, shard.get_tensor(name)


def match_names(folder: Path, state: dict[str, torch.Tensor], prefix: str) -> dict[str, tuple[str, ...]]:
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


def match_pieces(folder: Path, state: dict[str, torch.Tensor], names: dict[str, tuple[str, ...]]) -> dict[str, Piece]:
    """Where in a larger parameter the tensors on disk are that have no parameter of their own.

    Args:
        folder: holds the safetensors files that the model was loaded from.
        state: the loaded model's parameters and buffers by name.
        names: what `match_names` found.
    """
    taken = {name for found in names.values() for name in found}
    stacks = {n: value for n, value in state.items() if value.dim() == 3 and n not in taken}
    if not stacks or all(names.values()):
        return {}
    pieces: dict[str, Piece] = {}
    for name, tensor in stored_tensors(folder):
        if tensor.dim() == 2 and not names[name]:
            expert = re.findall(r"experts?\.(\d+)", name)
            places = [
                place
                for stack, value in stacks.items()
                for place in _places(stack, value, tensor)
                if place not in pieces.values()
            ]
            # equal matrices are told apart by their names, as far as those go
            near = sorted(
                places,
                key=lambda place: (
                    [str(place.expert)] != expert,
                    -SequenceMatcher(None, name, place.parameter).ratio(),
                    place.row,
                ),
            )
            if near:
                pieces[name] = near[0]
    return pieces


def _places(name: str, stack: torch.Tensor, tensor: torch.Tensor) -> Iterator[Piece]:
    """Where a matrix (R, C) is in a stack (E, F, C) of matrices that lie one above the other."""
    rows, columns = tensor.shape
    if stack.shape[2] != columns or rows == 0 or stack.shape[1] % rows:
        return
    first = tensor[0].to(stack.dtype).to(stack.device)  # C
    for row in range(0, stack.shape[1], rows):
        alike = (stack[:, row] == first).all(dim=1)  # E
        for expert in alike.nonzero().flatten().tolist():
            if _same(stack[expert, row : row + rows], tensor):
                yield Piece(name, expert, row, rows)


def _guesses(name: str, prefix: str) -> list[str]:
    for old, new in OLD_NAMES:
        name = re.sub(old, new, name)
    return [name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")]


def _same(value: torch.Tensor, tensor: torch.Tensor) -> bool:
    import torch

    return value.shape == tensor.shape and bool(torch.equal(value.cpu(), tensor.to(value.dtype)))
