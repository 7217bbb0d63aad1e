"""2:4 sparsity on hardware that has it: torch's own semi-structured kernels against dense ones.

Of every four weights in a row that follow each other at most two may differ from zero. NVIDIA GPUs
from compute capability 8.0 on multiply such matrices faster, in half precision.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.quality.cost_time import REPEATS, forward, interleaved, quartiles

if TYPE_CHECKING:
    from kencore.quality.cost_probe import Probe

NEEDED = (8, 0)
# R rows, C columns; a nibble is four neighbours
_KEPT_OF_FOUR = np.array([bin(number).count("1") for number in range(16)], np.uint8)


def is_two_of_four(packed: NDArray[np.uint8], columns: int) -> bool:
    """Whether a packed keep mask (R, ceil(C / 8)) keeps at most two of every four neighbours."""
    if columns % 4:
        return False
    return bool((_KEPT_OF_FOUR[packed & 15] <= 2).all() and (_KEPT_OF_FOUR[packed >> 4] <= 2).all())


def why_not(device: str, matrices: Collection[str]) -> str | None:
    """Why semi-structured kernels cannot be used; ``None`` where they can.

    Args:
        device: a torch device.
        matrices: parameters that are 2:4.
    """
    if not device.startswith("cuda"):
        return (
            f"not available: needs an NVIDIA GPU of compute capability 8.0 or newer, and this was measured on {device}"
        )
    import torch

    found = torch.cuda.get_device_capability(device)
    if found < NEEDED:
        return (
            "not available: needs an NVIDIA GPU of compute capability 8.0 or newer, "
            f"and {device} has {found[0]}.{found[1]}"
        )
    if not matrices:
        return "not available: no matrix is 2:4 (set to zero, and at most two of every four neighbours in a row kept)"
    return None


def semi_structured(
    model: Any, probe: Probe, device: str, matrices: Collection[str], *, repeats: int = REPEATS
) -> dict[str, Any]:
    """Seconds of a pass with dense and with semi-structured kernels, both in float16.

    Args:
        model: in the pruned state; a copy of it is converted.
        probe: what goes through it.
        device: where the model is.
        matrices: names in ``state_dict()`` of the weights that are 2:4.

    Returns:
        ``available``; where it is not, the ``reason``, else ``matrices`` (how many were
        converted) and for each batch the timings ``dense`` and ``semi_structured``.
    """
    reason = why_not(device, matrices)
    if reason is not None:
        return {"available": False, "reason": reason}
    import torch

    try:
        dense = copy.deepcopy(model).half().eval()
        sparse = copy.deepcopy(dense)
        done = convert(sparse, matrices)
        if not done:
            return {
                "available": False,
                "reason": "not available: torch converts none of the matrices (their shapes do not fit its kernels)",
            }
        batches = [
            {"batch": size, **_timed(dense, sparse, probe, size, device, repeats)} for size in sorted({1, probe.batch})
        ]
    except torch.OutOfMemoryError:
        return {
            "available": False,
            "reason": f"not measured: the copies in half precision do not fit into the memory of {device}",
        }
    return {"available": True, "dtype": "float16", "matrices": done, "batches": batches}


def convert(model: Any, matrices: Collection[str]) -> int:
    """Give the linear layers of these weights semi-structured ones, in place; how many could.

    Weights whose shape the kernels cannot take stay dense.
    """
    import torch
    from torch.sparse import to_sparse_semi_structured

    done = 0
    for path, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or f"{path}.weight" not in matrices:
            continue
        try:
            weight = to_sparse_semi_structured(module.weight.detach())
        except (RuntimeError, ValueError):
            continue
        module.weight = torch.nn.Parameter(weight, requires_grad=False)
        done += 1
    return done


def _timed(dense: Any, sparse: Any, probe: Probe, size: int, device: str, repeats: int) -> dict[str, dict[str, float]]:
    inputs = probe.of(size)
    current: list[Any] = [dense]
    taken = interleaved(
        lambda: forward(current[0], inputs, device)(),
        {"dense": lambda: current.__setitem__(0, dense), "semi_structured": lambda: current.__setitem__(0, sparse)},
        repeats=repeats,
    )
    return {name: quartiles(seconds) for name, seconds in taken.items()}
