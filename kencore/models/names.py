"""Which parameter of a loaded model each tensor on disk became.

transformers renames while it loads, joins tensors (experts) and splits them (q, k and v in one). Which entry went
where is not guessed: its own conversions are run on numbers that say where each entry lies on disk.

Shapes: E experts, R rows (outputs) of a tensor on disk, F rows of a parameter, C columns (inputs).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.skeleton import Skeleton
    from kencore.checkpoint.tensors import Tensors

MOST_PIECES = 64  # of one tensor on disk; more are no rows that lie together
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a tensor on disk that are rows of a parameter.

    Args:
        parameter: the model's name of it: (F, C), (F,), or of all experts (E, F, C).
        expert: which, if it is of all experts.
        row, rows: the first row there, and how many.
        first: the first row of the tensor on disk.
    """

    parameter: str
    expert: int | None
    row: int
    rows: int
    first: int = 0

    def of(self, whole: torch.Tensor) -> torch.Tensor:
        """The view of it in the parameter, or in a tensor of the parameter's shape."""
        part = whole if self.expert is None else whole[self.expert]
        return part[self.row : self.row + self.rows]


@dataclass(frozen=True, slots=True)
class Joined:
    """Tensors on disk that one conversion of transformers joins or splits.

    Args:
        found: the first parameter that they become.
        step: the conversion.
        members: name on disk and pattern of each, in the order in which they are converted.
    """

    found: str
    step: Any
    members: tuple[tuple[str, str], ...]


def stored_tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a folder by the name that everything uses, one at a time."""
    from kencore.checkpoint.as_torch import to_torch
    from kencore.checkpoint.layout import open_named
    from kencore.checkpoint.skeleton import read_skeleton

    with open_named(folder, read_skeleton(folder)) as tensors:
        for name in tensors.names:
            yield name, to_torch(tensors.raw(name), tensors.info(name))


Pieces = dict[str, tuple[Piece, ...]]


def find_places(
    skeleton: Skeleton, tensors: Tensors, model: Any
) -> tuple[dict[str, tuple[str, ...]], Pieces, tuple[Joined, ...]]:
    """Where in a loaded model every tensor on disk is.

    Args:
        skeleton, tensors: of the folder that it was loaded from.
        model: whose config the conversions may ask for sizes.

    Returns:
        Names on disk to the parameter that holds that tensor alone (what is tied to it shares its memory), an empty
        tuple where there is none; the pieces of those that are joined or split, and of the experts of a stack, where
        they are rows that lie together; and what is joined or split.
    """
    whole: dict[str, tuple[str, ...]] = {}
    groups: dict[str, list[tuple[str, str]]] = {}
    pieces: Pieces = {}
    for name in tensors.stored:
        found, pattern = skeleton.renamed(name)
        whole[name] = (found,) if found is not None and pattern is None else ()
        if found is not None and pattern is not None:
            groups.setdefault(found, []).append((name, pattern))
        pieces |= _of_a_stack(skeleton, tensors, name, found, pattern)
    seen: dict[tuple[Any, ...], tuple[str, list[tuple[Piece, ...]]]] = {}
    joined = tuple(_joined(skeleton, found, members) for found, members in groups.items())
    for group in joined:
        shapes = tuple(tensors.info(name).shape for name, _ in group.members)
        key = (tuple(pattern for _, pattern in group.members), shapes)
        if key not in seen:  # a block like another is told by its names alone
            seen[key] = (group.found, _located(group, shapes, model))
        like, located = seen[key]
        for (name, _), own in zip(group.members, located, strict=True):
            if own:
                pieces[name] = tuple(replace(p, parameter=_alike(p.parameter, like, group.found)) for p in own)
    return whole, pieces, joined


def _of_a_stack(skeleton: Skeleton, tensors: Tensors, name: str, found: str | None, pattern: str | None) -> Pieces:
    """The places of each expert of a stack, where it becomes one parameter as it is."""
    parts = tensors.parts(name)
    if parts == (name,) or found is None:
        return {}
    shape = tensors.info(parts[0]).shape
    if skeleton.first_row(found, pattern, shape) is None:
        return {}
    return {part: (Piece(found, expert, 0, shape[0]),) for expert, part in enumerate(parts)}


def _joined(skeleton: Skeleton, found: str, members: list[tuple[str, str]]) -> Joined:
    from transformers.core_model_loading import dot_natural_key

    ordered = sorted(members, key=lambda member: dot_natural_key(member[0]))
    return Joined(found, skeleton.conversion(ordered[0][1]), tuple(ordered))


def _located(group: Joined, shapes: tuple[tuple[int, ...], ...], model: Any) -> list[tuple[Piece, ...]]:
    """The pieces of each member of a group that one conversion joins or splits."""
    import torch

    step, found, members = copy.deepcopy(group.step), group.found, group.members
    sizes = [int(np.prod(shape)) for shape in shapes]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    dtype = torch.int32 if starts[-1] < 2**31 else torch.int64
    for (name, pattern), shape, start, size in zip(members, shapes, starts, sizes, strict=False):
        step.add_tensor(found, name, pattern, torch.arange(start, start + size, dtype=dtype).reshape(shape))
    made: Mapping[str, Any] = step.convert(found, model=model, config=model.config)
    own: list[list[Piece]] = [[] for _ in members]
    for parameter, value in made.items():
        numbers = (value[0] if isinstance(value, list) else value).numpy()
        for member, piece in _rows(parameter, numbers, starts[:-1], [shape[1:] for shape in shapes]):
            own[member].append(piece)
    return [
        tuple(sorted(pieces, key=lambda piece: piece.first)) if _complete(pieces, shape) else ()
        for pieces, shape in zip(own, shapes, strict=True)
    ]


def _rows(
    parameter: str, numbers: NDArray[Any], starts: Numbers, widths: list[tuple[int, ...]]
) -> Iterable[tuple[int, Piece]]:
    """Rows of a parameter (.., F, C) that are rows of one member, in its order; nothing where they are none."""
    width = numbers.shape[-1] if numbers.ndim > 1 else 1
    flat = numbers.reshape(-1, width)  # E * F, C
    if flat.size == 0 or (width > 1 and not (np.diff(flat, axis=1) == 1).all()):
        return
    height = numbers.shape[-2] if numbers.ndim > 2 else len(flat)
    member = np.searchsorted(starts, flat[:, 0], side="right") - 1
    inside = flat[:, 0] - starts[member]  # entry of the member
    row = inside // width
    if (inside % width).any() or any(int(np.prod(widths[m])) != width for m in np.unique(member)):
        return
    new = (np.diff(member) != 0) | (np.diff(row) != 1)
    new |= np.arange(1, len(flat)) % height == 0
    firsts = np.concatenate([[0], np.flatnonzero(new) + 1])
    lasts = np.concatenate([firsts[1:], [len(flat)]])
    for at, end in zip(firsts.tolist(), lasts.tolist(), strict=True):
        expert = at // height if numbers.ndim > 2 else None
        yield int(member[at]), Piece(parameter, expert, at % height, end - at, int(row[at]))


def _complete(pieces: list[Piece], shape: tuple[int, ...]) -> bool:
    rows = shape[0] if shape else 1
    return 0 < len(pieces) <= MOST_PIECES and sum(piece.rows for piece in pieces) == rows


def _alike(name: str, like: str, found: str) -> str:
    """A name beside ``like`` as it is called beside ``found``: the words that both have in common change."""
    words, other = name.split("."), like.split(".")
    same = 0
    while same < min(len(words), len(other)) and words[same] == other[same]:
        same += 1
    return ".".join([*found.split(".")[:same], *words[same:]])
