"""What a run changes of its base, entry by entry: name, flat index, value, as inference servers take weight updates.

Of every tensor that differs from the base's: ``NAME.indices`` (int32, or int64 where it has more entries), sorted, into
the tensor as it lies on disk, row by row, and ``NAME.values`` in its dtype: what stands there afterwards, not what is
added. A tensor that the base lacks, or has in another shape or dtype, is there whole, as ``NAME``. The metadata key
``kencore_update`` is JSON with the ``version`` of this form, the ``base`` and the names that tensors have there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.checkpoint.header import BITS
from kencore.checkpoint.write import SafetensorsWriter
from kencore.errors import SpecError
from kencore.runs.restore import stored_chunks, verify
from kencore.system.progress import Progress, silent
from kencore.system.whole import check_new, whole_file

if TYPE_CHECKING:
    from kencore.runs.run import Run

KEY: Final = "kencore_update"
VERSION: Final = 1
FEW: Final = 2**31 - 1  # entries whose places fit into int32
Bits = NDArray[np.generic]


def export_updates(run: Run, path: str | Path, progress: Progress | None = None) -> Path:
    """Write the changed entries of a run's model.

    Args:
        path: the file to write; nothing is overwritten.
        progress: called with (tensors done, tensors in all, what is being done); may raise to cancel.

    Raises:
        SpecError: the run has no base.
        RunExistsError: something of that name is there.
        SourceNotFoundError, CheckpointChangedError: a checkpoint is gone, or another one.
    """
    path, report = Path(path), progress or silent
    check_new(path)
    if run.restore == "zero":
        raise SpecError(
            "form",
            got="sparse-delta of a run without a base",
            wanted="a run against a base",
            remedy="Export it as a folder.",
        )
    verify(run)
    tensors, names = run.tuned_tensors, _base_names(run)
    entries: dict[str, tuple[str, tuple[int, ...]]] = {}
    for number, name in enumerate(tensors.stored):
        report(number, 2 * len(tensors.stored), f"Looking for what changed in {name}")
        info = tensors.info(name)
        if name not in names:
            entries[name] = (info.dtype, tuple(info.shape))
            continue
        count = sum(len(places) for places, _ in _changed(run, name, names[name]))
        run.release()
        if count:
            kind = "I32" if math.prod(info.shape) <= FEW else "I64"
            entries |= {f"{name}.indices": (kind, (count,)), f"{name}.values": (info.dtype, (count,))}
    order = dict(sorted(entries.items(), key=lambda item: (-BITS[item[1][0]], item[0])))  # so that all are aligned
    said = {"version": VERSION, "base": run.record["sources"]["base"]["text"]}
    said["renamed"] = {name: other for name, other in names.items() if other != name}
    with (
        whole_file(path) as temporary,
        SafetensorsWriter(temporary, order, {KEY: json.dumps(said, sort_keys=True)}) as to,
    ):
        for number, (entry, (kind, _)) in enumerate(order.items()):
            report(len(order) + number, 2 * len(order), f"Writing {entry}")
            for piece in _pieces(run, entry, kind, names):
                to.write(entry, piece)
            run.release()
    return path


def apply_updates(path: str | Path, base: dict[str, Any]) -> dict[str, Any]:
    """The state that a file of updates makes of a base's; the base's tensors are not changed.

    Args:
        base: torch tensors by the base's names.
    """
    from safetensors import safe_open

    with safe_open(Path(path), framework="pt") as file:
        renamed = json.loads(file.metadata()[KEY])["renamed"]
        stored = set(file.keys())
        state = {name: base[other].clone() for name, other in renamed.items()}
        taken = set(renamed.values())
        state |= {name: tensor.clone() for name, tensor in base.items() if name not in taken}
        for name in stored:
            if name.endswith(".indices") and f"{name[:-8]}.values" in stored:
                flat = state[name[:-8]].reshape(-1)
                flat[file.get_tensor(name).long()] = file.get_tensor(f"{name[:-8]}.values")
                state[name[:-8]] = flat.reshape(state[name[:-8]].shape)
            elif not (name.endswith(".values") and f"{name[:-7]}.indices" in stored):
                state[name] = file.get_tensor(name)
    return state


def _base_names(run: Run) -> dict[str, str]:
    """Tensors that the base has in the same shape and dtype, and what it calls them."""
    tuned, base, found = run.tuned_tensors, run.base_tensors, {}
    for name in tuned.stored:
        if len(tuned.parts(name)) > 1:
            continue  # experts in one tensor: whole
        owner = run.owner(name)
        line = run.matrix(owner) if owner is not None else _line(run, name)
        other = name if line is None or pd.isna(line["base_name"]) else str(line["base_name"])
        if other in base:
            one, two = tuned.info(name), base.info(other)
            if (one.dtype, tuple(one.shape)) == (two.dtype, tuple(two.shape)):
                found[name] = other
    return found


def _line(run: Run, name: str) -> Any:
    return run.matrix(name) if name in set(run.matrices["name"]) else None


def _changed(run: Run, name: str, other: str) -> Iterator[tuple[NDArray[np.int64], Bits]]:
    """Places and storage bits of entries that differ from the base's, some rows at a time."""
    base, first = run.base_tensors.raw(other).reshape(-1), 0
    for chunk in stored_chunks(run, name):
        flat = np.ascontiguousarray(chunk).reshape(-1)
        width = f"u{flat.dtype.itemsize}"
        apart = np.flatnonzero(flat.view(width) != base[first : first + flat.size].view(width))
        yield apart + first, flat[apart]
        first += flat.size


def _pieces(run: Run, entry: str, kind: str, names: dict[str, str]) -> Iterator[Bits]:
    name, _, part = entry.rpartition(".")
    if entry not in run.tuned_tensors.stored or entry in names:
        for places, values in _changed(run, name, names[name]):
            yield values if part == "values" else places.astype("<i4" if kind == "I32" else "<i8")
    else:
        yield from stored_chunks(run, entry)
