"""Keep masks for other programs: one safetensors file of bool tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kencore.checkpoint.write import SafetensorsWriter
from kencore.exports.subnetwork.write import keep_pieces
from kencore.system.progress import Progress, silent
from kencore.system.whole import check_new, whole_file

if TYPE_CHECKING:
    from kencore.runs.run import Run


def export_mask(run: Run, path: str | Path, progress: Progress | None = None) -> Path:
    """Write the keep masks of a run: True = kept. The models' weights are not read.

    Each pruned tensor has a mask of dtype ``BOOL`` (one byte per weight) under its own name, in
    its own shape and orientation, so that ``torch.where(mask, tuned, base)`` needs nothing else;
    tied tensors that are stored twice have it twice.

    Args:
        path: the file to write; nothing is overwritten.
        progress: called with (tensors done, tensors in all, what is being done); may raise to
            cancel.

    Raises:
        RunExistsError: something of that name is there.
        SourceNotFoundError: the tuned checkpoint is gone: it says how tensors are stored.
        StoreNotWritableError: it cannot be written.
    """
    path = Path(path)
    check_new(path)
    report = progress or silent
    tensors = run.tuned_tensors
    names = [name for name in tensors.names if run.owner(name) is not None]
    shapes = {name: tuple(tensors.info(name).shape) for name in names}
    entries = {name: ("BOOL", shape) for name, shape in shapes.items()}
    with whole_file(path) as temporary, SafetensorsWriter(temporary, entries, {"format": "pt"}) as writer:
        for i, name in enumerate(names):
            report(i, len(names), f"Writing the mask of {name}")
            for keep in keep_pieces(run, name, shapes[name]):
                writer.write(name, keep)
    return path
