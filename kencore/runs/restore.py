"""From a run back to weights: the pruned state dict and a Hugging Face folder, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.as_torch import to_torch, torch_dtypes
from kencore.checkpoint.resized import fitted
from kencore.checkpoint.tensors import round_to, to_float32
from kencore.checkpoint.write import write_weights
from kencore.errors import CheckpointChangedError
from kencore.runs.card import beside
from kencore.runs.cells import thin_error
from kencore.system.progress import Progress, silent
from kencore.system.whole import check_free, whole_folder

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from kencore.runs.run import Run

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
CHECKING: Final = "Checking that the models are those of the run"
ROWS_AT_ONCE = 1 << 23  # weights restored at once while writing


def apply(run: Run) -> dict[str, torch.Tensor]:
    """The pruned state dict of a run, under the tuned checkpoint's own names and dtypes.

    Raises:
        CheckpointChangedError: a tensor is not the one that the run was made from.
        ThinRunError: a run that ships without its masks.
    """
    if run.thin:
        raise thin_error(run, "The pruned weights")
    verify(run)
    state = {}
    for name in run.tuned_tensors.stored:
        info = run.tuned_tensors.info(name)
        chunks = list(stored_chunks(run, name))
        whole = np.concatenate(chunks) if info.shape else chunks[0]
        state[name] = to_torch(whole, info)
    return state


def verify(run: Run, progress: Progress | None = None) -> None:
    """Check by hash that the checkpoints are the ones that the run was made from.

    Args:
        progress: called with the parameters that were checked, all parameters and what is being done; may raise.

    Raises:
        CheckpointChangedError: naming the first tensor that differs.
    """
    report, done, total = progress or silent, 0, int(run.matrices["params"].sum())
    for line in run.matrices.to_dict("records"):
        report(done, total, CHECKING)
        done += int(line["params"])
        sides = [(run.tuned_tensors, line["name"], line["tuned_sha256"])]
        twins = [name for name in line["tied"] if name in run.tuned_tensors]
        sides += [(run.tuned_tensors, name, line["tuned_sha256"]) for name in twins]
        if line["status"] == "pruned" and run.restore == "base":
            sides.append((run.base_tensors, line["base_name"], line["base_sha256"]))
        for tensors, name, wanted in sides:
            found = tensors.sha256(name) if name in tensors else "nothing"
            if found != wanted:
                raise CheckpointChangedError(
                    f"{name} in {tensors.folder}",
                    got=f"content {found[:12]}",
                    wanted=f"{str(wanted)[:12]}, as when run {run.id} was made",
                    remedy="Put the checkpoint back as it was, or prune again.",
                )
            run.checked.add((tensors, str(name)))
        run.release()


def stored_chunks(run: Run, name: str) -> Iterator[NDArray[np.generic]]:
    """Storage bits of a tensor of the weight files, some rows at a time; of a stack, those of one
    expert after the other.
    """
    for part in run.tuned_tensors.parts(name):
        yield from pruned_chunks(run, part)


def pruned_chunks(run: Run, name: str) -> Iterator[NDArray[np.generic]]:
    """Storage bits of one pruned tensor as stored, some rows at a time."""
    shape = run.tuned_tensors.info(name).shape
    owner = run.owner(name)
    if owner is None:
        yield (run.tuned_tensors if run.changed is None or name not in run.changed else run.changed).raw(name)
        return
    step = max(1, ROWS_AT_ONCE // max(1, int(np.prod(shape[1:]))))
    for first in range(0, shape[0], step):
        yield restored(run, owner, name, slice(first, min(first + step, shape[0])))


def restored(run: Run, owner: str, name: str, part: slice) -> NDArray[np.generic]:
    """Stored rows ``part`` of a pruned tensor: kept entries tuned, or as the method changed them,
    the others base, or zero.
    """
    line = run.matrix(owner)
    tuned = run.tuned_tensors.raw(name, part)
    if tuned.ndim == 1:
        rows, columns = slice(0, 1), part
    elif line["transposed"]:  # stored inputs x outputs, the mask is outputs x inputs
        rows, columns = slice(None), part
    else:
        rows, columns = part, slice(None)
    keep = as_stored(run.keep(owner, rows, columns), line["transposed"], tuned.shape)
    kept = tuned
    if run.kept_values is not None:
        kept = as_stored(run.kept_bits(owner, rows)[:, columns], line["transposed"], tuned.shape)
    return np.where(keep, kept, reset_bits(run, line, tuned, part))


def reset_bits(
    run: Run, line: pd.Series[Any], tuned: NDArray[np.generic], part: slice | None = None
) -> NDArray[np.generic]:
    """Storage bits of what entries become that are not kept: of the stored rows ``part`` of the
    tensor of a line of the table of matrices, whose tuned bits are ``tuned``.
    """
    if run.restore == "zero":
        return np.zeros_like(tuned)  # all bits zero is 0.0 in every float dtype
    base_name = str(line["base_name"])
    info = run.base_tensors.info(base_name)
    return fitted(base_bits(info.dtype, str(line["dtype"]), run.base_tensors.raw(base_name, part)), tuned)


def as_stored(matrix: NDArray[Any], transposed: bool, shape: tuple[int, ...]) -> NDArray[Any]:
    """A window (outputs x inputs) as the checkpoint has it."""
    return (matrix.T if transposed else matrix).reshape(shape)


def base_bits(dtype: str, wanted: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Storage bits of base values in the tuned model's dtype, rounded to nearest even."""
    if dtype == wanted:
        return values
    import torch

    dtypes = torch_dtypes()
    raw = torch.from_numpy(np.array(values).reshape(-1).view(np.uint8))  # a copy: maps are read-only
    cast = raw.view(dtypes[dtype]).to(dtypes[wanted])
    like = {1: np.uint8, 2: np.uint16, 4: np.float32, 8: np.float64}[cast.element_size()]
    if wanted == "F16":
        like = np.float16
    return cast.view(torch.uint8).numpy().view(like).reshape(values.shape)


