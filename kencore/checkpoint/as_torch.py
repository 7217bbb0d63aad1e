"""Storage bits of tensors on disk as tensors of torch, with or without reading them yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.header import TensorInfo
    from kencore.checkpoint.tensors import Tensors


class Unread:
    """A tensor that is read when it is indexed, as transformers does while it loads. What is loaded in the type of
    the file is the file itself, mapped, until it is changed.
    """

    def __init__(self, tensors: Tensors, name: str) -> None:
        self._tensors, self._name = tensors, name

    def __getitem__(self, index: Any) -> torch.Tensor:
        return mapped(self._tensors, self._name)[index]


def unread(tensors: Tensors) -> dict[str, Unread]:
    """A checkpoint's tensors by name, none of them read yet."""
    return {name: Unread(tensors, name) for name in tensors.stored}


def mapped(tensors: Tensors, name: str) -> torch.Tensor:
    """A tensor of the stored dtype and shape in the file's own memory; what is written to it never reaches the file."""
    return _of_bits(tensors.own(name), tensors.info(name))


def to_torch(bits: NDArray[np.generic], info: TensorInfo) -> torch.Tensor:
    """Storage bits as a tensor of the stored dtype and shape; the bits are copied."""
    return _of_bits(np.array(bits), info)


def own_torch(bits: NDArray[np.generic], info: TensorInfo) -> torch.Tensor:
    """Storage bits as a tensor of the stored dtype and shape, in the same memory."""
    return _of_bits(bits, info)


def _of_bits(bits: NDArray[np.generic], info: TensorInfo) -> torch.Tensor:
    import torch

    flat = torch.from_numpy(bits.reshape(-1).view(np.uint8))
    return flat.view(torch_dtypes()[info.dtype]).reshape(tuple(info.shape))


def torch_dtypes() -> dict[str, torch.dtype]:
    """Safetensors dtype names as torch dtypes."""
    import torch

    return {
        "BOOL": torch.bool,
        "U8": torch.uint8,
        "I8": torch.int8,
        "I16": torch.int16,
        "U16": torch.uint16,
        "I32": torch.int32,
        "U32": torch.uint32,
        "I64": torch.int64,
        "U64": torch.uint64,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "F32": torch.float32,
        "F64": torch.float64,
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
        "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
        "F8_E8M0": torch.float8_e8m0fnu,
        "C64": torch.complex64,
    }
