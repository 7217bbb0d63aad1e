"""Writing a checkpoint with plain weights: packed numbers times their scales, or the same values in another dtype."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.header import BITS
from kencore.checkpoint.scales import Plan, Scaled
from kencore.checkpoint.tensors import FLOATS, Tensors, round_to
from kencore.checkpoint.write import write_weights
from kencore.errors import NonFiniteWeightError
from kencore.system.progress import Progress

# O rows (outputs), I columns (inputs)

Floats = NDArray[np.float32]
DTYPES: Final = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
"""What weights can be written as -> how safetensors calls it."""
ROWS_AT_ONCE: Final = 1 << 22  # values in memory at once


@dataclass(slots=True)
class Tally:
    """What writing did.

    Args:
        parameters: values written.
        unpacked: those that were packed before.
        rounded: those that the new dtype cannot hold exactly.
        largest: the largest change by rounding, as a share of the value.
    """

    parameters: int = 0
    unpacked: int = 0
    rounded: int = 0
    largest: float = 0.0

    def round(self, values: Floats, dtype: str) -> Floats:
        """Values as ``dtype`` can hold them, counted."""
        found = round_to(values, dtype)
        self.parameters += values.size
        if dtype != "F32":
            other = found != values
            self.rounded += int(np.count_nonzero(other))
            if other.any():
                with np.errstate(all="ignore"):
                    change = np.abs(found[other] - values[other]) / np.abs(values[other])
                self.largest = max(self.largest, float(np.nanmax(change)))
        return found


def write_plain(tensors: Tensors, plan: Plan, dtype: str, folder: Path, progress: Progress) -> Tally:
    """Write the weights of a checkpoint as ``dtype`` (a name of safetensors), shard by shard as they are.

    Whole numbers that are no packed weights stay what they are.

    Raises:
        NonFiniteWeightError: a value is not finite, or too large for the dtype.
    """
    shards: dict[str, list[str]] = {}
    entries: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name in tensors.stored:
        if name not in plan.dropped:
            info = tensors.info(name)
            shards.setdefault(Path(info.shard).name, []).append(name)
            number = info.dtype in FLOATS or name in plan.scaled
            entries[name] = (dtype if number else info.dtype, info.shape)
    total = sum(int(np.prod(shape, dtype=np.int64)) for _, shape in entries.values())
    tally = Tally()

    def pieces(name: str) -> Iterator[NDArray[np.generic]]:
        progress(tally.parameters, total, f"Writing {name}")
        if name not in plan.scaled and tensors.info(name).dtype not in FLOATS:
            yield tensors.raw(name)
            return
        for values in _values(tensors, name, plan.scaled.get(name)):
            before = tally.round(values, dtype)
            if not np.isfinite(before).all():
                raise _too_large(name, values, dtype)
            tally.unpacked += values.size if name in plan.scaled else 0
            yield to_bits(before, dtype)
        tensors.release()

    write_weights(folder, shards, entries, pieces)
    return tally


def to_bits(values: Floats, dtype: str) -> NDArray[np.generic]:
    """float32 values that ``dtype`` can hold, as it stores them."""
    if dtype == "BF16":
        return (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(np.float16 if BITS[dtype] == 16 else np.float32)


def _values(tensors: Tensors, name: str, scaled: Scaled | None) -> Iterator[Floats]:
    """A tensor's values, some of the first dimension at a time."""
    info = tensors.info(name)
    if not info.shape:
        yield (tensors.floats(name) if scaled is None else _unpacked(tensors, name, scaled, None))
        return
    step = max(1, ROWS_AT_ONCE * info.shape[0] // max(info.elements, 1))
    for first in range(0, info.shape[0], step):
        rows = slice(first, min(first + step, info.shape[0]))
        yield tensors.floats(name, rows) if scaled is None else _unpacked(tensors, name, scaled, rows)


def _unpacked(tensors: Tensors, name: str, scaled: Scaled, rows: slice | None) -> Floats:
    """Packed numbers times their scales, rounded once to float32."""
    info, bits = tensors.info(name), tensors.raw(name, rows)
    numbers = bits.astype(np.float32) if info.dtype == "I8" else _table(info.dtype)[bits]
    scales = _scales(tensors, scaled)
    if scales.size == 1:
        return numbers * scales.reshape(())
    experts, (height, width) = info.shape[:-2], scaled.block
    scales = scales.reshape((*experts, *_grid(info.shape, scaled.block)))
    if experts:
        scales, out = scales[rows], np.arange(info.shape[-2]) // height
    else:
        assert rows is not None
        out = np.arange(rows.start, rows.stop) // height
    inner = np.arange(info.shape[-1]) // width
    found: Floats = numbers * scales[..., out, :][..., inner]  # (..., O, I)
    return found


def _grid(shape: tuple[int, ...], block: tuple[int, int]) -> tuple[int, int]:
    return -(-shape[-2] // block[0]), -(-shape[-1] // block[1])


def _scales(tensors: Tensors, scaled: Scaled) -> Floats:
    if tensors.info(scaled.scale).dtype == "F8_E8M0":
        found: Floats = _table("F8_E8M0")[tensors.raw(scaled.scale)]
    else:
        found = tensors.floats(scaled.scale) / np.float32(scaled.divisor)
    return found


def _table(dtype: str) -> Floats:
    """(256,) the number that each byte stands for."""
    import torch

    kinds: dict[str, Any] = {
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
        "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
        "F8_E8M0": torch.float8_e8m0fnu,
    }
    found: Floats = torch.arange(256, dtype=torch.uint8).view(kinds[dtype]).float().numpy()
    return found


def _too_large(name: str, values: Floats, dtype: str) -> NonFiniteWeightError:
    here = bool(np.isfinite(values).all())
    word = next(word for word, code in DTYPES.items() if code == dtype)
    return NonFiniteWeightError(
        name,
        got=f"{float(np.abs(values).max()):.4g}, which {word} cannot hold" if here else "NaN or infinity",
        wanted="finite weights",
        remedy="Take --dtype bfloat16 or float32." if here else "This checkpoint is damaged: download it again.",
    )
