"""Safetensors files written byte by byte, right or wrong on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from kencore.checkpoint.shards import SINGLE

CONFIG = {"model_type": "bert", "architectures": ["BertModel"]}


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    """One tensor's line of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write(path: Path, header: Any, data: bytes, *, length: int | None = None) -> Path:
    """A safetensors file with this header (an object, or raw bytes) and these tensor bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def small(path: Path, *names: str) -> Path:
    """A right file with float32 tensors of two values each."""
    header = {name: entry("F32", [2], 8 * i, 8 * i + 8) for i, name in enumerate(names)}
    return write(path, header, bytes(8 * len(names)))


def write_index(folder: Path, weight_map: Any) -> None:
    """``model.safetensors.index.json``."""
    text = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text)


def write_config(folder: Path) -> None:
    """A ``config.json`` that is there; nobody builds the model of it."""
    (folder / "config.json").write_text(json.dumps(CONFIG))


def hollow(folder: Path, model: PreTrainedModel) -> Path:
    """The checkpoint of a model on the meta device, of its real size and without a byte of data:
    the file is a hole on disk. Tied weights are stored once, names are those of the model."""
    state = model.state_dict()
    header, at = {}, 0
    for name in [name for name in state if name not in model.all_tied_weights_keys]:
        size = 2 * state[name].numel()
        header[name] = entry("BF16", list(state[name].shape), at, at + size)
        at += size
    write(folder / SINGLE, header, b"")
    with (folder / SINGLE).open("r+b") as file:
        file.truncate((folder / SINGLE).stat().st_size + at)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    return folder


def rewrite(
    source: Path,
    folder: Path,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]] = dict,
    **config: Any,
) -> Path:
    """A copy of a saved model with its tensors changed, and fields of its config set.

    A field set to ``...`` is taken out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = change(load_file(source / "model.safetensors"))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / SINGLE)
    fields = json.loads((source / "config.json").read_text()) | config
    kept = {name: value for name, value in fields.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder
