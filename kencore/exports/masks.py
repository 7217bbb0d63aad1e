"""Keep masks for other programs: one safetensors file, a byte or a bit for each entry."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.write import SafetensorsWriter
from kencore.errors import CorruptSubnetworkError
from kencore.exports.subnetwork.write import keep_pieces, packed
from kencore.system.plain_json import parse_json
from kencore.system.progress import Progress, silent
from kencore.system.whole import check_new, whole_file

if TYPE_CHECKING:
    from kencore.runs.run import Run

KEY = "kencore_masks"
VERSION = 1
Masks = dict[str, NDArray[np.bool_]]


def export_mask(run: Run, path: str | Path, progress: Progress | None = None, *, pack: bool = False) -> Path:
    """Write the keep masks of a run: True = kept. The models' weights are not read.

    Each pruned tensor has a mask of dtype ``BOOL`` (one byte per weight) under its own name, in
    its own shape and orientation, so that ``torch.where(mask, tuned, base)`` needs nothing else;
    tied tensors that are stored twice have it twice. Packed, a mask of n entries is ``U8`` of
    ceil(n / 8) bytes, lowest bit first, and the metadata key ``kencore_masks`` holds the shapes.

    Args:
        path: the file to write; nothing is overwritten.
        progress: called with (tensors done, tensors in all, what is being done); may raise to
            cancel.
        pack: a bit for each weight; `read_masks` reads both.

    Raises:
        RunExistsError: something of that name is there.
        SourceNotFoundError: the tuned checkpoint is gone: it says how tensors are stored.
        StoreNotWritableError: it cannot be written.
    """
    path = Path(path)
    check_new(path)
    report = progress or silent
    tensors = run.tuned_tensors
    names = [name for name in tensors.stored if any(run.owner(part) is not None for part in tensors.parts(name))]
    shapes = {name: tuple(tensors.info(name).shape) for name in names}
    metadata = {"format": "pt"}
    entries: dict[str, tuple[str, tuple[int, ...]]] = {name: ("BOOL", shape) for name, shape in shapes.items()}
    if pack:
        metadata = {KEY: json.dumps({"version": VERSION, "shapes": shapes}, sort_keys=True)}
        entries = {name: ("U8", (-(-math.prod(shape) // 8),)) for name, shape in shapes.items()}
    with whole_file(path) as temporary, SafetensorsWriter(temporary, entries, metadata) as writer:
        for i, name in enumerate(names):
            report(i, len(names), f"Writing the mask of {name}")
            pieces = _pieces(run, name)
            for piece in packed(pieces) if pack else pieces:
                writer.write(name, piece)
    return path


def _pieces(run: Run, name: str) -> Iterator[NDArray[np.bool_]]:
    """The keep mask of a stored tensor as the checkpoint has it; of a stack, of expert after expert."""
    tensors = run.tuned_tensors
    for part in tensors.parts(name):
        shape = tuple(tensors.info(part).shape)
        if run.owner(part) is None:  # an expert that was left alone
            yield np.ones(shape, np.bool_)
        else:
            yield from keep_pieces(run, part, shape)


def read_masks(path: str | Path) -> Masks:
    """The masks of a file that `export_mask` wrote, packed or not, by the names of their tensors.

    Raises:
        CorruptSubnetworkError: no such file, or none of keep masks.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            masks = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not iterable itself
            said = (file.metadata() or {}).get(KEY)
        if said is not None:
            content = parse_json(said)
            if content["version"] != VERSION:
                raise ValueError(f"version {content['version']!r}, not {VERSION}")
            masks = {name: _unpacked(masks[name], tuple(shape)) for name, shape in content["shapes"].items()}
        if any(mask.dtype != np.bool_ for mask in masks.values()):
            raise ValueError("tensors that are no masks")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptSubnetworkError(
            str(path),
            got=str(error) or type(error).__name__,
            wanted="a file of keep masks",
            remedy="Check the path, or export the masks again.",
        ) from error
    return masks


def _unpacked(bits: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    count = math.prod(shape)
    if bits.dtype != np.uint8 or bits.shape != (-(-count // 8),):
        raise ValueError(f"{bits.size} bytes for a mask of {count:,} weights")
    return np.unpackbits(bits, count=count, bitorder="little").view(np.bool_).reshape(shape)
