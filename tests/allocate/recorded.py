"""Recorded searches and prunings of the published code, see golden/README.md of the shared data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from kencore.allocate import Slot

ROLES = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "out_proj": "o",
    "up_proj": "up",
    "gate_proj": "gate",
    "down_proj": "down",
    "fc1": "up",
    "fc2": "down",
}
MODELS = ("tiny-opt", "tiny-llama")
PREFIX = {"tiny-opt": "model.decoder.layers", "tiny-llama": "model.layers"}
BLOCKS = 6


@dataclass
class Case:
    """One recorded run. Slots are named as recorded: ``self_attn.q_proj-0``."""

    name: str
    arrays: dict[str, NDArray[Any]]
    meta: dict[str, Any]
    folder: Path

    @property
    def model(self) -> str:
        return str(self.meta["model"])

    @property
    def slots(self) -> list[Slot]:
        slots = []
        for layer, (rows, cols) in zip(self.meta["layers"], self.meta["shapes"], strict=True):
            module, block = layer.rsplit("-", 1)
            role = ROLES[module.rsplit(".", 1)[-1]]
            slots.append(Slot(name=layer, block=int(block), role=role, rows=rows, cols=cols))
        return slots

    @property
    def shares(self) -> dict[str, Any]:
        """The sparsities that it was pruned with, by slot name."""
        if "dist_row" in self.arrays:
            ends = np.cumsum(self.meta["dist_len"])[:-1]
            return dict(zip(self.meta["layers"], np.split(self.arrays["dist_row"], ends), strict=True))
        if "dist_layer" in self.arrays:
            return dict(zip(self.meta["layers"], self.arrays["dist_layer"], strict=True))
        return dict.fromkeys(self.meta["layers"], self.meta["sparsity"])

    @property
    def alignment(self) -> dict[str, torch.Tensor]:
        ends = np.cumsum(self.meta["alignment_len"])[:-1]
        parts = np.split(self.arrays["alignment"], ends)
        return {layer: torch.from_numpy(part) for layer, part in zip(self.meta["layers"], parts, strict=True)}

    @property
    def row_adaptive(self) -> bool:
        return bool(self.meta["granularity"] == "neuron")

    def weight(self, slot: Slot) -> torch.Tensor:
        """Of the dense model, float32 (R, C)."""
        module = slot.name.rsplit("-", 1)[0]
        name = f"{PREFIX[self.model]}.{slot.block}.{module}.weight"
        return weights(self.folder / "models" / self.model)[name].float()

    def pruned(self, slot: Slot) -> NDArray[np.bool_]:
        """Recorded mask, True where pruned: all rows, or the first 16."""
        whole = "masks" in self.arrays
        rows = [s.rows if whole else min(16, s.rows) for s in self.slots]
        sizes = [r * -(-s.cols // 8) for r, s in zip(rows, self.slots, strict=True)]
        place = [s.name for s in self.slots].index(slot.name)
        first = sum(sizes[:place])
        packed = self.arrays["masks" if whole else "mask_first16rows"]
        own = packed[first : first + sizes[place]].reshape(rows[place], -1)
        return np.unpackbits(own, axis=1, count=slot.cols).astype(bool)

    def same_mask(self, slot: Slot, keep: torch.Tensor) -> bool:
        """The whole mask, by its hash."""
        packed = np.packbits(~keep.numpy(), axis=1)
        place = [s.name for s in self.slots].index(slot.name)
        return bool(hashlib.sha256(packed.tobytes()).hexdigest() == self.meta["sha256"][place])


@cache
def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@cache
def cases(shared: Path, pattern: str) -> list[Case]:
    """Recorded runs whose file name fits, such as ``tiny-opt__*__neuroal-both__*``."""
    folder = shared / "golden" / "neuroal"
    found = []
    for path in sorted(folder.glob(f"{pattern}.npz")):
        if path.name == "calib.npz":
            continue
        with np.load(path) as content:
            arrays = {name: content[name] for name in content.files}
        meta = json.loads(arrays.pop("meta").tobytes())
        found.append(Case(path.stem, arrays, meta, folder))
    assert found, pattern
    return found