def as_matrix(raw: NDArray[np.generic], *, transposed: bool) -> NDArray[np.generic]:
    """A tensor as stored as a matrix (R, C), rows being outputs; a vector is one row."""
    if transposed:  # stored inputs x outputs
        return raw.T
    return raw.reshape(1, -1) if raw.ndim == 1 else raw


def rescaled_bits(
    raw: NDArray[np.generic],
    sides: tuple[Floats, Floats],
    keep: Mask,
    kind: str,
    dtype: str,
    *,
    name: str,
    first: int = 0,
) -> NDArray[np.generic]:
    """Storage bits (r, C) of what rescaling makes of some rows; they hold where ``keep`` does.

    Args:
        raw: bits of the tuned rows (r, C), which rows that are kept whole keep.
        sides: tuned and base values, float32 (r, C).
        kind: see `kencore.methods.rescale.rescaled`.
        dtype: safetensors dtype of the tensor.
        name, first: of the tensor, and its row that these start at, for messages.

    Raises:
        NonFiniteWeightError: a rescaled value is too large for the dtype.
    """
    from kencore.methods.rescale import check_rescaled, rescaled

    values = round_to(rescaled(*sides, keep, kind), dtype)
    check_rescaled(values, name, first)
    return np.where(keep.all(axis=1, keepdims=True), raw, base_bits("F32", dtype, values))


def coded_bits(
    base: Floats, coded: Floats, mask: Mask, dtype: str, *, name: str, first: int = 0
) -> NDArray[np.generic]:
    """Storage bits (r, C) of what a code makes of some rows; they hold where ``mask`` does.

    Args:
        base: the base's values in the tuned dtype, float32 (r, C).
        coded: the coded difference (r, C).
        dtype: safetensors dtype of the tensor.
        name, first: of the tensor, and its row that these start at, for messages.

    Raises:
        NonFiniteWeightError: a value is too large for the dtype.
    """
    from kencore.methods.rescale import check_rescaled

    with np.errstate(over="ignore", invalid="ignore"):
        values = np.where(mask, round_to(base + coded, dtype), np.float32(0))
    check_rescaled(values, name, first)
    return base_bits("F32", dtype, values)


def moved_bits(
    own: NDArray[np.generic], coded: Floats, mask: Mask, dtype: str, *, name: str, first: int = 0
) -> NDArray[np.generic]:
    """Storage bits (r, C) of rows that a code moved: `coded_bits` where ``mask`` holds, the base's elsewhere.

    Args:
        own: bits of the base's rows in the tuned dtype (r, C).
        coded, mask, dtype, name, first: as of `coded_bits`.

    Raises:
        NonFiniteWeightError: a value is too large for the dtype.
    """
    from kencore.codes.kernels import move_bfloats, move_floats

    moves = {"F32": move_floats, "BF16": move_bfloats}.get(dtype)
    if moves is not None:
        base = np.require(own, requirements=["C", "A"])
        moved = np.empty(base.shape, base.dtype)
        if not moves(base, mask, coded, moved):
            return moved
    bits = coded_bits(to_float32(own, dtype), coded, mask, dtype, name=name, first=first)
    return np.where(mask, bits, own)


def save_pretrained(run: Run, folder: Path) -> Path:
    """Write the pruned weights, shard by shard as the tuned model has them, and what lies beside them.

    Raises:
        RunExistsError: the folder is there and not empty.
        CheckpointChangedError: a tensor is not the one that the run was made from.
        StoreNotWritableError: it cannot be written.
    """
    check_free(folder)
    verify(run)
    with whole_folder(folder) as temporary:
        _write_folder(run, temporary)
    return Path(os.path.realpath(folder))


def _write_folder(run: Run, folder: Path) -> None:
    tensors = run.tuned_tensors
    shards: dict[str, list[str]] = {}
    for name in tensors.stored:
        shards.setdefault(Path(tensors.info(name).shard).name, []).append(name)
    infos = {name: tensors.info(name) for name in tensors.stored}
    entries = {name: (info.dtype, tuple(info.shape)) for name, info in infos.items()}

    def pieces(name: str) -> Iterator[NDArray[np.generic]]:
        yield from stored_chunks(run, name)
        run.release()

    write_weights(folder, shards, entries, pieces)
    for file, content in beside(run):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
